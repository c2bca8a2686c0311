//! When to poll instead of sleep.
//!
//! A thread that sleeps in epoll takes 5 to 40 µs to be woken from another core, depending on the
//! machine: about as long as the whole echo, or longer. So after it has served a lone client, who is likely to answer at once, the loop asks
//! epoll again and again for a short time before it sleeps.
//!
//! That must never cost more than it brings:
//! - it happens only while turn after turn is for one and the same descriptor (a lone client's
//!   connection, say): with more of them, the next event comes soon anyway, and each wake-up is
//!   shared;
//! - each time that nothing came, it is tried half as often, down to once in [`MOST_SKIPPED`]
//!   turns, and each time that something came, twice as often again. So a slow client, or one that
//!   shares the processor with the server and cannot run while that spins, soon meets a server that
//!   sleeps at once;
//! - where others want the processor, too, who spins uses its share up, is put off for milliseconds,
//!   and so serves its client later than if it had slept. It sees that by the clock, and leaves
//!   spinning alone for [`SKIPPED_IF_PREEMPTED`] turns (a hypervisor that takes the processor away
//!   looks the same);
//! - an idle server sleeps.

use std::time::Duration;

use syscalls::Kernel;

use super::poller::Poller;
use super::syscall_error::SyscallError;
use super::token::Token;

/// Turns that have to be for the same descriptor, and no other, before it is taken for a lone one.
const LONE_TURNS: u32 = 4;

/// The most turns that are left out after spinning in vain: what is tried so seldom costs nothing,
/// though in vain each time.
const MOST_SKIPPED: u32 = 1024;

/// The turns that are left out when somebody else was given the processor meanwhile. The thread has
/// used its share up by spinning, and got none for milliseconds, with its client waiting: that must
/// come so seldom that it costs no more than a hundredth.
const SKIPPED_IF_PREEMPTED: u32 = 16 * MOST_SKIPPED;

/// Polls between two looks at the clock while spinning: a look costs about as much as a poll.
const POLLS_PER_CLOCK: u32 = 8;

/// The longest time between two looks at the clock in which nobody else can have run: the polls take
/// 2 to 4 µs. If it was longer, it may have been the client itself that ran, on this processor: then
/// spinning has not brought its message, but put it off.
const UNDISTURBED: Duration = Duration::from_micros(8);

/// The time between two looks at the clock that tells that somebody else has been given the
/// processor: longer than polls and interrupts take, shorter than a scheduler's time slice.
const PREEMPTED: Duration = Duration::from_micros(500);

/// How spinning has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Something came.
    Came,
    /// The time was over, or what came may have been put off by it.
    InVain,
    /// Somebody else was given the processor.
    Preempted,
}

/// How long to spin, and whether it pays.
#[derive(Clone, Copy, Debug)]
pub struct Spin {
    limit: Duration,
    /// The only one that the last turn was for, if there was just one.
    lone: Option<Token>,
    /// How many turns in a row were for it.
    turns: u32,
    /// Turns yet to be left out.
    skip: u32,
    /// Turns that were left out the last time.
    skipped: u32,
}

impl Spin {
    /// The time to spin at the most. Measured: long enough for a client on another core to read the
    /// echo and send the next message, with some to spare.
    pub const DEFAULT: Duration = Duration::from_micros(60);

    /// Spins for `limit` at the most; zero: never.
    pub fn new(limit: Duration) -> Spin {
        Spin {
            limit,
            lone: None,
            turns: 0,
            skip: 0,
            skipped: 0,
        }
    }

    /// How long to spin before the next sleep, if at all.
    pub(super) fn wanted(&mut self) -> Option<Duration> {
        if self.limit.is_zero() || self.turns < LONE_TURNS {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        Some(self.limit)
    }

    /// Learns how spinning has ended.
    fn learn(&mut self, ended: Ended) {
        self.skipped = match ended {
            // After a success, whoever had the processor once has not stayed.
            Ended::Came => (self.skipped / 2).min(MOST_SKIPPED),
            Ended::InVain => (2 * self.skipped + 1).min(MOST_SKIPPED),
            Ended::Preempted => SKIPPED_IF_PREEMPTED,
        };
        self.skip = self.skipped;
    }

    /// Learns that a turn was for `token`, and for nothing else if it was `alone`.
    pub(super) fn served(&mut self, token: Token, alone: bool) {
        let again = alone && self.lone == Some(token);
        self.turns = if again {
            self.turns.saturating_add(1)
        } else {
            0
        };
        self.lone = alone.then_some(token);
    }
}

impl<K: Kernel> Poller<K> {
    /// Polls for events for up to `limit`. Returns how many came.
    pub(super) fn spin(&mut self, limit: Duration) -> Result<usize, SyscallError> {
        // What is there already tells nothing of spinning, and needs no look at the clock.
        let count = self.poll(Some(Duration::ZERO))?;
        if count > 0 {
            return Ok(count);
        }
        let mut looked = self.now();
        let until = looked + limit;
        loop {
            let mut polls = 0..POLLS_PER_CLOCK;
            let mut count = 0;
            while count == 0 && polls.next().is_some() {
                count = self.poll(Some(Duration::ZERO))?;
            }
            let before = std::mem::replace(&mut looked, self.now());
            let passed = looked.saturating_sub(before);
            let ended = if passed > PREEMPTED {
                Ended::Preempted
            } else if count > 0 && passed <= UNDISTURBED {
                Ended::Came
            } else if count > 0 || looked >= until || passed.is_zero() {
                // A clock that stands still (`clock_gettime` fails) would never end the polling.
                Ended::InVain
            } else {
                continue;
            };
            self.spin.learn(ended);
            return Ok(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::connections::Key;
    use super::*;
    use std::num::NonZeroU32;

    fn connection(index: u32) -> Token {
        Token::Connection(Key {
            index,
            generation: NonZeroU32::MIN,
        })
    }

    fn lone_client(spin: &mut Spin) {
        for _ in 0..=LONE_TURNS {
            spin.served(connection(7), true);
        }
    }

    /// How many turns are left out before the next one that spins.
    fn gap(spin: &mut Spin) -> u32 {
        let mut turns = 0..;
        turns
            .find(|_| spin.wanted().is_some())
            .expect("tried again")
    }

    #[test]
    fn spins_for_a_lone_client_only() {
        let mut spin = Spin::new(Spin::DEFAULT);
        assert_eq!(spin.wanted(), None);
        lone_client(&mut spin);
        assert_eq!(spin.wanted(), Some(Spin::DEFAULT));
        spin.served(connection(8), true);
        assert_eq!(spin.wanted(), None, "a second client");
        lone_client(&mut spin);
        spin.served(connection(7), false);
        assert_eq!(spin.wanted(), None, "two at once");
    }

    #[test]
    fn zero_turns_it_off() {
        let mut spin = Spin::new(Duration::ZERO);
        lone_client(&mut spin);
        assert_eq!(spin.wanted(), None);
    }

    #[test]
    fn in_vain_it_is_tried_less_and_less_often() {
        let mut spin = Spin::new(Spin::DEFAULT);
        lone_client(&mut spin);
        let mut gaps = Vec::new();
        for _ in 0..12 {
            gaps.push(gap(&mut spin));
            spin.learn(Ended::InVain);
        }
        assert_eq!(gaps, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1024]);
    }

    #[test]
    fn each_success_has_it_tried_twice_as_often() {
        let mut spin = Spin::new(Spin::DEFAULT);
        lone_client(&mut spin);
        spin.learn(Ended::Preempted);
        let mut gaps = Vec::new();
        for _ in 0..13 {
            gaps.push(gap(&mut spin));
            spin.learn(Ended::Came);
        }
        let mut expected = vec![SKIPPED_IF_PREEMPTED];
        expected.extend((0..11).map(|i| MOST_SKIPPED >> i));
        expected.push(0);
        assert_eq!(gaps, expected);
    }
}
