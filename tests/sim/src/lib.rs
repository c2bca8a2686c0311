//! A simulated kernel, and all that is outside of it, to run the whole node in.
//!
//! [`Sim`] answers every call that the program makes from memory: sockets, pipes, epoll, time. A
//! seed decides everything that may go one way or another, and what goes wrong. While a run goes on
//! the simulator checks what must always hold; see the invariants in [`run`].

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
mod trace;
mod world;

pub use faults::{Counts, Fault, KINDS};
pub use kernel::Sim;
pub use plan::Cuts;
pub use run::{Report, run, shrink};
pub use world::Violation;
