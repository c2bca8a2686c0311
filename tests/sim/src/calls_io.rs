//! The simulated calls on descriptors of any kind (read, write, close and waits) and on the process.

use std::time::Duration;

use syscalls::Errno;
use syscalls::epoll::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLHUP, EPOLLIN,
    EPOLLOUT,
};
use syscalls::event::{EFD_CLOEXEC, EFD_NONBLOCK};
use syscalls::process::RLIMIT_NOFILE;
use syscalls::signal::SIGPIPE;
use syscalls::socket::MSG_NOSIGNAL;
use syscalls::time::CLOCK_MONOTONIC;

use crate::epoll::{DATA, EVENT, Epoll, Registration};
use crate::faults::{Fault, choose};
use crate::memory::{Memory, possible};
use crate::net::{CLIENT, Owner, SERVER};
use crate::stdio::{Kind, Output};
use crate::threads::{BlockedCall, WaitTarget};
use crate::world::{Actor, File, MILLISECOND, State, World};

/// `MAX_RW_COUNT`: the most bytes that one read or write transfers.
const MAX_COUNT: usize = 0x7fff_f000;

const UIO_MAXIOV: usize = 1024;

/// `SIG_IGN`.
const IGNORE: u64 = 1;

/// The size of the kernel's `sigset_t`.
const SIGSET: usize = 8;

/// An event that epoll reports: its place in the set (`None` for a stale event), token and events.
type Event = (Option<usize>, u64, u32);

impl World {
    /// Returns the file behind descriptor `fd`.
    pub(crate) fn file(&mut self, call: &str, fd: usize) -> Result<File, Errno> {
        match self.table.get(fd as u32 as usize) {
            Some(&Some(file)) => Ok(file),
            _ => {
                let used = format!("{call} on descriptor {}, which is not open,", fd as i32);
                Err(self.misused(&used, Errno::EBADF))
            }
        }
    }

    /// Returns whether there is a free descriptor.
    pub(crate) fn has_descriptor(&self) -> bool {
        let open = self.table.iter().position(Option::is_none);
        (open.unwrap_or(self.table.len()) as u64) < self.limit
    }

    /// Opens the lowest free descriptor.
    pub(crate) fn open(&mut self, file: File) -> Result<usize, Errno> {
        if !self.has_descriptor() {
            self.faults.counts.count(Fault::DescriptorLimit);
            return Err(Errno::EMFILE);
        }
        self.step();
        if let Some(fd) = self.table.iter().position(Option::is_none) {
            self.table[fd] = Some(file);
            return Ok(fd);
        }
        self.table.push(Some(file));
        Ok(self.table.len() - 1)
    }

    pub(crate) fn close(&mut self, fd: usize) -> Result<usize, Errno> {
        let file = self.file("close", fd)?;
        let fd = fd as u32 as usize;
        if self.strict && matches!(file, File::Stdin | File::Stdout | File::Stderr) {
            let seen = format!("descriptor {fd}, which the parent opened, is closed");
            self.violated("descriptors are closed by their owner", seen);
        }
        self.table[fd] = None;
        self.step();
        for epoll in &mut self.epolls {
            if let Some(position) = epoll.position(fd) {
                epoll.remove(position);
            }
        }
        match file {
            File::Socket(socket) => self.close_socket(socket),
            File::Epoll(epoll) => self.epolls[epoll].set.clear(),
            _ => {}
        }
        if self.happens(Fault::CloseInterrupted) {
            return Err(Errno::EINTR);
        }
        if self.happens(Fault::CloseFails) {
            return Err(Errno::EIO);
        }
        Ok(0)
    }

    pub(crate) fn read(
        &mut self,
        fd: usize,
        at: usize,
        len: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let file = self.file("read", fd)?;
        if len > 0 && possible(at, len.min(MAX_COUNT)).is_err() {
            return Err(self.misused("read", Errno::EFAULT));
        }
        let len = len.min(MAX_COUNT);
        if len == 0 && self.strict {
            return Err(self.misused("read of 0 bytes", Errno::EINVAL));
        }
        if self.happens(Fault::ReadInterrupted) {
            return Err(Errno::EINTR);
        }
        let bytes = match file {
            File::Stdin => self.read_stdin(len)?,
            File::Socket(socket) => self.read_socket(socket, len)?,
            File::Event(event) => self.read_event(event, len)?,
            File::Stdout | File::Stderr => return Err(self.misused("read", Errno::EBADF)),
            File::Epoll(_) => return Err(self.misused("read", Errno::EINVAL)),
        };
        memory.write(at, &bytes)?;
        self.step();
        Ok(bytes.len())
    }

    fn read_stdin(&mut self, len: usize) -> Result<Vec<u8>, Errno> {
        if self.stdin.available() == 0 && !self.stdin.closed {
            if self.stdin.kind == Kind::NonblockingPipe {
                return Err(Errno::EAGAIN);
            }
            if self.stdin.kind == Kind::Pipe {
                self.violated(
                    "only the loop's wait blocks",
                    "read blocks on standard input, and no client is served meanwhile",
                );
            }
            return Err(Errno::EAGAIN);
        }
        if self.stdin.kind == Kind::NonblockingPipe && self.happens(Fault::ReadAgain) {
            return Err(Errno::EAGAIN);
        }
        let mut count = self.stdin.available().min(len);
        if count > 1 && self.happens(Fault::ReadShort) {
            count = self.short(count);
        }
        let input = &mut self.stdin;
        let bytes = input.script[input.taken..input.taken + count].to_vec();
        input.taken += count;
        if count == 0 {
            self.exiting = true;
        }
        let calls = self.calls;
        let taken = self.stdin.taken;
        self.model.read_up_to(taken, calls);
        self.schedule_in(Actor::Stdin, 0);
        Ok(bytes)
    }

    pub(crate) fn eventfd2(&mut self, initial: usize, flags: usize) -> Result<usize, Errno> {
        if flags as i32 != EFD_CLOEXEC | EFD_NONBLOCK {
            // The kernel accepts other flags too. Without EFD_NONBLOCK, a read would block.
            return Err(self.misused("eventfd2", Errno::EINVAL));
        }
        self.events.push(u64::from(initial as u32));
        self.open(File::Event(self.events.len() - 1))
    }

    fn read_event(&mut self, event: usize, len: usize) -> Result<Vec<u8>, Errno> {
        if len < size_of::<u64>() {
            return Err(self.misused("read of an eventfd", Errno::EINVAL));
        }
        match std::mem::take(&mut self.events[event]) {
            0 => Err(Errno::EAGAIN),
            count => Ok(count.to_ne_bytes().into()),
        }
    }

    fn write_event(&mut self, event: usize, bytes: &[u8]) -> Result<usize, Errno> {
        let count = match bytes.first_chunk() {
            Some(&count) if count != [0xff; 8] => u64::from_ne_bytes(count),
            _ => return Err(self.misused("write to an eventfd", Errno::EINVAL)),
        };
        match self.events[event].checked_add(count) {
            None | Some(u64::MAX) => Err(Errno::EAGAIN),
            Some(sum) => {
                self.events[event] = sum;
                Ok(size_of::<u64>())
            }
        }
    }

    /// Returns 1 in half of the cases, and otherwise a random number from 1 to `count - 1`.
    fn short(&mut self, count: usize) -> usize {
        if self.rng.bool() {
            1
        } else {
            self.rng.usize(1..count)
        }
    }

    fn read_socket(&mut self, socket: usize, len: usize) -> Result<Vec<u8>, Errno> {
        let State::Stream { conn, end } = self.sockets[socket].state else {
            return Err(self.misused("read", Errno::ENOTCONN));
        };
        let state = &self.conns[conn];
        if state.readable(end) == 0 && !state.is_at_end(end) && !self.sockets[socket].nonblocking {
            return Err(self.would_wait("read"));
        }
        if state.readable(end) > 0 || state.is_at_end(end) {
            if self.happens(Fault::ReadAgain) {
                // Count another event, as if the bytes arrived right after the read.
                self.conns[conn].ends[end].event_count += 1;
                return Err(Errno::EAGAIN);
            }
            if self.conns[conn].established() && self.happens(Fault::ReadFails) {
                let errno = *choose(&mut self.rng, &[Errno::ECONNRESET, Errno::ETIMEDOUT]);
                self.blame(socket, "read", errno);
                self.reset(conn, errno);
                self.conns[conn].ends[end].error = None;
                return Err(errno);
            }
        }
        let mut count = self.conns[conn].readable(end).min(len);
        if count > 1 && self.happens(Fault::ReadShort) {
            // Count another event, as if the remaining bytes arrived right after the read.
            self.conns[conn].ends[end].event_count += 1;
            count = self.short(count);
        }
        let outcome = self.conns[conn].read(end, if count == 0 { len } else { count });
        let bytes = match outcome {
            Ok(bytes) => bytes,
            Err(errno) => {
                if errno != Errno::EAGAIN {
                    self.blame(socket, "read", errno);
                }
                return Err(errno);
            }
        };
        if end == SERVER {
            self.server_read(conn, &bytes);
            if !bytes.is_empty() {
                self.wake_owner(conn);
            }
        } else {
            self.client_moved(conn);
            let state = &mut self.conns[conn];
            state.came.extend(&bytes);
            state.client_saw_end |= bytes.is_empty();
        }
        Ok(bytes)
    }

    /// Records progress on `conn`, if the program's own client made it.
    pub(crate) fn client_moved(&mut self, conn: usize) {
        if let Owner::Inside(attempt) = self.conns[conn].owner {
            self.attempts[attempt].moved_at = self.now;
        }
    }

    fn would_wait(&mut self, call: &'static str) -> Errno {
        if self.strict {
            self.violated(
                "only the loop's wait blocks",
                format!("{call} blocks, and no client is served meanwhile"),
            );
        }
        Errno::EAGAIN
    }

    pub(crate) fn write(
        &mut self,
        fd: usize,
        at: usize,
        len: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        self.write_bytes("write", fd, at, len, false, memory)
    }

    fn write_bytes(
        &mut self,
        call: &'static str,
        fd: usize,
        at: usize,
        len: usize,
        no_signal: bool,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let file = self.file(call, fd)?;
        let Ok(bytes) = memory.read(at, len.min(MAX_COUNT)) else {
            return Err(self.misused(call, Errno::EFAULT));
        };
        if bytes.is_empty() && self.strict {
            return Err(self.misused("write of 0 bytes", Errno::EINVAL));
        }
        if self.happens(Fault::WriteInterrupted) {
            return Err(Errno::EINTR);
        }
        let outcome = match file {
            File::Stdout => self.write_stdout(bytes),
            File::Stderr => self.write_stderr(bytes),
            File::Socket(socket) => self.write_socket(socket, bytes),
            File::Event(event) => self.write_event(event, bytes),
            File::Stdin => return Err(self.misused(call, Errno::EBADF)),
            File::Epoll(_) => return Err(self.misused(call, Errno::EINVAL)),
        };
        if outcome == Err(Errno::EPIPE) && !no_signal && !self.ignores_sigpipe && self.strict {
            self.violated("SIGPIPE never kills the process", format!("{call}: EPIPE"));
        }
        if outcome.is_ok() {
            self.step();
        }
        outcome
    }

    /// Puts up to `len` bytes into `output`, and returns how many. Linux writes up to `PIPE_BUF` bytes into a
    /// pipe entirely or not at all (`pipe(7)`); the simulator may write only a part of them.
    fn room_in(
        &mut self,
        len: usize,
        output: fn(&mut World) -> &mut Output,
    ) -> Result<usize, Errno> {
        if output(self).broken {
            return Err(Errno::EPIPE);
        }
        let room = output(self).room();
        let mut count = len.min(room);
        if output(self).kind == Kind::Pipe && count < len {
            return Err(self.would_wait("write to a full pipe"));
        }
        let may_refuse = output(self).kind == Kind::NonblockingPipe;
        if may_refuse && (count == 0 || self.happens(Fault::WriteAgain)) {
            return Err(Errno::EAGAIN);
        }
        if count > 1 && self.happens(Fault::WriteShort) {
            count = self.short(count);
        }
        if output(self).kind != Kind::File {
            output(self).held += count;
        }
        Ok(count)
    }

    fn write_stdout(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let room = self.room_in(bytes.len(), |world| &mut world.stdout);
        if room == Err(Errno::EPIPE) {
            self.exiting = true;
        }
        let count = room?;
        self.schedule_in(Actor::Stdout, 0);
        self.replies_written(&bytes[..count]);
        self.schedule_in(Actor::Stdin, 0);
        Ok(count)
    }

    fn write_stderr(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        // A pipe accepts a short line entirely or not at all; a short write would truncate a
        // diagnostic.
        if self.stderr.room() >= bytes.len() && !self.stderr.broken {
            self.stderr.line.extend(bytes);
            return Ok(bytes.len());
        }
        self.room_in(bytes.len(), |world| &mut world.stderr)
    }

    fn write_socket(&mut self, socket: usize, bytes: &[u8]) -> Result<usize, Errno> {
        let State::Stream { conn, end } = self.sockets[socket].state else {
            return Err(self.misused("write", Errno::EPIPE));
        };
        if end == CLIENT && self.strict && !self.sockets[socket].no_delay {
            self.violated("small messages are sent at once", "no TCP_NODELAY");
        }
        let room = match self.conns[conn].writable(end) {
            Ok(room) => room,
            Err(Errno::EAGAIN) if !self.sockets[socket].nonblocking => {
                return Err(self.would_wait("write"));
            }
            Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
            Err(errno) => {
                self.blame(socket, "write", errno);
                return Err(errno);
            }
        };
        if self.happens(Fault::WriteAgain) {
            return Err(Errno::EAGAIN);
        }
        if self.happens(Fault::WriteFails) {
            let errno = *choose(&mut self.rng, &[Errno::ECONNRESET, Errno::EPIPE]);
            self.blame(socket, "write", errno);
            self.reset(conn, Errno::ECONNRESET);
            self.conns[conn].ends[end].error = None;
            return Err(errno);
        }
        let mut count = room.min(bytes.len());
        if count > 1 && self.happens(Fault::WriteShort) {
            count = self.short(count);
        }
        if end == SERVER {
            self.server_writes(conn, bytes, count);
        } else {
            self.client_moved(conn);
            self.conns[conn].sent.extend(&bytes[..count]);
        }
        self.conns[conn].write(end, &bytes[..count]);
        self.kick(conn);
        Ok(count)
    }

    pub(crate) fn recv(
        &mut self,
        fd: usize,
        at: usize,
        len: usize,
        flags: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        if !matches!(self.file("recvfrom", fd)?, File::Socket(_)) {
            return Err(self.misused("recvfrom", Errno::ENOTSOCK));
        }
        if flags != 0 {
            return Err(self.misused("recvfrom with flags", Errno::EOPNOTSUPP));
        }
        self.read(fd, at, len, memory)
    }

    pub(crate) fn send(
        &mut self,
        fd: usize,
        at: usize,
        len: usize,
        flags: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        if !matches!(self.file("sendto", fd)?, File::Socket(_)) {
            return Err(self.misused("sendto", Errno::ENOTSOCK));
        }
        let no_signal = flags as i32 & MSG_NOSIGNAL != 0;
        self.write_bytes("sendto", fd, at, len, no_signal, memory)
    }

    /// Returns the first buffer of `readv` or `writev` that is not empty. The call may transfer only a part of
    /// all buffers, so the simulator uses only this one.
    fn first_buffer(
        &mut self,
        at: usize,
        count: usize,
        memory: &Memory<'_>,
    ) -> Result<(usize, usize), Errno> {
        if count > UIO_MAXIOV {
            return Err(self.misused("readv or writev", Errno::EINVAL));
        }
        for i in 0..count {
            let entry = at + 2 * i * size_of::<usize>();
            let base = memory.u64(entry)? as usize;
            let len = memory.u64(entry + size_of::<usize>())? as usize;
            if len > 0 {
                return Ok((base, len));
            }
        }
        Err(self.misused("readv or writev of 0 bytes", Errno::EINVAL))
    }

    pub(crate) fn readv(
        &mut self,
        fd: usize,
        at: usize,
        count: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let (base, len) = self.first_buffer(at, count, memory)?;
        self.read(fd, base, len, memory)
    }

    pub(crate) fn writev(
        &mut self,
        fd: usize,
        at: usize,
        count: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let (base, len) = self.first_buffer(at, count, memory)?;
        self.write(fd, base, len, memory)
    }

    // Waiting.

    /// Returns the events that poll and epoll report for a file.
    fn events(&self, file: File) -> u32 {
        match file {
            File::Stdin if self.stdin.kind == Kind::File => EPOLLIN,
            File::Stdin => self.stdin.events(),
            File::Stdout => self.stdout.events(),
            File::Stderr => self.stderr.events(),
            File::Epoll(_) => 0,
            File::Event(event) if self.events[event] == 0 => EPOLLOUT,
            File::Event(_) => EPOLLIN | EPOLLOUT,
            File::Socket(socket) => match &self.sockets[socket].state {
                State::Fresh | State::Bound => EPOLLOUT | EPOLLHUP,
                State::Listening { queue, .. } if queue.is_empty() => 0,
                State::Listening { .. } => EPOLLIN,
                &State::Stream { conn, end } => self.conns[conn].events(end),
            },
        }
    }

    pub(crate) fn epoll_create1(&mut self, flags: usize) -> Result<usize, Errno> {
        if flags as i32 & !EPOLL_CLOEXEC != 0 {
            return Err(self.misused("epoll_create1", Errno::EINVAL));
        }
        self.epolls.push(Epoll::default());
        self.open(File::Epoll(self.epolls.len() - 1))
    }

    fn epoll(&mut self, call: &str, fd: usize) -> Result<usize, Errno> {
        match self.file(call, fd)? {
            File::Epoll(epoll) => Ok(epoll),
            _ => Err(self.misused(call, Errno::EINVAL)),
        }
    }

    pub(crate) fn epoll_ctl(
        &mut self,
        epfd: usize,
        op: usize,
        fd: usize,
        at: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let epoll = self.epoll("epoll_ctl", epfd)?;
        let file = self.file("epoll_ctl", fd)?;
        let fd = fd as u32 as usize;
        let op = op as i32;
        let (mut events, mut data) = (0, 0);
        if op != EPOLL_CTL_DEL {
            let event = memory
                .u32(at)
                .and_then(|events| Ok((events, memory.u64(at + DATA)?)));
            let Ok(event) = event else {
                return Err(self.misused("epoll_ctl", Errno::EFAULT));
            };
            (events, data) = event;
        }
        match file {
            File::Epoll(_) => return Err(self.misused("epoll_ctl", Errno::EINVAL)),
            File::Stdin if self.stdin.kind == Kind::File => return Err(Errno::EPERM),
            File::Stdout if self.stdout.kind == Kind::File => return Err(Errno::EPERM),
            _ => {}
        }
        if events & EPOLLET != 0 && (self.stream(fd).is_none() || events & EPOLLOUT != 0) {
            // The kernel accepts these, too. The simulator counts events only for the input of a connection.
            return Err(self.misused("edge-triggered epoll_ctl", Errno::EINVAL));
        }
        let position = self.epolls[epoll].position(fd);
        match (op, position) {
            (EPOLL_CTL_ADD, Some(_)) => Err(self.misused("epoll_ctl", Errno::EEXIST)),
            (EPOLL_CTL_ADD, None) => {
                // The program registers its eventfds at its start, when it may still exit with an error.
                if !matches!(file, File::Event(_)) && self.happens(Fault::EpollCtlFails) {
                    let errno = *choose(&mut self.rng, &[Errno::ENOMEM, Errno::ENOSPC]);
                    if let File::Socket(socket) = file {
                        self.blame(socket, "epoll_ctl", errno);
                    }
                    return Err(errno);
                }
                let entry = Registration::new(fd, events, data);
                self.epolls[epoll].set.push(entry);
                self.now_watched(file);
                Ok(0)
            }
            (EPOLL_CTL_MOD, Some(position)) => {
                self.epolls[epoll].set[position] = Registration::new(fd, events, data);
                Ok(0)
            }
            (EPOLL_CTL_DEL, Some(position)) => {
                self.epolls[epoll].remove(position);
                Ok(0)
            }
            (EPOLL_CTL_MOD | EPOLL_CTL_DEL, None) => Err(Errno::ENOENT),
            _ => Err(self.misused("epoll_ctl", Errno::EINVAL)),
        }
    }

    /// Records that a server is set up, which it is when its listener is registered.
    fn now_watched(&mut self, file: File) {
        let File::Socket(socket) = file else { return };
        let socket = &self.sockets[socket];
        if let (State::Listening { .. }, Some(attempt)) = (&socket.state, socket.attempt) {
            self.attempts[attempt].watched = true;
        }
    }

    pub(crate) fn epoll_pwait(
        &mut self,
        epfd: usize,
        at: usize,
        room: usize,
        timeout: usize,
        mask: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        let epoll = self.epoll("epoll_pwait", epfd)?;
        let (room, timeout) = (room as i32, timeout as i32);
        if room <= 0 || mask != 0 {
            return Err(self.misused("epoll_pwait", Errno::EINVAL));
        }
        let room = room as usize;
        if possible(at, room * EVENT).is_err() {
            return Err(self.misused("epoll_pwait", Errno::EFAULT));
        }
        let mut spurious = Vec::new();
        if self.waited().is_none() {
            if self.happens(Fault::WaitInterrupted) {
                return Err(Errno::EINTR);
            }
            if timeout != 0 && self.happens(Fault::EmptyWake) {
                return Ok(0);
            }
            let milliseconds = u64::try_from(timeout).ok();
            let deadline = milliseconds.map(|timeout| self.now + timeout * MILLISECOND);
            spurious = self.spurious(epoll);
            let target = WaitTarget::Epoll(epoll);
            if spurious.is_empty() && !self.wait(BlockedCall { target, deadline }) {
                return Ok(0);
            }
        }
        if timeout != 0 && self.happens(Fault::LateWake) {
            let late = self.now + self.rng.u64(..20 * MILLISECOND);
            self.advance(late);
        }
        // A stale event stands for one that was collected before its descriptor was closed. All other events
        // are those of descriptors that are ready by now, because the wait may return late.
        let mut events = self.ready(epoll);
        // A spurious event whose descriptor is really ready is left out: the real event is reported.
        let is_true = |event: &Event| events.iter().any(|&(position, ..)| position == event.0);
        spurious.retain(|event| event.2 != 0 && !is_true(event));
        events.append(&mut spurious);
        self.rng.shuffle(&mut events);
        let mut count = events.len().min(room);
        if count > 1 && self.happens(Fault::FewEvents) {
            count = self.rng.usize(1..count);
        }
        for (i, &(position, data, events)) in events[..count].iter().enumerate() {
            if let Some(position) = position {
                let event_count = self.event_count(self.epolls[epoll].set[position].fd);
                self.epolls[epoll].set[position].reported(event_count);
            }
            memory.write(at + i * EVENT, &events.to_ne_bytes())?;
            memory.write(at + i * EVENT + DATA, &data.to_ne_bytes())?;
        }
        Ok(count)
    }

    /// Draws at most one spurious event, and at most one stale event, for a descriptor that has left the set.
    fn spurious(&mut self, epoll: usize) -> Vec<Event> {
        let mut events = Vec::new();
        if !self.epolls[epoll].gone.is_empty() && self.happens(Fault::StaleEvent) {
            let (happened, data) = *choose(&mut self.rng, &self.epolls[epoll].gone);
            events.push((None, data, happened & (EPOLLIN | EPOLLOUT)));
        }
        // Standard input and output get spurious events only as non-blocking pipes, and an eventfd gets none:
        // the kernel reports none for a pipe or an eventfd, unless another user of the same end acts first.
        let may_be_spurious = |entry: &Registration| match self.table[entry.fd] {
            Some(File::Stdin) => self.stdin.kind == Kind::NonblockingPipe,
            Some(File::Stdout) => self.stdout.kind == Kind::NonblockingPipe,
            Some(File::Event(_)) => false,
            _ => true,
        };
        let candidates = (0..self.epolls[epoll].set.len())
            .filter(|&i| may_be_spurious(&self.epolls[epoll].set[i]))
            .collect::<Vec<_>>();
        if !candidates.is_empty() && self.happens(Fault::SpuriousEvent) {
            let i = *choose(&mut self.rng, &candidates);
            let entry = self.epolls[epoll].set[i];
            if self.ready_of(&entry) == 0 && entry.armed {
                events.push((Some(i), entry.data, entry.events & (EPOLLIN | EPOLLOUT)));
            }
        }
        events
    }

    /// Returns whether an event of `target` has happened.
    pub(crate) fn is_ready(&self, target: &WaitTarget) -> bool {
        match target {
            &WaitTarget::Epoll(epoll) => {
                let mut set = self.epolls[epoll].set.iter();
                set.any(|entry| self.ready_of(entry) != 0)
            }
            WaitTarget::Poll(files) => {
                let mut files = files.iter();
                files.any(|&(file, events)| self.events(file) & events != 0)
            }
        }
    }

    fn ready_of(&self, entry: &Registration) -> u32 {
        let event_count = || self.event_count(entry.fd);
        self.table[entry.fd].map_or(0, |file| entry.of(self.events(file), event_count))
    }

    /// Returns how many events descriptor `fd` has had.
    fn event_count(&self, fd: usize) -> u64 {
        match self.stream(fd) {
            Some((conn, end)) => self.conns[conn].ends[end].event_count,
            None => 0,
        }
    }

    /// Returns the end of a connection behind descriptor `fd`.
    fn stream(&self, fd: usize) -> Option<(usize, usize)> {
        match self.table[fd]? {
            File::Socket(socket) => match self.sockets[socket].state {
                State::Stream { conn, end } => Some((conn, end)),
                _ => None,
            },
            _ => None,
        }
    }

    fn ready(&self, epoll: usize) -> Vec<Event> {
        let set = self.epolls[epoll].set.iter().enumerate();
        set.map(|(i, entry)| (Some(i), entry.data, self.ready_of(entry)))
            .filter(|event| event.2 != 0)
            .collect()
    }

    pub(crate) fn ppoll(
        &mut self,
        at: usize,
        count: usize,
        timeout: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        /// `struct pollfd`: `fd`, `events`, `revents`.
        const POLLFD: usize = 8;
        const EVENTS: usize = 4;
        const REVENTS: usize = 6;
        if count as u64 > self.limit {
            return Err(self.misused("ppoll", Errno::EINVAL));
        }
        let mut watched = Vec::new();
        for i in 0..count {
            let entry = at + i * POLLFD;
            let Ok(bytes) = memory.array::<POLLFD>(entry) else {
                return Err(self.misused("ppoll", Errno::EFAULT));
            };
            let fd = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let events = u16::from_ne_bytes([bytes[EVENTS], bytes[EVENTS + 1]]);
            let file = self.file("ppoll", fd as usize)?;
            let always = (syscalls::poll::POLLERR | syscalls::poll::POLLHUP) as u16;
            watched.push((file, u32::from(events | always)));
        }
        let deadline = if timeout == 0 {
            None
        } else {
            let (seconds, nanos) = (memory.u64(timeout)?, memory.u64(timeout + 8)?);
            Some(self.now + Duration::new(seconds, nanos as u32).as_nanos() as u64)
        };
        if self.waited().is_none() {
            if self.happens(Fault::PollInterrupted) {
                return Err(Errno::EINTR);
            }
            if self.happens(Fault::PollFails) {
                return Err(Errno::ENOMEM);
            }
            let target = WaitTarget::Poll(watched.clone());
            if !self.wait(BlockedCall { target, deadline }) {
                return Ok(0);
            }
        }
        let mut count = 0;
        for (i, (file, events)) in watched.into_iter().enumerate() {
            let came = (self.events(file) & events) as u16;
            count += usize::from(came != 0);
            memory.write(at + i * POLLFD + REVENTS, &came.to_ne_bytes())?;
        }
        Ok(count)
    }

    // The process.

    pub(crate) fn clock_gettime(
        &mut self,
        clock: usize,
        at: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        if clock as i32 != CLOCK_MONOTONIC {
            return Err(self.misused("clock_gettime", Errno::EINVAL));
        }
        let now = Duration::from_nanos(self.now);
        memory.write(at, &now.as_secs().to_ne_bytes())?;
        memory.write(at + 8, &u64::from(now.subsec_nanos()).to_ne_bytes())?;
        Ok(0)
    }

    pub(crate) fn prlimit64(
        &mut self,
        pid: usize,
        resource: usize,
        new: usize,
        old: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        if pid != 0 || resource as i32 != RLIMIT_NOFILE {
            return Err(self.misused("prlimit64", Errno::EINVAL));
        }
        let before = [self.limit, self.hard_limit];
        if new != 0 {
            let (current, most) = (memory.u64(new)?, memory.u64(new + 8)?);
            if current > most {
                return Err(self.misused("prlimit64", Errno::EINVAL));
            }
            if most > self.hard_limit {
                return Err(self.misused("prlimit64", Errno::EPERM));
            }
            (self.limit, self.hard_limit) = (current, most);
        }
        if old != 0 {
            memory.write(old, &before[0].to_ne_bytes())?;
            memory.write(old + 8, &before[1].to_ne_bytes())?;
        }
        Ok(0)
    }

    pub(crate) fn rt_sigaction(
        &mut self,
        signal: usize,
        action: usize,
        old: usize,
        size: usize,
        memory: &Memory<'_>,
    ) -> Result<usize, Errno> {
        if size != SIGSET || old != 0 || action == 0 {
            return Err(self.misused("rt_sigaction", Errno::EINVAL));
        }
        let handler = memory.u64(action)?;
        if signal as i32 == SIGPIPE {
            self.ignores_sigpipe = handler == IGNORE;
        }
        Ok(0)
    }
}
