//! The memory layout of the C structs that pass between a program and the kernel.
//!
//! A [`Layout`] has the size, the alignment and the fields of one of this crate's `#[repr(C)]` types, as
//! compiled. [`LAYOUTS`](crate::LAYOUTS) lists all layouts; each is declared in the file of its type. The
//! tests compare them with the structs of the C library and of the kernel's headers.
//!
//! ```
//! use syscalls::LAYOUTS;
//!
//! let event = LAYOUTS.iter().find(|layout| layout.name == "struct epoll_event").unwrap();
//! // Packed on x86_64.
//! let expected = if cfg!(target_arch = "x86_64") { (12, 4) } else { (16, 8) };
//! assert_eq!((event.size, event.fields[1].offset), expected);
//! ```

/// The layout of one C struct.
#[derive(Debug)]
pub struct Layout {
    /// Its name in C.
    pub name: &'static str,
    /// Its size in bytes, padding included.
    pub size: usize,
    /// Its alignment in bytes.
    pub align: usize,
    /// Its fields.
    pub fields: &'static [Field],
}

/// The place of a field in a C struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in C.
    pub name: &'static str,
    /// Its offset from the start of the struct, in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
}

/// Returns the size of the result of a function that reads a field of a `T`. The function is not called.
pub const fn size_of_field<T, F>(_: fn(T) -> F) -> usize {
    core::mem::size_of::<F>()
}

/// Makes the layout of a type. `$name` is the name of the struct in C, and each field has its name in C.
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
