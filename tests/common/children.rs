//! Starting programs, and closing descriptors of which they have no copy.
//!
//! A child has copies of all descriptors of the test process until it executes its program, those of other
//! tests included. A reader that is closed meanwhile is still open in that child, and a writer does not get
//! the error that the test expects.

use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

/// Held while a child does not execute its program yet.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts `command`. It executes its program when this returns.
pub fn spawn(command: &mut Command) -> Child {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn().expect("the program starts")
}

/// Closes `end`, so that no process has it open when this returns.
pub fn close_for_good<T>(end: T) {
    let _none = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    drop(end);
}
