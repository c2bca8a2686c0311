//! Waiting for events: the epoll set, the clock, and the choice between busy-polling and sleeping.
//!
//! Each thread that serves connections has one [`Poller`], and waits only in that one.

use std::mem;
use std::time::Duration;

use syscalls::epoll::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLIN, EPOLLONESHOT, EPOLLOUT,
    Epoll, EpollEvent,
};
use syscalls::time::{CLOCK_MONOTONIC, clock_gettime};
use syscalls::{Errno, Fd, Kernel};

use super::polling::Polling;
use super::syscall_error::SyscallError;
use super::token::Token;

/// The most events of one wait: enough that many busy connections share the cost of the wait.
const MAX_EVENTS_PER_WAIT: usize = 256;

/// The number of polls between two readings of the clock. A reading costs about as much as a poll.
const POLLS_PER_CLOCK: u32 = 8;

/// The number of failures of `epoll_pwait` in a row, each with an errno other than `EINTR`, that ends the
/// loop. Such an error, for example `EBADF`, means that the process is broken. Retrying without a limit would
/// spin.
const MAX_WAIT_FAILURES: u32 = 16;

/// The event for which a descriptor of the engine's owner is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Readable.
    Input,
    /// Writable.
    Output,
}

/// An epoll set, its event buffer, a clock and the polling policy.
#[derive(Debug)]
pub struct Poller<K: Kernel> {
    kernel: K,
    epoll: Epoll<K>,
    events: Box<[EpollEvent]>,
    wait_failures: u32,
    /// The last reading of the clock.
    time: Duration,
    polling: Polling,
}

impl<K: Kernel> Poller<K> {
    /// Creates an empty epoll set. `polling` decides whether its waits busy-poll.
    ///
    /// # Errors
    /// Those of `epoll_create1`: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new(kernel: K, polling: Polling) -> Result<Poller<K>, SyscallError> {
        let epoll = Epoll::new(kernel.clone(), EPOLL_CLOEXEC)
            .map_err(|errno| SyscallError::new("epoll_create1", errno))?;
        Ok(Poller {
            kernel,
            epoll,
            events: vec![EpollEvent::default(); MAX_EVENTS_PER_WAIT].into(),
            wait_failures: 0,
            time: Duration::ZERO,
            polling,
        })
    }

    /// Returns the kernel of the epoll set.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// Returns the time of `CLOCK_MONOTONIC`, or the previous reading if the call fails. Linux never fails
    /// this call, but a seccomp filter may.
    pub fn now(&mut self) -> Duration {
        self.time = clock_gettime(&self.kernel, CLOCK_MONOTONIC).unwrap_or(self.time);
        self.time
    }

    /// Adds `fd` to the set. Its `events` are reported with `token`.
    ///
    /// # Errors
    /// Those of `epoll_ctl`: `EEXIST`, `ENOMEM`, `ENOSPC`; `EPERM` for a file that is always ready.
    pub fn add(&self, fd: &Fd<K>, events: u32, token: Token) -> Result<(), Errno> {
        let data = token.pack();
        self.epoll
            .ctl(EPOLL_CTL_ADD, fd, EpollEvent { events, data })
    }

    /// Replaces the events of `fd`, which is in the set. Events that have already happened are reported
    /// again.
    ///
    /// # Errors
    /// Those of `epoll_ctl`: `ENOENT`, `ENOMEM`; `EPERM` for a file that is always ready.
    pub fn modify(&self, fd: &Fd<K>, events: u32, token: Token) -> Result<(), Errno> {
        let data = token.pack();
        self.epoll
            .ctl(EPOLL_CTL_MOD, fd, EpollEvent { events, data })
    }

    /// Removes `fd` from the set.
    ///
    /// # Errors
    /// Those of `epoll_ctl`: `ENOENT`.
    pub fn remove(&self, fd: &Fd<K>) -> Result<(), Errno> {
        self.epoll.ctl(EPOLL_CTL_DEL, fd, EpollEvent::default())
    }

    /// Arms a one-shot watch on `fd`: the next wait that finds it ready reports it. Returns false for
    /// a file that epoll refuses because it is always ready: a regular file, or `/dev/null`.
    ///
    /// The watch is one-shot because the owner does not always use the descriptor at once. A level-triggered
    /// watch would then end every wait at once.
    ///
    /// # Errors
    /// Those of `epoll_ctl`: `EBADF` if `fd` is not open, `ENOMEM`, `ENOSPC`.
    pub fn watch(&self, fd: &Fd<K>, watch: Watch) -> Result<bool, SyscallError> {
        let (events, token) = match watch {
            Watch::Input => (EPOLLIN, Token::Input),
            Watch::Output => (EPOLLOUT, Token::Output),
        };
        let events = events | EPOLLONESHOT;
        let armed = match self.modify(fd, events, token) {
            // The kernel refuses a regular file (EPERM) before it checks whether the file is in the set.
            Err(Errno::ENOENT | Errno::EPERM) => self.add(fd, events, token),
            armed => armed,
        };
        match armed {
            Ok(()) => Ok(true),
            Err(Errno::EPERM) => Ok(false),
            Err(errno) => Err(SyscallError::new("epoll_ctl", errno)),
        }
    }

    /// Waits for events for at most `timeout`; `None` waits without a limit. Returns the number of events;
    /// [`event`](Poller::event) returns each. The wait may end early without events, for example after a
    /// signal.
    ///
    /// # Errors
    /// That of `epoll_pwait` if it failed [`MAX_WAIT_FAILURES`] times in a row, each time with an errno
    /// other than `EINTR`.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<usize, SyscallError> {
        let polling_time = match timeout {
            Some(Duration::ZERO) => None,
            _ => self.polling.wanted(),
        };
        if let Some(limit) = polling_time {
            let count = self.busy_poll(timeout.map_or(limit, |timeout| timeout.min(limit)))?;
            if count > 0 {
                return Ok(count);
            }
        }
        self.poll(timeout)
    }

    /// Polls for events for at most `limit`. Returns the number of events.
    fn busy_poll(&mut self, limit: Duration) -> Result<usize, SyscallError> {
        let count = self.poll(Some(Duration::ZERO))?;
        if count > 0 {
            return Ok(count);
        }
        let mut now = self.now();
        let until = now + limit;
        loop {
            let mut count = 0;
            let mut polls = 0..POLLS_PER_CLOCK;
            while count == 0 && polls.next().is_some() {
                count = self.poll(Some(Duration::ZERO))?;
            }
            let before = mem::replace(&mut now, self.now());
            // If `clock_gettime` fails, `now` does not advance, and would never end the polling.
            if count > 0 || now >= until || now == before {
                self.polling.polled(count > 0);
                return Ok(count);
            }
        }
    }

    /// Counts a turn that wrote back `bytes`, for the comparison of polling with sleeping.
    pub fn echoed(&mut self, bytes: usize) {
        if bytes > 0 && self.polling.echoed(bytes as u64) {
            let now = self.now();
            self.polling.look(now);
        }
    }

    /// Returns event number `i` of the last wait: the descriptor's token and its epoll events.
    pub fn event(&self, i: usize) -> (Token, u32) {
        let EpollEvent { data, events } = self.events[i];
        (Token::unpack(data), events)
    }

    /// Calls `epoll_pwait` once.
    fn poll(&mut self, timeout: Option<Duration>) -> Result<usize, SyscallError> {
        match self.epoll.wait(&mut self.events, milliseconds(timeout)) {
            Ok(count) => {
                self.wait_failures = 0;
                Ok(count)
            }
            // Do not retry here, because the caller's deadline may have passed.
            Err(Errno::EINTR) => Ok(0),
            Err(errno) => {
                self.wait_failures += 1;
                if self.wait_failures < MAX_WAIT_FAILURES {
                    Ok(0)
                } else {
                    Err(SyscallError::new("epoll_pwait", errno))
                }
            }
        }
    }
}

/// Converts a timeout to the unit of `epoll_pwait`, rounded up, because a wait must not end early.
fn milliseconds(timeout: Option<Duration>) -> i32 {
    const NO_LIMIT: i32 = -1;
    let rounded_up = |timeout: Duration| timeout.as_nanos().div_ceil(1_000_000);
    timeout.map_or(NO_LIMIT, |timeout| {
        i32::try_from(rounded_up(timeout)).unwrap_or(i32::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use syscalls::scripted::{Script, Scripted, Step};

    const EPOLL: usize = 3;

    /// Returns a poller that never busy-polls.
    fn poller<'s>(script: &'s Script<'s>) -> Poller<Scripted<'s>> {
        Poller::new(script.kernel(), Polling::new(Duration::ZERO)).expect("an epoll set")
    }

    #[test]
    fn timeouts_are_rounded_up_to_milliseconds() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_nanos(1))), 1);
        assert_eq!(milliseconds(Some(Duration::from_micros(1001))), 2);
        assert_eq!(milliseconds(Some(Duration::MAX)), i32::MAX);
    }

    #[test]
    fn wait_reports_tokens_and_events() {
        let events = [EpollEvent {
            events: EPOLLIN,
            data: Token::Listener.pack(),
        }];
        let steps = [
            Step::new("epoll_create1").returns(EPOLL),
            Step::new("epoll_pwait").arg(0, EPOLL).reports(&events),
        ];
        let script = Script::new(&steps);
        let mut poller = poller(&script);
        assert_eq!(poller.wait(None), Ok(1));
        assert_eq!(poller.event(0), (Token::Listener, EPOLLIN));
        script.assert_finished();
    }

    #[test]
    fn wait_fails_after_repeated_errors_only() {
        let refused = Step::new("epoll_pwait").fails(Errno::EBADF);
        let mut steps = vec![Step::new("epoll_create1").returns(EPOLL)];
        steps.extend([refused; 15]);
        steps.push(Step::new("epoll_pwait"));
        steps.push(Step::new("epoll_pwait").fails(Errno::EINTR));
        steps.extend([refused; 16]);
        let script = Script::new(&steps);
        let mut poller = poller(&script);
        for _ in 0..15 + 2 + 15 {
            assert_eq!(poller.wait(None), Ok(0));
        }
        let failure = SyscallError::new("epoll_pwait", Errno::EBADF);
        assert_eq!(poller.wait(None), Err(failure));
        script.assert_finished();
    }

    #[test]
    fn now_is_the_previous_reading_while_the_clock_fails() {
        let second = Duration::from_secs(1);
        let steps = [
            Step::new("epoll_create1").returns(EPOLL),
            Step::new("clock_gettime").time(second),
            Step::new("clock_gettime").fails(Errno::ENOSYS),
        ];
        let script = Script::new(&steps);
        let mut poller = poller(&script);
        assert_eq!([poller.now(), poller.now()], [second; 2]);
    }

    #[test]
    fn watch_reports_whether_a_file_can_be_polled() {
        let cases: [(&[Errno], _); 5] = [
            (&[], Ok(true)),
            // Not in the set yet.
            (&[Errno::ENOENT], Ok(true)),
            // A regular file.
            (&[Errno::EPERM, Errno::EPERM], Ok(false)),
            (&[Errno::ENOENT, Errno::EPERM], Ok(false)),
            (
                &[Errno::ENOENT, Errno::ENOSPC],
                Err(SyscallError::new("epoll_ctl", Errno::ENOSPC)),
            ),
        ];
        for (errors, expected) in cases {
            let mut steps = vec![
                Step::new("epoll_create1").returns(EPOLL),
                Step::new("eventfd2").returns(4),
            ];
            let ops = [EPOLL_CTL_MOD, EPOLL_CTL_ADD].map(|op| op as usize);
            let step = |op| Step::new("epoll_ctl").arg(0, EPOLL).arg(1, op).arg(2, 4);
            let failing = errors
                .iter()
                .zip(ops)
                .map(|(&errno, op)| step(op).fails(errno));
            steps.extend(failing);
            if expected == Ok(true) {
                steps.push(step(ops[errors.len()]));
            }
            let script = Script::new(&steps);
            let poller = poller(&script);
            let fd = syscalls::event::eventfd2(script.kernel(), 0, 0).expect("a descriptor");
            assert_eq!(poller.watch(&fd, Watch::Input), expected, "{errors:?}");
            script.assert_finished();
        }
    }
}
