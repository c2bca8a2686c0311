//! glommio, after its `echo` example: one executor, a local task for each connection.

use std::io;

use clap::Parser;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use peers::{BUFFER, Command, announce};

fn main() -> io::Result<()> {
    let command = Command::parse();
    let executor = LocalExecutorBuilder::new(Placement::Unbound).make()?;
    executor.run(serve(command))
}

async fn serve(command: Command) -> io::Result<()> {
    let listener = TcpListener::bind(command.address())?;
    announce(listener.local_addr()?);
    loop {
        let stream = listener.accept().await?;
        glommio::spawn_local(echo(stream)).detach();
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}
