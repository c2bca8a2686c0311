//! The code that all peers share: the command line, the line that announces the
//! port, and the sizes of buffers.
//!
//! No peer handles SIGTERM: its default action ends them.

pub mod bare;

use std::io::{Write, stdout};
use std::net::{Ipv4Addr, SocketAddr};

use clap::Parser;

/// Bytes a peer with a buffer for each connection reads at once. Between the
/// 8 KiB that most copy loops come with and the 64 KiB of libuv, whose cost in
/// memory is multiplied by the number of connections.
pub const BUFFER: usize = 16 * 1024;

/// Bytes read at once through one buffer that all connections share, where the
/// size costs nothing.
pub const SHARED_BUFFER: usize = 64 * 1024;

/// The command line of a peer.
#[derive(Parser)]
pub struct Command {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
}

impl Command {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// Announces on stdout that the server listens.
///
/// # Panics
/// If stdout has no reader: the port would then be unknown.
pub fn announce(address: SocketAddr) {
    println!(r#"{{"status": "listening", "port": {}}}"#, address.port());
    stdout().flush().expect("stdout is closed");
}
