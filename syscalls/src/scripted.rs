//! A kernel that answers from a script. Tests use it in place of the real kernel for code that makes typed
//! calls.
//!
//! ```
//! use syscalls::scripted::{Script, Step};
//! use syscalls::{Errno, Fd};
//!
//! let steps = [
//!     Step::new("eventfd2").returns(7),
//!     Step::new("read").arg(0, 7).writes(b"12345678"),
//!     Step::new("read").fails(Errno::EAGAIN),
//! ];
//! let script = Script::new(&steps);
//! let fd = syscalls::event::eventfd2(script.kernel(), 0, 0).unwrap();
//! let mut buffer = [0; 8];
//! assert_eq!(fd.read(&mut buffer), Ok(8));
//! assert_eq!(fd.read(&mut buffer), Err(Errno::EAGAIN));
//! script.assert_finished();
//! ```

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::time::Duration;

use crate::Kernel;
use crate::calls::Call;
use crate::epoll::EpollEvent;
use crate::errno::Errno;
use crate::time::Timespec;

/// An expected call, and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Step<'s> {
    call: &'s str,
    args: [Option<usize>; 6],
    answer: Answer<'s>,
}

#[derive(Clone, Copy, Debug)]
enum Answer<'s> {
    Returns(usize),
    Fails(Errno),
    Writes(&'s [u8]),
    Events(&'s [EpollEvent]),
    Time(Duration),
}

impl<'s> Step<'s> {
    /// Makes a step that expects `call` and answers with 0.
    pub const fn new(call: &'s str) -> Step<'s> {
        Step {
            call,
            args: [None; 6],
            answer: Answer::Returns(0),
        }
    }

    /// Expects argument `index` to be `value`.
    pub const fn arg(mut self, index: usize, value: usize) -> Step<'s> {
        self.args[index] = Some(value);
        self
    }

    const fn answers(mut self, answer: Answer<'s>) -> Step<'s> {
        self.answer = answer;
        self
    }

    /// Answers with `result`: a count, or a descriptor. The number of a descriptor that the process has
    /// open is harmless, because `close` never reaches a real kernel.
    pub const fn returns(self, result: usize) -> Step<'s> {
        self.answers(Answer::Returns(result))
    }

    /// Answers with the error `errno`.
    pub const fn fails(self, errno: Errno) -> Step<'s> {
        self.answers(Answer::Fails(errno))
    }

    /// Answers a `read` with `bytes`, or with as many of them as the buffer holds.
    pub const fn writes(self, bytes: &'s [u8]) -> Step<'s> {
        self.answers(Answer::Writes(bytes))
    }

    /// Answers an `epoll_pwait` with `events`, or with as many of them as the buffer holds.
    pub const fn reports(self, events: &'s [EpollEvent]) -> Step<'s> {
        self.answers(Answer::Events(events))
    }

    /// Answers a `clock_gettime` with the time `now`.
    pub const fn time(self, now: Duration) -> Step<'s> {
        self.answers(Answer::Time(now))
    }
}

/// The expected calls, in order. A `close` may occur at any point, and succeeds.
pub struct Script<'s> {
    steps: &'s [Step<'s>],
    next: AtomicUsize,
    closed: AtomicUsize,
}

impl fmt::Debug for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(&self.steps[self.next.load(Relaxed)..])
            .finish()
    }
}

impl<'s> Script<'s> {
    /// Makes a script that expects `steps`.
    pub const fn new(steps: &'s [Step<'s>]) -> Script<'s> {
        Script {
            steps,
            next: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
        }
    }

    /// Returns the kernel that answers from this script.
    pub fn kernel(&'s self) -> Scripted<'s> {
        Scripted(self)
    }

    /// Returns the number of descriptors that have been closed.
    pub fn closed(&self) -> usize {
        self.closed.load(Relaxed)
    }

    /// Checks that every expected call was made.
    ///
    /// # Panics
    /// Panics if one was not made.
    pub fn assert_finished(&self) {
        assert!(
            self.next.load(Relaxed) == self.steps.len(),
            "not called: {self:?}"
        );
    }
}

/// A kernel that answers from a [`Script`].
///
/// # Panics
/// Panics at a call that is not the next one in the script, or that has another argument than expected.
#[derive(Clone, Copy, Debug)]
pub struct Scripted<'s>(&'s Script<'s>);

// SAFETY: it writes only what the answered call would write, and at most as much as the caller's buffer
// holds. Its descriptors are numbers that it passes to no other kernel.
unsafe impl Kernel for Scripted<'_> {
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
        let Script {
            steps,
            next,
            closed,
        } = self.0;
        let name = Call::by_number(nr).map_or("a call without a row", |call| call.name);
        if name == "close" {
            closed.fetch_add(1, Relaxed);
            return 0;
        }
        let Some(step) = steps.get(next.load(Relaxed)) else {
            panic!("{name}{args:?} after the end of the script");
        };
        assert!(step.call == name, "{name}{args:?} instead of {}", step.call);
        next.fetch_add(1, Relaxed);
        for (index, expected) in step.args.iter().enumerate() {
            if let Some(value) = expected {
                assert!(
                    args.get(index) == Some(value),
                    "{name}{args:?}: argument {index} is not {value}"
                );
            }
        }
        match (step.answer, name) {
            (Answer::Returns(result), _) => result,
            (Answer::Fails(errno), _) => errno.to_result(),
            (Answer::Writes(bytes), "read") => {
                let len = bytes.len().min(args[2]);
                // SAFETY: by the contract of `read`, `args[2]` bytes at `args[1]` may be written.
                unsafe { write(args[1], &bytes[..len]) };
                len
            }
            (Answer::Events(events), "epoll_pwait") => {
                let len = events.len().min(args[2]);
                // SAFETY: by the contract of `epoll_pwait`, `args[2]` events at `args[1]` may be written.
                unsafe { write(args[1], &events[..len]) };
                len
            }
            (Answer::Time(now), "clock_gettime") => {
                let time = Timespec {
                    tv_sec: now.as_secs() as i64,
                    tv_nsec: now.subsec_nanos().into(),
                };
                // SAFETY: by the contract of `clock_gettime`, a timespec at `args[1]` may be written.
                unsafe { write(args[1], &[time]) };
                0
            }
            (answer, _) => panic!("{answer:?} is no answer to {name}"),
        }
    }
}

/// Writes `values` to the address `at`.
///
/// # Safety
/// The memory at `at` has exposed provenance, is aligned for a `T`, and may be overwritten with `values`.
unsafe fn write<T: Copy>(at: usize, values: &[T]) {
    let to = ptr::with_exposed_provenance_mut(at);
    // SAFETY: the caller upholds the contract. `values` belongs to the script, so the two do not overlap.
    unsafe { ptr::copy_nonoverlapping(values.as_ptr(), to, values.len()) };
}
