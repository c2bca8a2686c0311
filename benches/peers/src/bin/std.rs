//! The standard library: a thread for each connection.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use clap::Parser;
use peers::{BUFFER, Command, announce};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(Command::parse().address())?;
    announce(listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(|| echo(stream));
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; BUFFER];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}
