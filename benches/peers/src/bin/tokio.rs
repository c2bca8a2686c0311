//! tokio, after the echo server on its front page: a task for each connection, which loops over `read` and
//! `write_all`.

use std::io;

use clap::{Parser, ValueEnum};
use peers::{BUFFER, Command, announce};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

#[derive(Parser)]
struct Tokio {
    #[command(flatten)]
    command: Command,
    /// Scheduler of tokio that runs the tasks
    #[arg(long, value_enum, default_value_t = Runtime::MultiThread)]
    runtime: Runtime,
}

#[derive(Clone, Copy, ValueEnum)]
enum Runtime {
    CurrentThread,
    MultiThread,
}

fn main() -> io::Result<()> {
    let Tokio { command, runtime } = Tokio::parse();
    let mut builder = match runtime {
        Runtime::CurrentThread => Builder::new_current_thread(),
        Runtime::MultiThread => Builder::new_multi_thread(),
    };
    builder.enable_io().build()?.block_on(serve(command))
}

async fn serve(command: Command) -> io::Result<()> {
    let listener = TcpListener::bind(command.address()).await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
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
