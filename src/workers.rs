//! Engines in threads of their own, that listen on the same port as the main one.
//!
//! The kernel spreads the connections over them (`SO_REUSEPORT`, `socket(7)`). Each has its own
//! epoll set and connections, and they share nothing but the counters.
//!
//! A worker is told what to do by an order, and answers with its result. Each of the two goes with a
//! write to an eventfd, for which the other side waits in its epoll set: so connections are served
//! while one thread waits for another, and no thread ever waits outside of a system call.

use core::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use syscalls::event::{EFD_CLOEXEC, EFD_NONBLOCK, eventfd2};
use syscalls::{Fd, Kernel, retry_on_eintr};

use crate::engine::{Drain, Engine, ReusePort, Spin, SyscallError, Totals, Watch};

/// What a worker is told to do.
#[derive(Clone, Copy, Debug)]
enum Order {
    Start(SocketAddr),
    Stop(Duration),
    /// To end.
    Leave,
}

/// What passes between the main thread and a worker: one order, then its result.
#[derive(Debug)]
struct Desk<K: Kernel> {
    papers: Mutex<Papers>,
    /// The eventfd that tells the worker of an order.
    orders: Fd<K>,
    /// The eventfd, common to all workers, that tells the main thread of a result.
    results: Arc<Fd<K>>,
}

#[derive(Debug, Default)]
struct Papers {
    order: Option<Order>,
    result: Option<Result<(), SyscallError>>,
    /// Why the worker has gone without being told to, if it has: every result from then on.
    gone: Option<SyscallError>,
}

/// The workers beside the main engine, from the main thread's side; there may be none. They end when
/// this is dropped.
#[derive(Debug)]
pub struct Workers<K: Kernel>(Vec<Arc<Desk<K>>>);

/// A worker, to be [run](Worker::run) by a thread of its own.
#[derive(Debug)]
pub struct Worker<K: Kernel> {
    engine: Engine<K>,
    desk: Arc<Desk<K>>,
}

impl<K: Kernel> Workers<K> {
    /// No workers: the main engine serves alone.
    pub fn none() -> Workers<K> {
        Workers(Vec::new())
    }

    /// `count` workers beside the engine `main`. The caller starts their threads.
    ///
    /// # Errors
    /// Those of eventfd2, epoll_ctl and [`Engine::new`].
    pub fn new(
        kernel: &K,
        count: usize,
        main: &Engine<K>,
        spin: Spin,
        totals: &Arc<Totals>,
    ) -> Result<(Workers<K>, Vec<Worker<K>>), SyscallError> {
        if count == 0 {
            return Ok((Workers::none(), Vec::new()));
        }
        let event = || {
            eventfd2(kernel.clone(), 0, EFD_CLOEXEC | EFD_NONBLOCK)
                .map_err(|errno| SyscallError::new("eventfd2", errno))
        };
        let results = Arc::new(event()?);
        // They are put into the epoll sets now, when there is somebody to tell if that fails. To arm
        // them again takes no memory.
        main.watch(&results, Watch::Workers)?;
        let worker = |_| {
            let engine = Engine::new(kernel.clone(), spin, Arc::clone(totals))?;
            let desk = Arc::new(Desk {
                papers: Mutex::default(),
                orders: event()?,
                results: Arc::clone(&results),
            });
            engine.watch(&desk.orders, Watch::Input)?;
            Ok(Worker { engine, desk })
        };
        let workers = (0..count).map(worker).collect::<Result<Vec<_>, _>>()?;
        let desks = workers.iter().map(|worker| Arc::clone(&worker.desk));
        Ok((Workers(desks.collect()), workers))
    }

    /// Has `engine` and all workers listen on `address`. Returns where that is.
    ///
    /// # Errors
    /// As for [`Engine::start`]. None of them listens then.
    pub fn start(
        &self,
        engine: &mut Engine<K>,
        address: SocketAddr,
    ) -> Result<SocketAddr, SyscallError> {
        let sharing = match self.0.as_slice() {
            [] => ReusePort::Off,
            _ => ReusePort::Allow,
        };
        let address = engine.start(address, sharing)?;
        let ordered = self.order(Order::Start(address));
        match ordered.and_then(|()| self.results(engine)) {
            Ok(()) => Ok(address),
            Err(failure) => {
                self.stop(engine, Duration::ZERO);
                Err(failure)
            }
        }
    }

    /// Has `engine` and all workers stop, as [`Engine::stop`] does, at the same time.
    pub fn stop(&self, engine: &mut Engine<K>, patience: Duration) {
        let ordered = self.order(Order::Stop(patience));
        if engine.stop(patience) == Drain::Complete && ordered.is_ok() {
            // Stopping cannot fail; where the loop does, nothing can be waited for.
            let _ = self.wait(engine);
        }
    }

    /// Hands an order to every worker. The results of the one before have to be there.
    ///
    /// # Errors
    /// `write`'s: a worker, which was not woken, does not carry it out.
    fn order(&self, order: Order) -> Result<(), SyscallError> {
        for desk in &self.0 {
            let mut papers = desk.papers();
            papers.order = Some(order);
            papers.result = None;
            drop(papers);
            add_one(&desk.orders)?;
        }
        Ok(())
    }

    /// Serves with `engine` until every worker has carried out its order, or, as in
    /// [`Engine::stop`], the owner's input is ready.
    fn wait(&self, engine: &mut Engine<K>) -> Result<Drain, SyscallError> {
        for desk in &self.0 {
            while desk.papers().outcome().is_none() {
                engine.watch(&desk.results, Watch::Workers)?;
                loop {
                    let ready = engine.turn(None)?;
                    if ready.input {
                        return Ok(Drain::Interrupted);
                    }
                    if ready.workers {
                        break;
                    }
                }
                set_to_zero(&desk.results);
            }
        }
        Ok(Drain::Complete)
    }

    /// Waits for the results of an order, however much input there is. Returns the first failure.
    fn results(&self, engine: &mut Engine<K>) -> Result<(), SyscallError> {
        while self.wait(engine)? == Drain::Interrupted {}
        let mut outcomes = self.0.iter().filter_map(|desk| desk.papers().outcome());
        outcomes.find(Result::is_err).unwrap_or(Ok(()))
    }
}

impl<K: Kernel> Drop for Workers<K> {
    fn drop(&mut self) {
        // The threads end with the process in any case.
        let _ = self.order(Order::Leave);
    }
}

impl<K: Kernel> Worker<K> {
    /// The worker's life: it serves, and carries out orders, until it is told to leave.
    pub fn run(mut self) {
        if let Err(failure) = self.work() {
            // Its loop is broken, which is a failure whatever it is told to do.
            self.desk.papers().gone = Some(failure);
            // There is no other way to report it.
            let _ = add_one(&self.desk.results);
        }
    }

    fn work(&mut self) -> Result<(), SyscallError> {
        loop {
            let result = match self.next_order()? {
                Order::Start(address) => self.engine.start(address, ReusePort::Join).map(|_| ()),
                Order::Stop(patience) => {
                    // The next order hurries it.
                    self.engine.watch(&self.desk.orders, Watch::Input)?;
                    self.engine.stop(patience);
                    Ok(())
                }
                Order::Leave => return Ok(()),
            };
            self.desk.papers().result = Some(result);
            add_one(&self.desk.results)?;
        }
    }

    /// Serves until there is an order.
    fn next_order(&mut self) -> Result<Order, SyscallError> {
        loop {
            self.engine.watch(&self.desk.orders, Watch::Input)?;
            while !self.engine.turn(None)?.input {}
            set_to_zero(&self.desk.orders);
            // Not before: what tells of this order would be taken for the next one.
            if let Some(order) = self.desk.papers().order.take() {
                return Ok(order);
            }
        }
    }
}

impl<K: Kernel> Desk<K> {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().expect("nobody panics with it")
    }
}

impl Papers {
    /// What has come of the order, once it is carried out.
    fn outcome(&self) -> Option<Result<(), SyscallError>> {
        self.gone.map(Err).or(self.result)
    }
}

/// How often a write to an eventfd is tried that fails: the other thread waits for it.
const MAX_WRITES: usize = 16;

/// Adds to an eventfd, and so wakes the thread that waits for it. The counter is far from full, so
/// Linux has no reason to refuse this. A seccomp filter may.
fn add_one<K: Kernel>(event: &Fd<K>) -> Result<(), SyscallError> {
    let write = || retry_on_eintr(|| event.write(&1u64.to_ne_bytes()));
    let mut written = write();
    for _ in 1..MAX_WRITES {
        if written.is_ok() {
            break;
        }
        written = write();
    }
    let failed = |errno| SyscallError::new("write to an eventfd", errno);
    written.map(drop).map_err(failed)
}

/// Takes what has been added to an eventfd. (If that is nothing, it is 0 already.)
fn set_to_zero<K: Kernel>(event: &Fd<K>) {
    let _ = retry_on_eintr(|| event.read(&mut [0; 8]));
}
