//! The program's threads: real ones, of which one runs at a time.
//!
//! A thread runs until it makes a call. Before and after the call another thread may run, and if
//! the call blocks, another one must; the seed decides which. A run with threads is therefore
//! deterministic too. Time passes when all threads are blocked.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{MutexGuard, Once};

use crate::faults::{Fault, choose};
use crate::kernel::Sim;
use crate::world::{File, MILLISECOND, Violation, World};

/// The thread that the program begins with.
pub(crate) const MAIN: usize = 0;

/// What a thread waits for in a call.
#[derive(Debug)]
pub(crate) enum What {
    /// Anything in the epoll set with this index.
    Epoll(usize),
    /// One of these events of one of these files.
    Poll(Vec<(File, u32)>),
}

/// A call that waits.
#[derive(Debug)]
pub(crate) struct Waits {
    pub(crate) what: What,
    /// When it ends if nothing comes.
    pub(crate) deadline: Option<u64>,
}

/// A thread of the program.
#[derive(Debug, Default)]
pub(crate) struct Thread {
    waits: Option<Waits>,
    ended: bool,
    /// The number of its latest call, and of the one before.
    call: u64,
    pub(crate) previous_call: u64,
    /// What its latest call did that is to be counted, as an index.
    pub(crate) uncounted: Option<usize>,
}

thread_local! {
    /// Which of the program's threads this is.
    static ME: Cell<usize> = const { Cell::new(MAIN) };
    /// It runs the program.
    static RUNS_PROGRAM: Cell<bool> = const { Cell::new(false) };
    /// The last panic's message, for those that are the program's own.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps panics of the program from standard error: they are part of the report.
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
    /// Makes a thread that [`in_thread`](Sim::in_thread) may run. It is in the run from now on.
    pub(crate) fn new_thread(&self) -> usize {
        let mut world = self.world();
        world.threads.push(Thread::default());
        world.threads.len() - 1
    }

    /// Runs `program` as thread `id`. Returns what it returned, unless it came to a violation.
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
        world.somebody_goes_on();
        self.0.passed.notify_all();
        outcome.ok()
    }

    /// A call of this thread begins: it waits until it is its turn.
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

    /// A call of this thread is done. In a trace it stands where the thread goes on after it.
    pub(crate) fn leave<'w>(&'w self, world: MutexGuard<'w, World>) {
        drop(self.maybe_preempted(world));
    }

    fn maybe_preempted<'w>(&'w self, mut world: MutexGuard<'w, World>) -> MutexGuard<'w, World> {
        let me = world.running;
        if world.threads.len() > 1 && world.faults.happens(Fault::Preempted) {
            world.somebody_goes_on();
        }
        self.turn(world, me)
    }

    /// Waits until it is thread `id`'s turn, or there is a violation, which unwinds it.
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
    /// The thread that runs.
    pub(crate) fn thread(&self) -> &Thread {
        &self.threads[self.running]
    }

    /// What the running thread's call has waited for, if it did before others went on.
    pub(crate) fn waited(&mut self) -> Option<Waits> {
        self.threads[self.running].waits.take()
    }

    /// The running thread's call waits. Returns whether it is over; if not, others go on, and the
    /// call is to be made once more when it is this thread's turn.
    pub(crate) fn wait(&mut self, waits: Waits) -> bool {
        let me = self.running;
        self.threads[me].waits = Some(waits);
        self.somebody_goes_on();
        let over = self.running == me;
        if over {
            self.threads[me].waits = None;
        }
        over
    }

    /// One of the threads that do not wait goes on. If all of them wait, time passes until one does
    /// not.
    pub(crate) fn somebody_goes_on(&mut self) {
        while self.violation.is_none() {
            let threads = 0..self.threads.len();
            let mut ready = threads.filter(|&id| self.can_go_on(&self.threads[id]));
            if let Some(first) = ready.next() {
                let mut several = vec![first];
                several.extend(ready);
                return self.one_goes_on(&several);
            }
            let live = || self.threads.iter().filter(|thread| !thread.ended);
            if live().next().is_none() {
                return;
            }
            let deadlines = live().filter_map(|thread| thread.waits.as_ref()?.deadline);
            let Some(next) = deadlines.chain(self.next_event()).min() else {
                let seen = format!("the program waits for ever; {}", self.who_waits());
                self.violated("everybody finishes", seen);
                return;
            };
            let now = self.now;
            self.advance(next);
            if self.now >= now + MILLISECOND {
                // Time has passed in which the processor could do something else.
                self.step();
            }
        }
    }

    fn can_go_on(&self, thread: &Thread) -> bool {
        let over = |waits: &Waits| {
            self.is_ready(&waits.what) || waits.deadline.is_some_and(|at| at <= self.now)
        };
        !thread.ended && thread.waits.as_ref().is_none_or(over)
    }

    fn one_goes_on(&mut self, several: &[usize]) {
        let next = match *several {
            [only] => only,
            _ => *choose(&mut self.rng, several),
        };
        if self.running != next {
            self.remark(|| format!("thread {next} goes on"));
            self.running = next;
        }
    }
}
