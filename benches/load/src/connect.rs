//! Connects, echoes one message and closes, repeatedly.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;

use anyhow::{Context, Result, ensure};

use crate::connection::Connection;
use crate::open::{STALL, dial};
use crate::pattern::{MAX_IO, Pattern};
use crate::recorder::{Phase, Recorder};
use crate::shape::Shape;

/// Keeps `shape.connections` connections open until the recorder has measured long enough, and returns how
/// many connections have finished.
///
/// A connection has finished when the server has closed its end too, so the server has accepted, echoed and
/// closed each connection that counts. The client closes first, so its end enters TIME_WAIT; [`dial`] uses
/// another address before the ports of one run out.
///
/// The client advances one connection after the other by one step, with blocking calls. The server can work
/// on all others in the meantime. The client therefore needs no epoll, whose cost would be part of every
/// connection.
///
/// # Errors
/// If a connection breaks, a byte is wrong or the server sends nothing for [`STALL`].
pub fn run(port: u16, shape: Shape, pattern: &Pattern, recorder: &mut Recorder) -> Result<u64> {
    let mut started = 0;
    let mut exchanges = Vec::new();
    for _ in 0..shape.connections {
        exchanges.push(Exchange::start(
            started, port, shape.size, pattern, recorder,
        )?);
        started += 1;
    }
    let mut buffer = [0; MAX_IO];
    let mut finished = 0;
    for turn in (0..exchanges.len()).cycle() {
        if turn == 0 && recorder.tick(recorder.now())? == Phase::Over {
            break;
        }
        let exchange = &mut exchanges[turn];
        if exchange.echoed {
            exchange.finish()?;
            recorder.message(exchange.since, recorder.now());
            recorder.count(shape.size as usize);
            finished += 1;
            *exchange = Exchange::start(started, port, shape.size, pattern, recorder)?;
            started += 1;
        } else {
            exchange.echo(shape.size, pattern, &mut buffer)?;
        }
    }
    Ok(finished)
}

/// One message over a connection of its own.
struct Exchange {
    connection: Connection,
    since: u64,
    echoed: bool,
}

impl Exchange {
    fn start(nth: u64, port: u16, size: u64, pattern: &Pattern, clock: &Recorder) -> Result<Self> {
        let since = clock.now();
        let stream = dial(nth, port)?;
        stream.set_read_timeout(Some(STALL))?;
        let mut connection = Connection::new(stream, nth);
        connection.send_up_to(size, pattern)?;
        Ok(Self {
            connection,
            since,
            echoed: false,
        })
    }

    fn echo(&mut self, size: u64, pattern: &Pattern, buffer: &mut [u8; MAX_IO]) -> Result<()> {
        while self.connection.received() < size {
            let length = self.connection.receive(pattern, buffer)?;
            ensure!(length > 0, "the server sent nothing for {STALL:?}");
        }
        self.connection
            .stream()
            .shutdown(Shutdown::Write)
            .context("shutdown")?;
        self.echoed = true;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let left = loop {
            match self.connection.stream().read(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.context("the server did not close its end")?,
            }
        };
        ensure!(left == 0, "the server sent more bytes than it received");
        Ok(())
    }
}
