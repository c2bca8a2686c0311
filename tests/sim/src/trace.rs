//! The trace of a run: the program's calls in the format of `--trace`, and other events between
//! them.

use syscalls::trace::{Format, Trace};

use crate::kernel::Sim;
use crate::memory;
use crate::world::World;

/// The descriptor to which the trace is written. The program's descriptors have lower numbers.
pub(crate) const TRACE_FD: usize = 1_000_000;

/// Returns a trace of the calls to `sim`, whose lines `sim` stores.
pub(crate) fn of(sim: &Sim) -> Trace<Sim> {
    Trace::new(
        memory::inherited(sim.clone(), TRACE_FD as i32),
        Format::Calls,
    )
}

impl World {
    /// Records an event outside the program between the calls.
    pub(crate) fn remark(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("        /* {} */", text()));
        }
    }

    /// Appends a piece of the trace of calls. The call that shows a violation is the last: the
    /// calls after it only clean up.
    pub(crate) fn traced(&mut self, bytes: &[u8]) {
        let Some(trace) = &mut self.trace else { return };
        if self.trace_ended {
            return;
        }
        self.trace_ended = self.violation.is_some();
        self.trace_line.extend(bytes);
        while let Some(end) = self.trace_line.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.trace_line.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]);
            trace.push(without_addresses(&line));
        }
    }
}

/// The smallest number of hexadecimal digits of an address. Other numbers in a trace have fewer.
const ADDRESS_DIGITS: usize = 9;

/// Returns `line` with `0x…` in place of each address, because addresses differ from run to run.
fn without_addresses(line: &str) -> String {
    let mut parts = line.split("0x");
    let mut shown = String::from(parts.next().unwrap_or(""));
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        shown.push_str("0x");
        if digits >= ADDRESS_DIGITS {
            shown.push('…');
            shown.push_str(&part[digits..]);
        } else {
            shown.push_str(part);
        }
    }
    shown
}
