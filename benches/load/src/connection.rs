//! A connection that sends known bytes and checks their echo.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};

use crate::pattern::{MAX_IO, Pattern};

/// A connection that sends a pattern of its own and expects the same bytes back.
pub struct Connection {
    stream: TcpStream,
    key: u64,
    sent: u64,
    received: u64,
}

impl Connection {
    /// Creates the connection with number `key`, which determines its bytes.
    pub fn new(stream: TcpStream, key: u64) -> Self {
        Self {
            stream,
            key,
            sent: 0,
            received: 0,
        }
    }

    /// Returns the socket, to set options and to register it with epoll.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Returns the number of bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the number of bytes received so far, which have all been checked.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Sends until `goal` bytes of the stream have been sent. Returns false if the socket is non-blocking and
    /// its buffer is full before.
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

    /// Reads once and checks the bytes. Returns their number, or 0 if none have arrived yet.
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
            "connection {} received other bytes than it sent, between {} and {}",
            self.key,
            self.received,
            self.received + length as u64
        );
        self.received += length as u64;
        ensure!(
            self.received <= self.sent,
            "the server sent more bytes than it received"
        );
        Ok(length)
    }
}
