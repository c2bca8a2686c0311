//! A simulated kernel, and all that is outside of it, to run the whole node in.
//!
//! [`Sim`] answers every call that the program makes from memory: sockets, pipes, epoll, time. A
//! seed decides everything that may go one way or another, which thread goes on, and what goes wrong
//! ([`Fault`]). While a run goes on, this must hold, at every call:
//!
//! - each client gets its own bytes, in order, none twice, and a conversation ends when all is
//!   echoed, unless the client or a fault has ended it;
//! - every request gets its one right reply, in order, byte for byte; an error has a code that what
//!   went wrong allows, and nothing else is written;
//! - the counters are what the simulator has counted, at some moment between a request and its
//!   reply;
//! - every call is one that a kernel takes: no descriptor is used that is not open, none is closed
//!   twice, none is left;
//! - the loop never waits in one call, and makes no call after call that brings nothing forward;
//! - everybody who keeps reading finishes; requests and stops end by their deadlines;
//! - no connection holds more than its bound.
//!
//! [`run()`] is one run; [`shrink`] looks for the smallest part of it that still shows a violation.
//! Everything depends on the seed alone: there is no real time, no address, no unordered map.
//!
//! Where to find what: `kernel`, `calls_io`, `calls_socket` answer calls; `threads` has the program's
//! threads take turns; `world` has time, the agenda and the invariants; `net`, `epoll`, `stdio` the
//! kernel's objects; `clients` those who are outside; `script`, `plan` draw a run; `model` judges the
//! replies.

mod calls_io;
mod calls_socket;
mod clients;
mod epoll;
mod faults;
mod kernel;
mod memory;
mod model;
mod net;
mod plan;
mod run;
mod script;
mod stdio;
mod threads;
mod trace;
mod world;

pub use faults::{Counts, Fault, KINDS};
pub use kernel::Sim;
pub use plan::Cuts;
pub use run::{Report, run, shrink};
pub use world::Violation;
