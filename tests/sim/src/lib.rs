//! A simulated kernel with its network, clients and time, in which the whole node runs.
//!
//! [`Sim`] handles every call of the program in memory: sockets, pipes, epoll, time. A seed
//! determines every choice, including which thread runs next and which faults happen ([`Fault`]).
//! These invariants must hold, each at every call or at the end of the run:
//!
//! - each client gets its own bytes, in order, without duplicates, and a connection ends only when
//!   all its bytes are echoed, unless the client, a fault, the deadline of a stop or the program's
//!   exit ends it;
//! - every request gets exactly one correct reply, in order; an error's code fits its cause, and
//!   nothing else is written to standard output;
//! - reported counters equal the simulator's own counts at some moment between a request and its
//!   reply (with workers, each counter by itself);
//! - every call is valid: the program uses only open descriptors, and closes each of its own once;
//! - no call except the loop's wait blocks, and calls without progress are bounded;
//! - every client that keeps reading finishes; requests and stops end by their deadlines;
//! - no connection buffers more than its bound.
//!
//! [`run()`] makes one run; [`shrink`] searches for a shorter one that still violates the same
//! invariant. A run depends only on its seed and its [`Omissions`]: no real time, address or unordered
//! map affects it.
//!
//! Modules:
//!
//! - `kernel`, `calls_io` and `calls_socket` handle calls; `memory` accesses the program's memory;
//! - `threads` schedules the program's threads;
//! - `world` contains time, the agenda and most invariants; `model` checks the replies;
//! - `net`, `epoll` and `stdio` contain the kernel's objects, and `clients` the outside clients;
//! - `plan`, `script` and `faults` draw the parameters, the requests and the faults of a run;
//! - `run` makes and shrinks a run, and `trace` records it.

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
pub use plan::Omissions;
pub use run::{Report, run, shrink};
pub use world::Violation;
