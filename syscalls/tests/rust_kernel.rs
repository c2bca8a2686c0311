//! Makes every typed call over a kernel that is written in Rust. This kernel reads or writes all the memory
//! that each call may access, and checks that each descriptor is closed exactly once.
//!
//! Under Miri, this tests that the memory that the typed calls pass is valid, and that the trace reads only
//! that memory:
//!
//! ```text
//! cargo +nightly miri test -p rawecho-syscalls --test rust_kernel
//! ```

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use syscalls::addr::{AF_INET, AF_INET6, AF_UNSPEC, Sockaddr};
use syscalls::epoll::{EPOLL_CTL_ADD, EPOLLIN, Epoll, EpollEvent};
use syscalls::event::eventfd2;
use syscalls::io::{IoSlice, IoSliceMut, O_RDONLY, openat};
use syscalls::message::{RecvMessage, SendMessage};
use syscalls::poll::{POLLOUT, PollFd, ppoll};
use syscalls::process::{RLIMIT_NOFILE, Rlimit, exit_group, prlimit64};
use syscalls::signal::{
    SIG_BLOCK, SIGPIPE, SIGTERM, SigSet, rt_sigaction_exit, rt_sigaction_ignore, rt_sigprocmask,
    signalfd4,
};
use syscalls::socket::{Linger, SHUT_WR, SO_ERROR, SO_LINGER, SOCK_STREAM, Socket, TCP_NODELAY};
use syscalls::time::{CLOCK_MONOTONIC, Timespec, clock_gettime};
use syscalls::trace::{Format, Trace, Traced};
use syscalls::{CALLS, Call, Fd, Inherited, Kernel, stderr, stdin, stdout};

/// The byte with which the kernel fills memory.
const FILL: u8 = b'x';

/// The length that the kernel reports for an address and for a datagram that does not fit its buffer
/// (`MSG_TRUNC`). It is larger than every buffer here.
const LONG: usize = 1000;

#[derive(Default)]
struct State {
    open: BTreeSet<usize>,
    called: BTreeSet<&'static str>,
}

/// The kernel that is written in Rust. Clones share its state.
#[derive(Clone, Default)]
struct Model(Rc<RefCell<State>>);

/// The kernel's `struct user_msghdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    name: usize,
    name_len: u32,
    buffers: usize,
    count: usize,
    control: usize,
    control_len: usize,
    flags: u32,
}

/// The kernel's `struct mmsghdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    header: Header,
    len: u32,
}

unsafe fn get<T: Copy>(at: usize) -> T {
    // SAFETY: the caller guarantees a readable `T` at `at`.
    unsafe { ptr::with_exposed_provenance::<T>(at).read_unaligned() }
}

unsafe fn set<T: Copy>(at: usize, value: T) {
    // SAFETY: the caller guarantees writable space for a `T` at `at`.
    unsafe { ptr::with_exposed_provenance_mut::<T>(at).write_unaligned(value) }
}

/// Reads `len` bytes, one by one.
unsafe fn look(at: usize, len: usize) {
    for i in 0..len {
        // SAFETY: the caller guarantees that all `len` bytes are readable.
        std::hint::black_box::<u8>(unsafe { get(at + i) });
    }
}

unsafe fn fill(at: usize, len: usize) {
    for i in 0..len {
        // SAFETY: the caller guarantees that all `len` bytes are writable.
        unsafe { set(at + i, FILL) };
    }
}

/// Fills the address buffer at `at`, whose length is at `len_at`, and stores a longer length, as the kernel
/// does for a long `AF_UNIX` path.
unsafe fn answer_name(at: usize, len_at: usize) {
    // SAFETY: the caller guarantees a length at `len_at`, and a buffer of that length at `at`.
    unsafe {
        fill(at, get::<u32>(len_at) as usize);
        set(len_at, LONG as u32);
    }
}

/// Fills each of `count` buffers if `written`, and reads it if not. Returns their total length.
unsafe fn buffers(at: usize, count: usize, written: bool) -> usize {
    let mut total = 0;
    for at in (0..count).map(|i| at + i * 16) {
        // SAFETY: the caller guarantees an iovec at `at`, and the buffer that it describes.
        unsafe {
            let (base, len): (usize, usize) = (get(at), get(at + 8));
            match written {
                true => fill(base, len),
                false => look(base, len),
            }
            total += len;
        }
    }
    total
}

/// Fills the buffers of a message if `written`, and reads them if not. Returns their total length.
unsafe fn message(at: usize, written: bool) -> usize {
    // SAFETY: the caller guarantees a header at `at`, and the memory that it describes.
    unsafe {
        let header: Header = get(at);
        look(header.name, header.name_len as usize);
        assert_eq!((header.control, header.control_len), (0, 0));
        if written {
            set(
                at,
                Header {
                    flags: 0x20,
                    ..header
                },
            );
        }
        buffers(header.buffers, header.count, written)
    }
}

unsafe fn messages(at: usize, count: usize, written: bool) -> usize {
    for i in 0..count {
        let entry = at + i * size_of::<Entry>();
        // SAFETY: the caller guarantees `count` entries at `at`.
        unsafe {
            let len = message(entry, written) as u32;
            set(entry + std::mem::offset_of!(Entry, len), len);
        }
    }
    count
}

/// Reads the timeout at `at`, unless `at` is null, and writes the time left: 0.
unsafe fn time_left(at: usize) {
    if at != 0 {
        // SAFETY: the caller guarantees a timespec at `at`.
        unsafe {
            look(at, size_of::<Timespec>());
            set(at, Timespec::default());
        }
    }
}

impl Model {
    /// Opens a descriptor with an unused number, and returns the number.
    fn opened(&self) -> usize {
        let mut state = self.0.borrow_mut();
        let number = (3..).find(|number| !state.open.contains(number)).unwrap();
        state.open.insert(number);
        number
    }
}

// SAFETY: the model's descriptors are its own, and it accesses only the memory that a call names.
unsafe impl Kernel for Model {
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
        use syscalls::into_result;
        let call = Call::by_number(nr).expect("a call of the table");
        self.0.borrow_mut().called.insert(call.name);
        let mut padded = [0; 6];
        padded[..N].copy_from_slice(&args);
        let [a, b, c, d, e, f] = padded;
        // SAFETY: the caller upholds the contract of each call, which is what these functions require.
        let result = unsafe {
            match call.name {
                "read" => {
                    fill(b, c);
                    c
                }
                "write" => {
                    look(b, c);
                    c
                }
                "readv" => buffers(b, c, true),
                "writev" => buffers(b, c, false),
                "close" => {
                    let was_open = self.0.borrow_mut().open.remove(&a);
                    assert!(was_open, "descriptor {a} is closed while it is not open");
                    0
                }
                "openat" => {
                    let mut end = b;
                    while get::<u8>(end) != 0 {
                        end += 1;
                    }
                    self.opened()
                }
                "socket" | "epoll_create1" | "eventfd2" => self.opened(),
                "signalfd4" => {
                    look(b, 8);
                    self.opened()
                }
                "socketpair" => {
                    set(d, [self.opened(), self.opened()].map(|fd| fd as i32));
                    0
                }
                "bind" | "connect" => {
                    look(b, c);
                    0
                }
                "listen" | "shutdown" => 0,
                "accept" | "accept4" => {
                    answer_name(b, c);
                    self.opened()
                }
                "getsockname" | "getpeername" => {
                    answer_name(b, c);
                    0
                }
                "sendto" => {
                    look(b, c);
                    look(e, f);
                    c
                }
                "recvfrom" => {
                    fill(b, c);
                    answer_name(e, f);
                    LONG
                }
                "sendmsg" => message(b, false),
                "recvmsg" => message(b, true) + LONG,
                "sendmmsg" => messages(b, c, false),
                "recvmmsg" => {
                    time_left(e);
                    messages(b, c, true)
                }
                "setsockopt" => {
                    look(d, e);
                    0
                }
                "getsockopt" => {
                    fill(d, get::<u32>(e) as usize);
                    0
                }
                "ppoll" => {
                    for at in (0..b).map(|i| a + 8 * i) {
                        look(at, 8);
                        set(at + 6, get::<i16>(at + 4));
                    }
                    time_left(c);
                    b
                }
                "epoll_ctl" => {
                    get::<EpollEvent>(d);
                    0
                }
                "epoll_pwait" => {
                    for i in 0..c {
                        let event = EpollEvent {
                            events: EPOLLIN,
                            data: u64::MAX,
                        };
                        set(b + i * size_of::<EpollEvent>(), event);
                    }
                    c
                }
                "rt_sigaction" => {
                    look(b, 32);
                    0
                }
                "rt_sigprocmask" => {
                    look(b, 8);
                    fill(c, 8);
                    0
                }
                "clock_gettime" => {
                    set(
                        b,
                        Timespec {
                            tv_sec: 1,
                            tv_nsec: 2,
                        },
                    );
                    0
                }
                "prlimit64" => {
                    if c != 0 {
                        look(c, size_of::<Rlimit>());
                    }
                    fill(d, size_of::<Rlimit>());
                    0
                }
                "exit_group" => panic!("exit_group({a})"),
                other => panic!("{other} is not modelled"),
            }
        };
        assert!(into_result(result).is_ok());
        result
    }
}

/// Makes every typed call, and checks that it succeeds. (`exit_group` panics in [`Model`].)
fn every_call<K: Kernel>(k: &K) {
    let fd = openat(k.clone(), c"/path", O_RDONLY, 0).unwrap();
    let mut bytes = [0; 40];
    assert_eq!(fd.read(&mut bytes), Ok(40));
    assert_eq!(bytes, [FILL; 40]);
    assert_eq!(fd.read(&mut []), Ok(0));
    assert_eq!(fd.write(&bytes), Ok(40));
    let (mut one, mut two) = ([0; 3], [0; 5]);
    let mut room = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    assert_eq!(fd.readv(&mut room), Ok(8));
    assert_eq!((one, two), ([FILL; 3], [FILL; 5]));
    assert_eq!(fd.writev(&[IoSlice::new(&one), IoSlice::new(&[])]), Ok(3));
    fd.close().unwrap();

    sockets(k);
    waiting(k);

    rt_sigaction_ignore(k, SIGPIPE).unwrap();
    rt_sigaction_exit(k, SIGTERM).unwrap();
    assert!(rt_sigprocmask(k, SIG_BLOCK, SigSet::new(&[SIGTERM])).is_ok());
    drop(signalfd4(k.clone(), SigSet::new(&[SIGTERM]), 0).unwrap());
    assert_eq!(clock_gettime(k, CLOCK_MONOTONIC), Ok(Duration::new(1, 2)));
    let limit = prlimit64(k, RLIMIT_NOFILE, None).unwrap();
    prlimit64(k, RLIMIT_NOFILE, Some(limit)).unwrap();
    for inherited in [stdin(k.clone()), stdout(k.clone()), stderr(k.clone())] {
        inherited.write(b"not closed").unwrap();
    }
    catch_unwind(AssertUnwindSafe(|| exit_group(k, 1))).unwrap_err();
}

fn sockets<K: Kernel>(k: &K) {
    let socket = Socket::new(k.clone(), AF_INET, SOCK_STREAM, 0).unwrap();
    drop(Socket::pair(k.clone(), AF_INET, SOCK_STREAM, 0).unwrap());
    for address in ["127.0.0.1:80", "[::1]:80"] {
        let address = Sockaddr::from(address.parse::<SocketAddr>().unwrap());
        socket.bind(&address).unwrap();
        socket.connect(&address).unwrap();
        socket.sendto(b"bytes", 0, Some(&address)).unwrap();
        let bufs = [IoSlice::new(b"one"), IoSlice::new(b"two")];
        let message = SendMessage::new(&bufs, Some(&address));
        assert_eq!(socket.sendmsg(&message, 0), Ok(6));
        let mut both = [message, SendMessage::new(&bufs[..1], None)];
        assert_eq!(socket.sendmmsg(&mut both, 0), Ok(2));
        assert_eq!(both.map(|message| message.bytes_sent()), [6, 3]);
    }
    socket.listen(1).unwrap();
    let (first, name) = socket.accept().unwrap();
    let (second, _) = socket.accept4(0).unwrap();
    drop((first, second));
    // The address is longer than its buffer. The next call gets only the part that the buffer holds.
    let names = [
        name,
        socket.getsockname().unwrap(),
        socket.getpeername().unwrap(),
    ];
    for name in names {
        assert_eq!(name.to_ip(), None);
        assert_ne!(name.family(), AF_UNSPEC);
        socket.bind(&name).unwrap();
        assert_ne!(format!("{name:?}"), "");
    }
    let mut bytes = [0; 40];
    assert_eq!(socket.recvfrom(&mut bytes, 0).unwrap().0, LONG);
    socket.sendto(b"", 0, None).unwrap();
    let (mut one, mut two) = ([0; 3], [0; 5]);
    let mut room = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    let mut message = RecvMessage::new(&mut room);
    assert_eq!(socket.recvmsg(&mut message, 0), Ok(8 + LONG));
    let timeout = Some(Duration::MAX);
    let mut messages = [message];
    assert_eq!(socket.recvmmsg(&mut messages, 0, timeout), Ok(1));
    assert_eq!(
        (messages[0].bytes_received(), messages[0].flags()),
        (8, 0x20)
    );
    assert_eq!((one, two), ([FILL; 3], [FILL; 5]));
    socket.setsockopt(TCP_NODELAY, 1).unwrap();
    socket.setsockopt(SO_LINGER, Linger::default()).unwrap();
    assert_eq!(
        socket.getsockopt(SO_ERROR),
        Ok(i32::from_ne_bytes([FILL; 4]))
    );
    socket.getsockopt(SO_LINGER).unwrap();
    socket.shutdown(SHUT_WR).unwrap();
}

fn waiting<K: Kernel>(k: &K) {
    let event: Fd<K> = eventfd2(k.clone(), 0, 0).unwrap();
    let mut fds = [PollFd::new(&event, POLLOUT); 3];
    assert_eq!(ppoll(k, &mut fds, Some(Duration::ZERO)), Ok(3));
    assert_eq!(fds.map(|fd| fd.revents()), [POLLOUT; 3]);
    assert_eq!(ppoll(k, &mut [], None), Ok(0));
    let epoll = Epoll::new(k.clone(), 0).unwrap();
    epoll
        .ctl(EPOLL_CTL_ADD, &event, EpollEvent::default())
        .unwrap();
    let mut events = [EpollEvent::default(); 3];
    assert_eq!(epoll.wait(&mut events, -1), Ok(3));
    assert_eq!({ events[2].data }, u64::MAX);
    assert_eq!(epoll.wait(&mut [], 0), Ok(0));
}

#[test]
fn typed_calls_touch_only_their_own_memory_and_descriptors() {
    let model = Model::default();
    every_call(&model);
    let state = model.0.borrow();
    assert_eq!(state.open, BTreeSet::new());
    assert_eq!(state.called, CALLS.iter().map(|call| call.name).collect());
}

#[test]
fn trace_reads_only_the_memory_that_calls_pass() {
    for form in [Format::Calls, Format::Registers] {
        let model = Model::default();
        let log = eventfd2(model.clone(), 0, 0).unwrap();
        let trace = Trace::new(Inherited::new(log), form);
        every_call(&Traced::new(model.clone(), &trace));
        let state = model.0.borrow();
        assert_eq!(state.open.len(), 1, "the trace stays open");
        assert_eq!(state.called, CALLS.iter().map(|call| call.name).collect());
    }
}

#[test]
fn inherited_descriptors_stay_open_when_dropped_moved_and_swapped() {
    let model = Model::default();
    let mut first = Inherited::new(eventfd2(model.clone(), 0, 0).unwrap());
    let mut second = Inherited::new(eventfd2(model.clone(), 0, 0).unwrap());
    std::mem::swap(&mut first, &mut second);
    assert_eq!((first.as_raw(), second.as_raw()), (4, 3));
    drop((first, Box::new(second)));
    assert_eq!(model.0.borrow().open, BTreeSet::from([3, 4]));
}

/// Tests an internet address. The addresses that [`Model`] returns have another family.
#[test]
fn sockaddr_converts_back_to_the_same_address() {
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
    let name = Sockaddr::from(address);
    assert_eq!((name.family(), name.to_ip()), (AF_INET6, Some(address)));
}
