//! Schedules the program's threads: real threads, of which one runs at a time.
//!
//! A thread runs until it makes a call. Before and after the call, another thread may run; if the call
//! blocks, another one must. The seed decides which, so a run with threads is deterministic too. If all
//! threads are blocked, time advances to the next event or deadline.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{MutexGuard, Once};

use crate::faults::{Fault, choose};
use crate::kernel::Sim;
use crate::world::{File, MILLISECOND, Violation, World};

/// The index of the program's first thread.
pub(crate) const MAIN: usize = 0;

/// The events that a blocked call waits for.
#[derive(Debug)]
pub(crate) enum WaitTarget {
    /// Any event of the epoll set with this index.
    Epoll(usize),
    /// One of these events of one of these files.
    Poll(Vec<(File, u32)>),
}

/// A blocked call.
#[derive(Debug)]
pub(crate) struct BlockedCall {
    pub(crate) target: WaitTarget,
    /// The time at which the call returns without an event.
    pub(crate) deadline: Option<u64>,
}

/// A thread of the program.
#[derive(Debug, Default)]
pub(crate) struct Thread {
    blocked: Option<BlockedCall>,
    ended: bool,
    /// The number of its latest call.
    call: u64,
    /// The number of the call before that.
    pub(crate) previous_call: u64,
    /// The index of the increment that the thread has yet to add to the counters after its latest call.
    pub(crate) uncounted: Option<usize>,
}

thread_local! {
    /// The index of this thread among the program's threads.
    static ME: Cell<usize> = const { Cell::new(MAIN) };
    /// Whether this thread runs the program.
    static RUNS_PROGRAM: Cell<bool> = const { Cell::new(false) };
    /// The message of the program's last panic.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Installs a hook that keeps the program's panics off standard error, because the report shows them.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !RUNS_PROGRAM.get() {
                before(info);
            } else if info.payload().downcast_ref::<Violation>().is_none() {
                PANIC.with(|message| *message.borrow_mut() = info.to_string().replace('\n', ": "));
            }
        }));
    });
}

impl Sim {
    /// Adds a thread to the run, for [`in_thread`](Sim::in_thread).
    pub(crate) fn new_thread(&self) -> usize {
        let mut world = self.world();
        world.threads.push(Thread::default());
        world.threads.len() - 1
    }

    /// Runs `program` as thread `id`. Returns its result, or `None` after a panic or a violation.
    pub(crate) fn in_thread<T>(&self, id: usize, program: impl FnOnce() -> T) -> Option<T> {
        catch_panics();
        ME.set(id);
        RUNS_PROGRAM.set(true);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            drop(self.turn(self.world(), id));
            program()
        }));
        RUNS_PROGRAM.set(false);
        ME.set(MAIN);
        let own_panic = |payload: &Box<dyn Any + Send>| !payload.is::<Violation>();
        let mut world = self.world();
        if outcome.as_ref().err().is_some_and(own_panic) {
            let message = PANIC.with(|message| message.borrow().clone());
            world.violated("the program never panics", message);
        }
        world.threads[id].ended = true;
        world.schedule_thread();
        self.0.passed.notify_all();
        outcome.ok()
    }

    /// Waits for this thread's turn, and begins a call.
    pub(crate) fn enter(&self) -> MutexGuard<'_, World> {
        let me = ME.get();
        let mut world = self.maybe_preempted(self.turn(self.world(), me));
        world.enter();
        let calls = world.calls;
        let thread = &mut world.threads[me];
        thread.previous_call = std::mem::replace(&mut thread.call, calls);
        world.settle_count(me);
        world
    }

    /// Ends a call of this thread. The trace shows the call where the thread continues after it.
    pub(crate) fn leave<'w>(&'w self, world: MutexGuard<'w, World>) {
        drop(self.maybe_preempted(world));
    }

    fn maybe_preempted<'w>(&'w self, mut world: MutexGuard<'w, World>) -> MutexGuard<'w, World> {
        let me = world.running;
        if world.threads.len() > 1 && world.faults.happens(Fault::Preempted) {
            world.schedule_thread();
        }
        self.turn(world, me)
    }

    /// Waits until it is thread `id`'s turn. Unwinds the thread if there is a violation.
    pub(crate) fn turn<'w>(
        &'w self,
        mut world: MutexGuard<'w, World>,
        id: usize,
    ) -> MutexGuard<'w, World> {
        if world.running != id || world.violation.is_some() {
            self.0.passed.notify_all();
            while world.running != id && world.violation.is_none() {
                let next = self.0.passed.wait(world);
                world = next.unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
        if let Some(violation) = world.violation.clone() {
            drop(world);
            panic::panic_any::<Violation>(violation);
        }
        world
    }
}

impl World {
    /// Returns the running thread.
    pub(crate) fn thread(&self) -> &Thread {
        &self.threads[self.running]
    }

    /// Takes the running thread's call, if the call blocked and other threads ran meanwhile.
    pub(crate) fn waited(&mut self) -> Option<BlockedCall> {
        self.threads[self.running].blocked.take()
    }

    /// Blocks the running thread's call. Returns whether the wait is over. If not, other threads run, and the
    /// call must be repeated when it is this thread's turn.
    pub(crate) fn wait(&mut self, call: BlockedCall) -> bool {
        let me = self.running;
        self.threads[me].blocked = Some(call);
        self.schedule_thread();
        let over = self.running == me;
        if over {
            self.threads[me].blocked = None;
        }
        over
    }

    /// Chooses the next running thread among those that are not blocked. If all are blocked, advances time
    /// until one is not.
    pub(crate) fn schedule_thread(&mut self) {
        while self.violation.is_none() {
            let threads = 0..self.threads.len();
            let mut ready = threads.filter(|&id| self.can_run(&self.threads[id]));
            if let Some(first) = ready.next() {
                let mut several = vec![first];
                several.extend(ready);
                return self.run_one_of(&several);
            }
            let live = || self.threads.iter().filter(|thread| !thread.ended);
            if live().next().is_none() {
                return;
            }
            let deadlines = live().filter_map(|thread| thread.blocked.as_ref()?.deadline);
            let Some(next) = deadlines.chain(self.next_event()).min() else {
                let seen = format!("the program waits forever; {}", self.pending_work());
                self.violated("requests and clients finish", seen);
                return;
            };
            let now = self.now;
            self.advance(next);
            if self.now >= now + MILLISECOND {
                // The program has slept, so this is not a busy loop.
                self.step();
            }
        }
    }

    fn can_run(&self, thread: &Thread) -> bool {
        let over = |call: &BlockedCall| {
            self.is_ready(&call.target) || call.deadline.is_some_and(|at| at <= self.now)
        };
        !thread.ended && thread.blocked.as_ref().is_none_or(over)
    }

    fn run_one_of(&mut self, several: &[usize]) {
        let next = match *several {
            [only] => only,
            _ => *choose(&mut self.rng, several),
        };
        if self.running != next {
            self.remark(|| format!("switch to thread {next}"));
            self.running = next;
        }
    }
}
