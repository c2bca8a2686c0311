//! The trace of a run: the program's calls in the format of `--trace`, and what happens beside them.

use syscalls::trace::{Form, Trace};

use crate::kernel::Sim;
use crate::memory;
use crate::world::World;

/// The descriptor to which the trace is written. The program has none with so high a number.
pub(crate) const TRACE_FD: usize = 1_000_000;

/// A trace of the calls to `sim`, which `sim` keeps.
pub(crate) fn of(sim: &Sim) -> Trace<Sim> {
    Trace::new(memory::inherited(sim.clone(), TRACE_FD as i32), Form::Calls)
}

impl World {
    /// Writes down what happens outside, beside the calls.
    pub(crate) fn remark(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("        /* {} */", text()));
        }
    }

    /// A piece of the trace of calls. The call that shows a violation is the last: what follows is
    /// the program's end.
    pub(crate) fn traced(&mut self, bytes: &[u8]) {
        let Some(trace) = &mut self.trace else { return };
        if self.trace_ended {
            return;
        }
        self.trace_ended = self.violation.is_some();
        self.trace_line.extend(bytes);
        while let Some(end) = self.trace_line.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.trace_line.drain(..=end).collect();
            trace.push(String::from_utf8_lossy(&line[..end]).into_owned());
        }
    }
}
