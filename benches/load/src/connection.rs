//! One connection whose every byte is known.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};

use crate::pattern::{MAX_IO, Pattern};

/// A stream that sends its own pattern and expects it back.
pub struct Connection {
    stream: TcpStream,
    key: u64,
    sent: u64,
    received: u64,
}

impl Connection {
    /// The stream of the `key`th connection. Different keys, different bytes.
    pub fn new(stream: TcpStream, key: u64) -> Self {
        Self {
            stream,
            key,
            sent: 0,
            received: 0,
        }
    }

    /// The socket, to set options and to wait for.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes received, and found right, so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Sends until `goal` bytes of the stream are out. Returns whether they
    /// are: a non-blocking socket may be full.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn send_up_to(&mut self, goal: u64, pattern: &Pattern) -> Result<bool> {
        while self.sent < goal {
            let length = (goal - self.sent).min(MAX_IO as u64) as usize;
            match self
                .stream
                .write(pattern.window(self.key, self.sent, length))
            {
                Ok(written) => self.sent += written as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("write to the server"),
            }
        }
        Ok(true)
    }

    /// Reads once and checks what came. Returns the number of bytes, 0 if
    /// there were none yet.
    ///
    /// # Errors
    /// If the connection breaks or ends, or a byte is not the one that was sent.
    pub fn receive(&mut self, pattern: &Pattern, buffer: &mut [u8; MAX_IO]) -> Result<usize> {
        let length = loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!(
                    "the server ended connection {} at byte {}",
                    self.key,
                    self.received
                ),
                Ok(length) => break length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("read from the server"),
            }
        };
        ensure!(
            buffer[..length] == *pattern.window(self.key, self.received, length),
            "connection {} got other bytes than it sent, between {} and {}",
            self.key,
            self.received,
            self.received + length as u64
        );
        self.received += length as u64;
        ensure!(self.received <= self.sent, "the server sent bytes twice");
        Ok(length)
    }
}
