//! Engines in threads of their own, that listen on the same port as the main one.
//!
//! The kernel spreads the connections over them (`SO_REUSEPORT`, `socket(7)`). Each has its own
//! epoll set and connections, and they share nothing but the counters.

use core::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use syscalls::event::{EFD_CLOEXEC, EFD_NONBLOCK, eventfd2};
use syscalls::{Errno, Fd, Kernel, retry};

use crate::engine::{Engine, Failure, Spin, Stopped, Totals, Watch};

/// How often the main thread looks whether a worker has stopped.
const LOOK_AT_WORKERS: Duration = Duration::from_millis(5);

/// What a worker is told to do.
#[derive(Clone, Copy, Debug)]
enum Order {
    Start(SocketAddr),
    Stop(Duration),
}

/// What passes between the main thread and a worker: one order, then its result.
#[derive(Debug, Default)]
struct Desk {
    papers: Mutex<Papers>,
    result_is_there: Condvar,
}

#[derive(Debug, Default)]
struct Papers {
    order: Option<Order>,
    result: Option<Result<(), Failure>>,
    /// Why the worker has gone, if it has: every result from then on.
    gone: Option<Failure>,
}

/// A worker, from the main thread's side.
#[derive(Debug)]
struct Worker<K: Kernel> {
    desk: Arc<Desk>,
    /// Written to when there is an order to read.
    wake: Arc<Fd<K>>,
}

/// The workers beside the main engine; there may be none.
#[derive(Debug)]
pub struct Workers<K: Kernel>(Vec<Worker<K>>);

impl<K: Kernel> Workers<K> {
    /// No workers: the main engine serves alone.
    pub fn none() -> Workers<K> {
        Workers(Vec::new())
    }

    /// Has `engine` and all workers listen on `address`. Returns where that is.
    ///
    /// # Errors
    /// As for [`Engine::start`]. None of them listens then.
    pub fn start(
        &self,
        engine: &mut Engine<K>,
        address: SocketAddr,
    ) -> Result<SocketAddr, Failure> {
        let shared = !self.0.is_empty();
        let address = engine.start(address, shared)?;
        let failed = self.0.iter().find_map(|worker| {
            worker.order(Order::Start(address));
            worker.result().err()
        });
        match failed {
            None => Ok(address),
            Some(failure) => {
                self.stop(engine, Duration::ZERO);
                Err(failure)
            }
        }
    }

    /// Has `engine` and all workers stop, as [`Engine::stop`] does, at the same time.
    pub fn stop(&self, engine: &mut Engine<K>, patience: Duration) {
        for worker in &self.0 {
            worker.order(Order::Stop(patience));
        }
        if engine.stop(patience) == Stopped::Hurried {
            return;
        }
        for worker in &self.0 {
            // Its result tells nothing: stopping cannot fail.
            while !worker.is_done() {
                // The owner's input hurries those who wait for a worker, too.
                let hurried = engine.turn(Some(LOOK_AT_WORKERS)).map(|ready| ready.input);
                if hurried.unwrap_or(true) {
                    return;
                }
            }
            worker.desk.papers().result = None;
        }
    }
}

impl<K: Kernel + Send + Sync + 'static> Workers<K> {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// Those of eventfd2 and [`Engine::new`]; clone's, if no thread can be had.
    pub fn spawn(
        kernel: &K,
        count: usize,
        spin: Spin,
        totals: &Arc<Totals>,
    ) -> Result<Workers<K>, Failure> {
        let worker = |_| {
            let wake = eventfd2(kernel.clone(), 0, EFD_CLOEXEC | EFD_NONBLOCK)
                .map_err(|errno| Failure::new("eventfd2", errno))?;
            let (wake, engine) = (
                Arc::new(wake),
                Engine::new(kernel.clone(), spin, Arc::clone(totals))?,
            );
            let desk = Arc::new(Desk::default());
            let (woken, own_desk) = (Arc::clone(&wake), Arc::clone(&desk));
            thread::Builder::new()
                .name("worker".into())
                .spawn(move || work(engine, &woken, &own_desk))
                // The one thing that it lacks, whatever the library says.
                .map_err(|_| Failure::new("clone", Errno::EAGAIN))?;
            Ok(Worker { desk, wake })
        };
        (0..count)
            .map(worker)
            .collect::<Result<_, _>>()
            .map(Workers)
    }
}

impl Desk {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().expect("nobody panics with it")
    }
}

impl<K: Kernel> Worker<K> {
    /// Hands an order over. Its result has to be taken before the next.
    fn order(&self, order: Order) {
        self.desk.papers().order = Some(order);
        // The counter is far from full, so this is never refused.
        let _ = retry(|| self.wake.write(&1u64.to_ne_bytes()));
    }

    /// Whether the order is carried out.
    fn is_done(&self) -> bool {
        let papers = self.desk.papers();
        papers.result.is_some() || papers.gone.is_some()
    }

    /// Waits for the result of the order.
    fn result(&self) -> Result<(), Failure> {
        let missing = |papers: &mut Papers| papers.result.is_none() && papers.gone.is_none();
        let papers = self
            .desk
            .result_is_there
            .wait_while(self.desk.papers(), missing);
        let mut papers = papers.expect("nobody panics with it");
        let gone = papers.gone.map_or(Ok(()), Err);
        papers.result.take().unwrap_or(gone)
    }
}

/// A worker's life: serves until there is an order, and carries it out.
fn work<K: Kernel>(mut engine: Engine<K>, wake: &Fd<K>, desk: &Desk) {
    let gone = loop {
        if let Err(failure) = serve_until_woken(&mut engine, wake) {
            break failure;
        }
        let Some(order) = desk.papers().order.take() else {
            continue;
        };
        let result = match order {
            Order::Start(address) => engine.start(address, true).map(|_| ()),
            Order::Stop(patience) => {
                engine.stop(patience);
                Ok(())
            }
        };
        desk.papers().result = Some(result);
        desk.result_is_there.notify_one();
    };
    // Its loop is broken, which is a failure whatever it is told to do.
    desk.papers().gone = Some(gone);
    desk.result_is_there.notify_one();
}

fn serve_until_woken<K: Kernel>(engine: &mut Engine<K>, wake: &Fd<K>) -> Result<(), Failure> {
    engine.watch(wake, Watch::Input)?;
    while !engine.turn(None)?.input {}
    // Sets the counter to 0; that it was above is known.
    let _ = retry(|| wake.read(&mut [0; 8]));
    Ok(())
}
