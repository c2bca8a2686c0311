//! Looking at the caller's memory through an argument of its call.

use core::ffi::CStr;
use core::{ptr, slice};

/// The `len` bytes at `address`; none if that is null.
///
/// # Safety
/// Unless `address` is null, `len` initialized bytes lie there, in memory that was exposed
/// (`expose_provenance`), and nobody changes them during `'m`.
pub unsafe fn bytes<'m>(address: usize, len: usize) -> &'m [u8] {
    if address == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for the bytes; the address is not null, and any is aligned.
    unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address), len) }
}

/// Copies of the `len` objects at `address`, each made when it is asked for; none if that is null.
///
/// # Safety
/// Unless `address` is null, `len` initialized objects of type `T` lie there, aligned or not, in
/// memory that was exposed, and nobody changes them while the iterator lives.
pub unsafe fn objects<T: Copy>(address: usize, len: usize) -> impl Iterator<Item = T> {
    let first: *const T = ptr::with_exposed_provenance(address);
    let len = if first.is_null() { 0 } else { len };
    // SAFETY: the caller vouches for the objects, and `i` is the index of one.
    (0..len).map(move |i| unsafe { first.add(i).read_unaligned() })
}

/// A copy of the object at `address`, unless that is null.
///
/// # Safety
/// As for [`objects`], with a length of 1.
pub unsafe fn object<T: Copy>(address: usize) -> Option<T> {
    // SAFETY: the caller's promise, handed on.
    unsafe { objects(address, 1) }.next()
}

/// The string at `address`, without its NUL; empty if that is null.
///
/// # Safety
/// Unless `address` is null, a string with a NUL at its end lies there, in memory that was exposed,
/// and nobody changes it during `'m`.
pub unsafe fn string<'m>(address: usize) -> &'m [u8] {
    if address == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for the string; the address is not null.
    unsafe { CStr::from_ptr(ptr::with_exposed_provenance(address)) }.to_bytes()
}
