//! mio, after its `tcp_server` example: one poll loop, a map from token to connection, and reads and writes
//! until they would block.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};

use clap::Parser;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use peers::{Command, SHARED_BUFFER, announce};

const LISTENER: Token = Token(0);

/// The most events of one poll: the capacity in mio's documentation.
const EVENTS: usize = 1024;

fn main() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);
    let mut listener = TcpListener::bind(Command::parse().address())?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    announce(listener.local_addr()?);

    let mut connections = HashMap::new();
    let mut last = LISTENER;
    let mut buffer = vec![0; SHARED_BUFFER];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Some(mut stream) = would_block(listener.accept())?.map(|(it, _)| it) {
                    stream.set_nodelay(true)?;
                    last = Token(last.0 + 1);
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, last, interest)?;
                    connections.insert(
                        last,
                        Connection {
                            stream,
                            unsent: Vec::new(),
                        },
                    );
                }
            } else if let Some(connection) = connections.get_mut(&event.token())
                && !connection.echo(&mut buffer).unwrap_or(false)
            {
                connections.remove(&event.token());
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// The bytes that the last write did not accept.
    unsent: Vec<u8>,
}

impl Connection {
    /// Echoes until a read or a write would block, because mio's events are edge-triggered. Returns whether
    /// the connection stays open.
    fn echo(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            while !self.unsent.is_empty() {
                let Some(written) = would_block(self.stream.write(&self.unsent))? else {
                    return Ok(true);
                };
                self.unsent.drain(..written);
            }
            let Some(length) = would_block(self.stream.read(buffer))? else {
                return Ok(true);
            };
            if length == 0 {
                return Ok(false);
            }
            let written = would_block(self.stream.write(&buffer[..length]))?.unwrap_or(0);
            self.unsent.extend_from_slice(&buffer[written..length]);
        }
    }
}

/// Returns `None` for a call that would block or was interrupted.
fn would_block<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
