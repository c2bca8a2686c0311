//! Holds connections open while the caller reads the server's memory.

use std::io::{Read, Write, stdin, stdout};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::connection::Connection;
use crate::open::STALL;
use crate::pattern::{MAX_IO, Pattern};
use crate::shape::Shape;

/// Reports on stdout that the connections are open and holds them until stdin ends. Then echoes one more
/// message over each, to check that the server has kept all connections.
///
/// # Errors
/// If a connection has broken in the meantime.
pub fn run(connections: &mut [Connection], shape: Shape, pattern: &Pattern) -> Result<()> {
    println!(
        "{}",
        json!({"status": "open", "connections": connections.len()})
    );
    stdout().flush()?;
    stdin().read_to_end(&mut Vec::new())?;
    let mut buffer = [0; MAX_IO];
    for connection in connections {
        let goal = connection.sent() + shape.size;
        connection.send_up_to(goal, pattern)?;
        while connection.received() < goal {
            let length = connection.receive(pattern, &mut buffer)?;
            ensure!(length > 0, "the server sent nothing for {STALL:?}");
        }
    }
    Ok(())
}
