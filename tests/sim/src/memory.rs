//! The caller's memory as a kernel accesses it, through addresses from registers.
//!
//! This is the only module with `unsafe` code, apart from the trait's own method.

use std::marker::PhantomData;
use std::ptr;
use std::slice;

use syscalls::{Errno, Fd, Inherited};

use crate::kernel::Sim;

/// The memory of the program while it is in a call.
pub(crate) struct Memory<'a>(PhantomData<&'a [u8]>);

impl Memory<'_> {
    /// The memory of the caller of [`Kernel::syscall`](syscalls::Kernel::syscall).
    ///
    /// # Safety
    /// Every argument that the call takes for an address points to memory that may be read or
    /// written as the call does, until the call returns; and only the parts that the call names are
    /// asked for.
    pub(crate) unsafe fn of_caller() -> Self {
        Memory(PhantomData)
    }

    /// `len` bytes at `at`.
    ///
    /// # Errors
    /// `EFAULT` if no program can have memory there.
    pub(crate) fn read(&self, at: usize, len: usize) -> Result<&[u8], Errno> {
        if len == 0 {
            return Ok(&[]);
        }
        possible(at, len)?;
        // SAFETY: the caller of `of_caller` has promised that the call's memory can be read.
        Ok(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(at), len) })
    }

    /// Puts `bytes` at `at`.
    ///
    /// # Errors
    /// `EFAULT` if no program can have memory there.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        possible(at, bytes.len())?;
        // SAFETY: the caller of `of_caller` has promised that the call's memory can be written, and
        // `bytes` is the simulator's own, so they do not overlap.
        unsafe {
            ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                ptr::with_exposed_provenance_mut(at),
                bytes.len(),
            );
        }
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.read(at, N)?);
        Ok(bytes)
    }

    pub(crate) fn u32(&self, at: usize) -> Result<u32, Errno> {
        self.array(at).map(u32::from_ne_bytes)
    }

    pub(crate) fn u64(&self, at: usize) -> Result<u64, Errno> {
        self.array(at).map(u64::from_ne_bytes)
    }
}

/// Descriptor `raw` of `sim`, which is never closed.
pub(crate) fn inherited(sim: Sim, raw: i32) -> Inherited<Sim> {
    // SAFETY: nothing but the simulator's own memory stands behind a descriptor of `sim`.
    Inherited::new(unsafe { Fd::from_raw(sim, raw) })
}

/// Whether a program can have `len` bytes at `at`: not at null, and not beyond the half of the
/// addresses that is the program's.
pub(crate) fn possible(at: usize, len: usize) -> Result<(), Errno> {
    match at.checked_add(len) {
        Some(end) if at != 0 && end <= isize::MAX as usize => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}
