//! The code that the servers in Rust share: the command line, the line that announces the port, and the buffer
//! sizes.
//!
//! None of them handles SIGTERM, whose default action terminates the process.

pub mod bare;

use std::io::{Write, stdout};
use std::net::{Ipv4Addr, SocketAddr};

use clap::Parser;

/// The buffer size of a peer with a buffer for each connection, in bytes. It is between the 8 KiB of most
/// copy loops and the 64 KiB of libuv, which would use much memory with many connections.
pub const BUFFER: usize = 16 * 1024;

/// The size of a buffer that all connections share, in bytes. It may be larger, because its memory does not
/// grow with the number of connections.
pub const SHARED_BUFFER: usize = 64 * 1024;

/// The command line of a peer.
#[derive(Parser)]
pub struct Command {
    /// Port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
}

impl Command {
    /// Returns the address to listen on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// Announces on stdout that the server listens.
///
/// # Panics
/// If stdout has no reader, because the port would remain unknown.
pub fn announce(address: SocketAddr) {
    println!(r#"{{"status": "listening", "port": {}}}"#, address.port());
    stdout().flush().expect("stdout is closed");
}
