//! The caller's memory as a kernel accesses it, through addresses from registers.
//!
//! This is the only module with `unsafe` code, apart from the implementation of `Kernel`.

use std::marker::PhantomData;
use std::ptr;
use std::slice;

use syscalls::{Errno, Fd, Inherited};

use crate::kernel::Sim;

/// The memory of the program while it is in a call.
pub(crate) struct Memory<'a>(PhantomData<&'a [u8]>);

impl Memory<'_> {
    /// Returns access to the memory of the caller of [`Kernel::syscall`](syscalls::Kernel::syscall).
    ///
    /// # Safety
    /// Until the call returns, every address among its arguments must point to memory that may be read or
    /// written as the call does. Only the memory that the call names may be accessed.
    pub(crate) unsafe fn of_caller() -> Self {
        Memory(PhantomData)
    }

    /// Returns the `len` bytes at `at`.
    ///
    /// # Errors
    /// `EFAULT` if no program can have memory there.
    pub(crate) fn read(&self, at: usize, len: usize) -> Result<&[u8], Errno> {
        if len == 0 {
            return Ok(&[]);
        }
        possible(at, len)?;
        // SAFETY: the caller of `of_caller` guarantees that the call's memory can be read.
        Ok(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(at), len) })
    }

    /// Writes `bytes` at `at`.
    ///
    /// # Errors
    /// `EFAULT` if no program can have memory there.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        possible(at, bytes.len())?;
        // SAFETY: the caller of `of_caller` guarantees that the call's memory can be written. `bytes` belongs
        // to the simulator, so the two do not overlap.
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

/// Returns descriptor `raw` of `sim`, which is never closed.
pub(crate) fn inherited(sim: Sim, raw: i32) -> Inherited<Sim> {
    // SAFETY: a descriptor of `sim` refers only to the simulator's own memory.
    Inherited::new(unsafe { Fd::from_raw(sim, raw) })
}

/// Checks that a program can have `len` bytes at `at`: not at null, and in the lower half of the address
/// space, which belongs to the program.
pub(crate) fn possible(at: usize, len: usize) -> Result<(), Errno> {
    match at.checked_add(len) {
        Some(end) if at != 0 && end <= isize::MAX as usize => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}
