//! The macro that declares the constants of the kernel's headers.

/// The names and values of the constants that one argument can have.
///
/// ```
/// use syscalls::socket::{SHUTDOWN_HOW, SHUT_WR};
///
/// let (name, _) = SHUTDOWN_HOW.iter().find(|(_, value)| *value == SHUT_WR.into()).unwrap();
/// assert_eq!(*name, "SHUT_WR");
/// ```
pub type ConstantTable = &'static [(&'static str, i64)];

/// Declares the constants of one family and the table of their names, so that each number is written
/// once.
macro_rules! constants {
    ($(#[$about:meta])* $family:ident: $type:ty { $($(#[$doc:meta])* $name:ident = $value:expr;)* }) => {
        $($(#[$doc])* pub const $name: $type = $value;)*
        $(#[$about])*
        pub const $family: $crate::constants::ConstantTable = &[$((stringify!($name), $name as i64)),*];
    };
}
