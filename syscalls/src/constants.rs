//! How the constants of the kernel's headers are declared.

/// A family of constants that may stand in one argument: their values and names.
pub type ConstantTable = &'static [(&'static str, i64)];

/// Declares the constants of one family and, beside them, the table of their names, so that a
/// number has its name in one place.
macro_rules! constants {
    ($(#[$about:meta])* $family:ident: $type:ty { $($(#[$doc:meta])* $name:ident = $value:expr;)* }) => {
        $($(#[$doc])* pub const $name: $type = $value;)*
        $(#[$about])*
        pub const $family: $crate::constants::ConstantTable = &[$((stringify!($name), $name as i64)),*];
    };
}
