//! A call as `strace` writes it.

use sc::nr;
use syscalls::Errno;

use crate::memory::Memory;

/// Bytes of a buffer that are shown.
const SHOWN: usize = 24;

/// The line for call `nr`. Addresses are left out: they differ from run to run.
pub(crate) fn line(
    nr: usize,
    args: &[usize],
    result: Result<usize, Errno>,
    memory: &Memory<'_>,
) -> String {
    let call = syscalls::find(nr);
    let name = call.map_or("?", |call| call.name);
    let names = call.map_or(&[][..], |call| call.arguments);
    let mut shown = Vec::new();
    for (i, &arg) in args.iter().enumerate() {
        shown.push(match *names.get(i).unwrap_or(&"") {
            "buf" => match (nr, result) {
                (nr::WRITE | nr::SENDTO, _) => bytes(memory, arg, args[2]),
                (_, Ok(count)) => bytes(memory, arg, count),
                _ => "…".into(),
            },
            "event" => match (memory.u32(arg), memory.u64(arg + DATA)) {
                (Ok(events), Ok(data)) => format!("{{events={events:#x}, data={data:#x}}}"),
                _ => "NULL".into(),
            },
            "events" => match result {
                Ok(count) => events(memory, arg, count),
                Err(_) => "…".into(),
            },
            "addr" | "addrlen" | "optval" | "optlen" | "fds" | "tmo_p" | "sigmask" | "tp"
            | "act" | "oldact" | "new_limit" | "old_limit" | "iov" => "…".into(),
            _ => (arg as i32).to_string(),
        });
    }
    let result = match result {
        Ok(value) => value.to_string(),
        Err(errno) => format!("-1 {} ({})", errno.name(), errno.message()),
    };
    format!("{name}({}) = {result}", shown.join(", "))
}

/// Where the token lies in an epoll event, and how long one is.
pub(crate) const DATA: usize = core::mem::offset_of!(syscalls::epoll::EpollEvent, data);
pub(crate) const EVENT: usize = core::mem::size_of::<syscalls::epoll::EpollEvent>();

fn events(memory: &Memory<'_>, at: usize, count: usize) -> String {
    let events = (0..count).map(|i| {
        let at = at + i * EVENT;
        let (events, data) = (memory.u32(at), memory.u64(at + DATA));
        format!(
            "{{events={:#x}, data={:#x}}}",
            events.unwrap_or(0),
            data.unwrap_or(0)
        )
    });
    format!("[{}]", events.collect::<Vec<_>>().join(", "))
}

fn bytes(memory: &Memory<'_>, at: usize, count: usize) -> String {
    let more = if count > SHOWN { "..." } else { "" };
    let bytes = memory.read(at, count.min(SHOWN)).unwrap_or(b"?");
    format!("\"{}\"{more}", bytes.escape_ascii())
}
