//! monoio, after the echo server in its README: the task passes its buffers to the runtime and gets them
//! back.
//!
//! The fusion driver uses `io_uring` if the kernel has it, and epoll otherwise.

use std::io;

use clap::Parser;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use peers::{BUFFER, Command, announce};

#[monoio::main(driver = "fusion")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(Command::parse().address())?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        monoio::spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let (result, filled) = stream.read(buffer).await;
        if result? == 0 {
            return Ok(());
        }
        let (result, written) = stream.write_all(filled).await;
        result?;
        buffer = written;
        buffer.clear();
    }
}
