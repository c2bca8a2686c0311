//! Connect, echo one message, close; again and again.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;

use anyhow::{Context, Result, ensure};

use crate::connection::Connection;
use crate::open::{STALL, dial};
use crate::pattern::{MAX_IO, Pattern};
use crate::recorder::{Phase, Recorder};
use crate::shape::Shape;

/// Keeps `shape.connections` connections open until the recorder has seen
/// enough, and returns how many there were in all.
///
/// A connection is finished when the server has closed its end too, so each
/// one that counts was accepted, echoed and closed by the server. The client
/// closes first and keeps the TIME_WAIT; [`dial`] moves on to another address
/// before the ports of one run out.
///
/// Advances the connections in turn by one step each, with blocking calls. The
/// server works on all others in the meantime, and the client needs no epoll,
/// whose cost would be part of every connection.
///
/// # Errors
/// If a connection breaks, a byte is wrong or the server gets stuck.
pub fn run(port: u16, shape: Shape, pattern: &Pattern, recorder: &mut Recorder) -> Result<u64> {
    let mut started = 0;
    let mut conversations = Vec::new();
    for _ in 0..shape.connections {
        conversations.push(Conversation::start(
            started, port, shape.size, pattern, recorder,
        )?);
        started += 1;
    }
    let mut buffer = [0; MAX_IO];
    let mut finished = 0;
    for turn in (0..conversations.len()).cycle() {
        if turn == 0 && recorder.tick(recorder.now())? == Phase::Over {
            break;
        }
        let conversation = &mut conversations[turn];
        if conversation.echoed {
            conversation.finish()?;
            recorder.message(conversation.since, recorder.now());
            recorder.count(shape.size as usize);
            finished += 1;
            *conversation = Conversation::start(started, port, shape.size, pattern, recorder)?;
            started += 1;
        } else {
            conversation.echo(shape.size, pattern, &mut buffer)?;
        }
    }
    Ok(finished)
}

struct Conversation {
    connection: Connection,
    since: u64,
    echoed: bool,
}

impl Conversation {
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
        ensure!(left == 0, "the server sent more than it got");
        Ok(())
    }
}
