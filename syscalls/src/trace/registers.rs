//! A call as the machine sees it: numbers in registers.

use core::fmt::{self, Write};

use crate::arch::{ARGUMENTS, NUMBER, RESULT};
use crate::{Call, check};

/// What is in the registers before the instruction.
pub struct Registers<'c> {
    pub nr: usize,
    pub args: &'c [usize],
}

impl Registers<'_> {
    /// `rax=1 (write) rdi=0x1 rsi=0x7ffc8e3b2a10 rdx=0xdf`
    pub fn before(&self, line: &mut dyn Write) -> fmt::Result {
        write!(line, "{NUMBER}={}", self.nr)?;
        if let Some(call) = Call::by_number(self.nr) {
            write!(line, " ({})", call.name)?;
        }
        for (register, value) in ARGUMENTS.iter().zip(self.args) {
            write!(line, " {register}={value:#x}")?;
        }
        Ok(())
    }

    /// ` -> rax=0xdf`, or ` -> rax=0xfffffffffffffff5 (-EAGAIN)`
    pub fn after(&self, result: usize, line: &mut dyn Write) -> fmt::Result {
        write!(line, " -> {RESULT}={result:#x}")?;
        match check(result) {
            Ok(_) => Ok(()),
            Err(errno) => write!(line, " (-{})", errno.name()),
        }
    }
}
