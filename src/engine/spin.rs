//! When to poll instead of sleep.
//!
//! A thread that sleeps in epoll takes some 40 µs to be woken from another core, longer than the
//! whole echo. So after it has served a lone client, who is likely to answer at once, the loop asks
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
//!   spinning alone for a while;
//! - an idle server sleeps.

use std::time::Duration;

use super::Token;

/// Turns that have to be for the same descriptor, and no other, before it is taken for a lone one.
const LONE_TURNS: u32 = 4;

/// The most turns that are left out after spinning in vain: what is tried so seldom costs nothing,
/// though in vain each time.
const MOST_SKIPPED: u32 = 1024;

/// The turns that are left out when somebody else was given the processor meanwhile. The thread has
/// used its share up by spinning, and got none for milliseconds, with its client waiting: that must
/// not come again for a second or so.
const SKIPPED_IF_PREEMPTED: u32 = 16 * MOST_SKIPPED;

/// How spinning has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Something came.
    Came,
    /// The time was over.
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
    pub(super) fn learn(&mut self, ended: Ended) {
        self.skipped = match ended {
            Ended::Came => self.skipped / 2,
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
        for _ in 0..16 {
            gaps.push(gap(&mut spin));
            spin.learn(Ended::Came);
        }
        let mut expected = (0..15)
            .map(|i| SKIPPED_IF_PREEMPTED >> i)
            .collect::<Vec<_>>();
        expected.push(0);
        assert_eq!(gaps, expected);
    }
}
