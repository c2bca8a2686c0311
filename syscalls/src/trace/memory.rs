//! Reads the caller's memory at an address that is an argument of its call.

use core::ffi::CStr;
use core::{ptr, slice};

/// Returns the `len` bytes at `address`, or none if it is null.
///
/// # Safety
/// Unless `address` is null, it points to `len` initialized bytes of memory with exposed provenance
/// (`expose_provenance`), which no code changes during `'m`.
pub(super) unsafe fn bytes<'m>(address: usize, len: usize) -> &'m [u8] {
    if address == 0 {
        return &[];
    }
    // SAFETY: the caller guarantees the bytes; the address is not null, and bytes need no alignment.
    unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address), len) }
}

/// Returns copies of the `len` objects at `address`, or none if it is null. Each is read on demand.
///
/// # Safety
/// Unless `address` is null, it points to `len` initialized objects of type `T`, aligned or not, in
/// memory with exposed provenance, which no code changes during the iterator's lifetime.
pub(super) unsafe fn objects<T: Copy>(address: usize, len: usize) -> impl Iterator<Item = T> {
    let first: *const T = ptr::with_exposed_provenance(address);
    let len = if first.is_null() { 0 } else { len };
    // SAFETY: the caller guarantees the objects, and `i` is the index of one.
    (0..len).map(move |i| unsafe { first.add(i).read_unaligned() })
}

/// Returns a copy of the object at `address`, unless it is null.
///
/// # Safety
/// As for [`objects`], with a length of 1.
pub(super) unsafe fn object<T: Copy>(address: usize) -> Option<T> {
    // SAFETY: the caller upholds the contract for a length of 1.
    unsafe { objects(address, 1) }.next()
}

/// Returns the string at `address` without its NUL, or an empty one if it is null.
///
/// # Safety
/// Unless `address` is null, it points to a string with a NUL at its end, in memory with exposed
/// provenance, which no code changes during `'m`.
pub(super) unsafe fn string<'m>(address: usize) -> &'m [u8] {
    if address == 0 {
        return &[];
    }
    // SAFETY: the caller guarantees the string; the address is not null.
    unsafe { CStr::from_ptr(ptr::with_exposed_provenance(address)) }.to_bytes()
}
