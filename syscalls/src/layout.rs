//! How the C structs that pass between a program and the kernel lie in memory.
//!
//! A `Layout` states what the compiler made of one of this crate's `#[repr(C)]` types. Each family's
//! file declares the layouts of its own structs, and [`LAYOUTS`](crate::LAYOUTS) lists them all. The
//! tests compare them with the C library's structs and with the kernel's headers.

/// One C struct.
#[derive(Debug)]
pub struct Layout {
    /// Its name in C.
    pub name: &'static str,
    /// Its size in bytes, padding included.
    pub size: usize,
    /// What its address must be a multiple of.
    pub align: usize,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a C struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in C.
    pub name: &'static str,
    /// Its distance from the struct's start in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
}

/// The size of what a function takes out of a `T`. The function is never called.
pub const fn size_of_field<T, F>(_: fn(T) -> F) -> usize {
    core::mem::size_of::<F>()
}

/// The layout of a type as C's `$name`. The fields have C's names.
macro_rules! layout {
    ($name:literal, $type:ty { $($field:ident),* }) => {
        $crate::layout::Layout {
            name: $name,
            size: core::mem::size_of::<$type>(),
            align: core::mem::align_of::<$type>(),
            fields: &[$($crate::layout::Field {
                name: stringify!($field),
                offset: core::mem::offset_of!($type, $field),
                size: $crate::layout::size_of_field(|of: $type| of.$field),
            }),*],
        }
    };
}
