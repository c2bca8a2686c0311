//! Implements [`Sim`], the simulated kernel, which dispatches calls.

use core::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use sc::nr;
use syscalls::{Errno, Kernel};

use crate::faults::Faults;
use crate::memory::Memory;
use crate::plan::{self, Omissions};
use crate::trace::TRACE_FD;
use crate::world::World;

/// A simulated kernel. Its clones share its state.
#[derive(Clone)]
pub struct Sim(pub(crate) Arc<Shared>);

/// The state that the program's threads share.
pub(crate) struct Shared {
    world: Mutex<World>,
    /// Is notified when another thread may run, or when there is a violation.
    pub(crate) passed: Condvar,
}

impl Sim {
    pub(crate) fn new(world: World) -> Sim {
        Sim(Arc::new(Shared {
            world: Mutex::new(world),
            passed: Condvar::new(),
        }))
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let world = self.0.world.lock();
        world.unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns a kernel without faults and without outside clients, for comparison with a real one.
    /// An invalid call returns its error and is not a violation.
    pub fn calm() -> Sim {
        Sim::new(World::calm())
    }
}

impl Sim {
    /// Handles the calls that write a trace. They are not part of the run.
    fn trace_call(
        &self,
        nr: usize,
        args: [usize; 6],
        memory: &Memory<'_>,
    ) -> Option<Result<usize, Errno>> {
        let [first, at, len, ..] = args;
        match nr {
            nr::WRITE if first == TRACE_FD => {
                let mut world = self.world();
                Some(memory.read(at, len).map(|bytes| {
                    world.traced(bytes);
                    len
                }))
            }
            nr::PPOLL if memory.u32(first) == Ok(TRACE_FD as u32) => Some(Ok(1)),
            _ => None,
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sim")
    }
}

// SAFETY: the simulator numbers descriptors and accesses memory as Linux does. Its descriptors refer only to
// its own state.
unsafe impl Kernel for Sim {
    unsafe fn syscall<const N: usize>(&self, nr: usize, args: [usize; N]) -> usize {
        // SAFETY: the caller of `syscall` gives the guarantee that `of_caller` requires, and the calls below
        // access only the memory that a kernel would.
        let memory = unsafe { Memory::of_caller() };
        let mut padded = [0; 6];
        padded[..N].copy_from_slice(&args);
        if let Some(result) = self.trace_call(nr, padded, &memory) {
            return result.unwrap_or_else(Errno::to_result);
        }
        // A violation or a panic unwinds the program, which closes its descriptors. Those calls are no
        // longer part of the run.
        if thread::panicking() {
            return 0;
        }
        let mut world = self.enter();
        let me = world.running;
        loop {
            let result = world.call(nr, padded, &memory);
            let over = world.running == me;
            world = self.turn(world, me);
            if over {
                self.leave(world);
                return result.unwrap_or_else(Errno::to_result);
            }
        }
    }
}

impl World {
    /// Returns a world without outside clients, input, faults and checks.
    pub(crate) fn calm() -> World {
        let (mut plan, _) = plan::draw(0, &Omissions::default());
        plan.clients = Vec::new();
        plan.requests = Vec::new();
        plan.stdin.script = Vec::new();
        plan.quick = true;
        (plan.limit, plan.hard_limit) = (1_024, 1_024);
        let mut world = World::new(plan, Faults::none());
        world.strict = false;
        world
    }

    fn call(&mut self, nr: usize, args: [usize; 6], memory: &Memory<'_>) -> Result<usize, Errno> {
        let [a, b, c, d, e, f] = args;
        match nr {
            nr::READ => self.read(a, b, c, memory),
            nr::WRITE => self.write(a, b, c, memory),
            nr::READV => self.readv(a, b, c, memory),
            nr::WRITEV => self.writev(a, b, c, memory),
            nr::RECVFROM if e == 0 => self.recv(a, b, c, d, memory),
            nr::SENDTO if e == 0 => self.send(a, b, c, d, memory),
            nr::CLOSE => self.close(a),
            nr::SOCKET => self.socket(a, b, c),
            nr::BIND => self.bind(a, b, c, memory),
            nr::LISTEN => self.listen(a, b),
            nr::ACCEPT => self.accept(a, b, c, 0, memory),
            nr::ACCEPT4 => self.accept(a, b, c, d, memory),
            nr::CONNECT => self.connect(a, b, c, memory),
            nr::GETSOCKNAME => self.getsockname(a, b, c, memory),
            nr::GETPEERNAME => self.getpeername(a, b, c, memory),
            nr::SHUTDOWN => self.shutdown(a, b),
            nr::SETSOCKOPT => self.setsockopt(a, b, c, d, e, memory),
            nr::GETSOCKOPT => self.getsockopt(a, b, c, d, e, memory),
            nr::EVENTFD2 => self.eventfd2(a, b),
            nr::EPOLL_CREATE1 => self.epoll_create1(a),
            nr::EPOLL_CTL => self.epoll_ctl(a, b, c, d, memory),
            nr::EPOLL_PWAIT => self.epoll_pwait(a, b, c, d, e, memory),
            nr::PPOLL => self.ppoll(a, b, c, memory),
            nr::CLOCK_GETTIME => self.clock_gettime(a, b, memory),
            nr::PRLIMIT64 => self.prlimit64(a, b, c, d, memory),
            nr::RT_SIGACTION => self.rt_sigaction(a, b, c, d, memory),
            _ => {
                let _ = f;
                let name =
                    syscalls::Call::by_number(nr).map_or("an unknown call", |call| call.name);
                Err(self.misused(name, Errno::ENOSYS))
            }
        }
    }
}
