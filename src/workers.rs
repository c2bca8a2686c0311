//! Engines in threads of their own, that listen on the same port as the main one.
//!
//! The kernel spreads the connections over them (`SO_REUSEPORT`, `socket(7)`). Each has its own
//! epoll set and connections, and they share nothing but the counters.

use core::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use syscalls::event::{EFD_CLOEXEC, EFD_NONBLOCK, eventfd2};
use syscalls::{Errno, Fd, Kernel, retry};

use crate::engine::{Engine, Failure, Spin, Stopped, Totals, Watch};

/// What a worker is told to do. It answers each with a result, which for the last one is trivial.
#[derive(Clone, Copy, Debug)]
enum Order {
    Start(SocketAddr),
    Stop(Duration),
}

/// A worker, from the main thread's side.
#[derive(Debug)]
struct Worker<K: Kernel> {
    orders: Sender<Order>,
    results: Receiver<Result<(), Failure>>,
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
            // Stopping cannot fail.
            let _ = worker.result();
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
            let (orders, to_do) = channel();
            let (done, results) = channel();
            let woken = Arc::clone(&wake);
            thread::Builder::new()
                .name("worker".into())
                .spawn(move || work(engine, &woken, &to_do, &done))
                // The one thing that it lacks, whatever the library says.
                .map_err(|_| Failure::new("clone", Errno::EAGAIN))?;
            Ok(Worker {
                orders,
                results,
                wake,
            })
        };
        (0..count)
            .map(worker)
            .collect::<Result<_, _>>()
            .map(Workers)
    }
}

impl<K: Kernel> Worker<K> {
    fn order(&self, order: Order) {
        // A worker that is gone says so by having no result.
        let _ = self.orders.send(order);
        let _ = retry(|| self.wake.write(&1u64.to_ne_bytes()));
    }

    /// Waits for the result of an order.
    fn result(&self) -> Result<(), Failure> {
        self.results
            .recv()
            .expect("a worker lives as long as its orders may come")
    }
}

/// A worker's life: serves until there is an order, and carries it out.
fn work<K: Kernel>(
    mut engine: Engine<K>,
    wake: &Fd<K>,
    orders: &Receiver<Order>,
    done: &Sender<Result<(), Failure>>,
) {
    let failure = loop {
        match serve_until_woken(&mut engine, wake) {
            Ok(()) => {}
            Err(failure) => break failure,
        }
        while let Ok(order) = orders.try_recv() {
            let result = match order {
                Order::Start(address) => engine.start(address, true).map(|_| ()),
                Order::Stop(patience) => {
                    engine.stop(patience);
                    Ok(())
                }
            };
            if done.send(result).is_err() {
                return;
            }
        }
    };
    // Its loop is broken: all it can still do is say so.
    drop(engine);
    while orders.recv().is_ok() && done.send(Err(failure)).is_ok() {}
}

fn serve_until_woken<K: Kernel>(engine: &mut Engine<K>, wake: &Fd<K>) -> Result<(), Failure> {
    engine.watch(wake, Watch::Input)?;
    while !engine.turn(None)?.input {}
    // Sets the counter to 0; that it was above is known.
    let _ = retry(|| wake.read(&mut [0; 8]));
    Ok(())
}
