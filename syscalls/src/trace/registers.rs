//! Shows a call as register values.

use core::fmt::{self, Write};

use crate::arch::{ARGUMENT_REGISTERS, NUMBER_REGISTER, RESULT_REGISTER};
use crate::{Call, into_result};

/// The register values before the instruction.
pub(super) struct Registers<'c> {
    pub nr: usize,
    pub args: &'c [usize],
}

impl Registers<'_> {
    /// Writes the number and the arguments: `rax=1 (write) rdi=0x1 rsi=0x7ffc8e3b2a10 rdx=0xdf`.
    pub(super) fn before(&self, line: &mut dyn Write) -> fmt::Result {
        write!(line, "{NUMBER_REGISTER}={}", self.nr)?;
        if let Some(call) = Call::by_number(self.nr) {
            write!(line, " ({})", call.name)?;
        }
        for (register, value) in ARGUMENT_REGISTERS.iter().zip(self.args) {
            write!(line, " {register}={value:#x}")?;
        }
        Ok(())
    }

    /// Writes the result: ` -> rax=0xdf`, or ` -> rax=0xfffffffffffffff5 (-EAGAIN)`.
    pub(super) fn after(&self, result: usize, line: &mut dyn Write) -> fmt::Result {
        write!(line, " -> {RESULT_REGISTER}={result:#x}")?;
        match into_result(result) {
            Ok(_) => Ok(()),
            Err(errno) => write!(line, " (-{})", errno.name()),
        }
    }
}
