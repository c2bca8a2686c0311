//! smol, after its `tcp-server` example: a task for each connection with `io::copy`.

use std::io;
use std::net::{TcpListener, TcpStream};

use clap::Parser;
use peers::{Command, announce};
use smol::Async;

fn main() -> io::Result<()> {
    smol::block_on(async {
        let listener = Async::<TcpListener>::bind(Command::parse().address())?;
        announce(listener.get_ref().local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            smol::spawn(echo(stream)).detach();
        }
    })
}

async fn echo(stream: Async<TcpStream>) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    smol::io::copy(&stream, &mut &stream).await?;
    Ok(())
}
