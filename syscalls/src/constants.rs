//! The macro that declares a family of constants of the kernel's headers, and the type of the family's table.

/// The names and values of one family of constants, such as the flags of an argument or the events of a
/// struct's field.
///
/// ```
/// use syscalls::socket::{SHUTDOWN_HOW, SHUT_WR};
///
/// let (name, _) = SHUTDOWN_HOW.iter().find(|(_, value)| *value == SHUT_WR.into()).unwrap();
/// assert_eq!(*name, "SHUT_WR");
/// ```
pub type ConstantTable = &'static [(&'static str, i64)];

/// Declares the constants of one family and the table of their names and values, so that each number is
/// written once.
macro_rules! constants {
    ($(#[$about:meta])* $family:ident: $type:ty { $($(#[$doc:meta])* $name:ident = $value:expr;)* }) => {
        $($(#[$doc])* pub const $name: $type = $value;)*
        $(#[$about])*
        pub const $family: $crate::constants::ConstantTable = &[$((stringify!($name), $name as i64)),*];
    };
}
