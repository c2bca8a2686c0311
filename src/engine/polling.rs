//! When to poll instead of sleep: decided by what gets done.
//!
//! A thread that sleeps in epoll takes 5 to 60 µs to be woken from another processor, about as long
//! as an echo or longer. A thread that polls is there at once. But it uses its processor meanwhile: it
//! keeps a client on the same one from running, and where other programs want it, it uses up its time
//! slice and then waits for milliseconds. Which is better depends on the clients, on the machine and on
//! what else runs there, and no rule knows all of that. So [`Polling`] tries both and compares.
//!
//! - **A trial** is a series of short windows: sleep, poll, sleep, poll… Polling wins a pair if it
//!   echoed more bytes in the same time, sleeping if there is no difference, since it costs less. The
//!   first to win [`WINS`] pairs wins the trial. A disturbance spoils one window and decides nothing.
//! - **Between trials** the winner is used, in windows long enough for a preemption to show. Polling
//!   that echoes less than the trial's sleeping windows did is given up. A rate that changes asks for
//!   another trial.
//! - **The pause** before a trial that nothing asks for doubles each time, up to [`MAX_PAUSE`]. The
//!   worse mode then takes 1 or 2 % of the time.
//! - **Polling mostly in vain** is given up at once: its time is over before anything comes, so it
//!   costs processor time and hardly saves any.
//!
//! The clock is read once in several turns that echo something. An idle server sleeps and reads nothing.

use std::time::Duration;

/// Turns between two readings of the clock: each costs about a fiftieth of a turn. They are also what
/// a mode's first window leaves out, because the mode before still has an effect.
const TURNS_PER_LOOK: u32 = 8;

/// The least length of a trial's window: some ten turns, and much more than an interrupt takes.
const TRIAL_WINDOW: Duration = Duration::from_micros(500);

/// Pairs of a trial that a mode has to win.
const WINS: u32 = 3;

/// Windows of one mode differ by less than this fraction, 1/25.
const MARGIN: u64 = 25;

/// The least length of a window between trials: more than two time slices of Linux's scheduler (about
/// 3 ms), so what polling loses by preemption is in it.
const WINDOW: Duration = Duration::from_millis(8);

/// The least turns in such a window: the rate of messages that come at random then varies by a
/// tenth.
const WINDOW_TURNS: u32 = 128;

/// A rate that differs by this fraction, 1/4, has changed.
const CHANGE: u64 = 4;

/// Limits of the pause between trials.
const MIN_PAUSE: Duration = Duration::from_millis(16);
const MAX_PAUSE: Duration = Duration::from_millis(256);

/// The least turns in a pause after which nothing has changed. Slow clients take few turns, for which
/// a trial's polls in vain would cost much.
const PAUSE_TURNS: u32 = 4096;

/// Polling is given up when it has been in vain this many times more often than not.
const MAX_IN_VAIN: u32 = 16;

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Sleep,
    Poll,
}

/// What a window is for.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// A trial. `sleeping` is the rate of the last sleeping window; `wins` counts each mode's pairs.
    Trial { sleeping: u64, wins: [u32; 2] },
    /// The winner is in use since `since`, for `turns` turns.
    Decided { since: Duration, turns: u32 },
}

/// What happened since the window opened.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// `None` until the first look at the clock.
    opened: Option<Duration>,
    turns: u32,
    bytes: u64,
    /// Times that nothing was ready, so there was something to poll for.
    polls: u32,
}

impl Window {
    /// Bytes a second; `None` if no time has passed.
    fn rate(&self, now: Duration) -> Option<u64> {
        let length = now.saturating_sub(self.opened?).as_nanos();
        let rate = (u128::from(self.bytes) * 1_000_000_000).checked_div(length)?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// Whether nearly every turn finds something ready, so that polling costs nothing. It still helps:
    /// the first sleep would make the other side sleep, too.
    fn hardly_polls(&self) -> bool {
        self.polls < self.turns / 4
    }
}

/// Decides how to wait, and learns from what comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Polling {
    limit: Duration,
    mode: Mode,
    stage: Stage,
    window: Window,
    /// Polls in vain since polling was last given up, less those that were not.
    in_vain: u32,
    /// Turns since the last look at the clock.
    turns: u32,
    /// The pause before the next trial.
    pause: Duration,
    /// The mean rate of the trial's sleeping windows.
    sleeping: u64,
    /// The winner's rate in the trial, or in the first window since.
    usual: Option<u64>,
}

impl Polling {
    /// The default limit: long enough for a client on another processor to read the echo and send the
    /// next message, on a machine that takes up to 40 µs to wake it.
    pub const DEFAULT: Duration = Duration::from_micros(60);

    /// Polls for at most `limit` before a sleep; zero: never.
    pub fn new(limit: Duration) -> Polling {
        Polling {
            limit,
            mode: Mode::Sleep,
            stage: FIRST_PAIR,
            window: Window::default(),
            in_vain: 0,
            turns: 0,
            pause: MIN_PAUSE,
            sleeping: 0,
            usual: None,
        }
    }

    /// How long to poll before the next sleep, if at all.
    pub(super) fn wanted(&self) -> Option<Duration> {
        (self.mode == Mode::Poll).then_some(self.limit)
    }

    /// Learns that a poll, which had found nothing ready at first, ended at `now` with or without
    /// an event.
    pub(super) fn polled(&mut self, found: bool, now: Duration) {
        self.window.polls += 1;
        self.in_vain = if found {
            self.in_vain.saturating_sub(1)
        } else {
            self.in_vain + 1
        };
        if self.in_vain >= MAX_IN_VAIN {
            self.decide(Mode::Sleep, None, now);
        }
    }

    /// Counts a turn that echoed `bytes`. Returns whether to [`look`](Polling::look) at the clock.
    pub(super) fn echoed(&mut self, bytes: u64) -> bool {
        if self.limit.is_zero() {
            return false;
        }
        self.turns += 1;
        self.window.bytes += bytes;
        self.turns >= TURNS_PER_LOOK
    }

    /// Learns the time, and what follows from it if the window is long enough.
    pub(super) fn look(&mut self, now: Duration) {
        let turns = std::mem::take(&mut self.turns);
        self.window.turns += turns;
        let Some(opened) = self.window.opened else {
            self.open(Some(now));
            return;
        };
        let length = now.saturating_sub(opened);
        let Some(rate) = self.window.rate(now) else {
            return;
        };
        match self.stage {
            Stage::Trial { sleeping, wins } if length >= TRIAL_WINDOW => {
                self.compare(rate, sleeping, wins, now);
            }
            Stage::Decided { since, turns }
                if length >= WINDOW && self.window.turns >= WINDOW_TURNS =>
            {
                self.confirm(rate, since, turns + self.window.turns, now);
            }
            _ => {}
        }
    }

    /// Goes on with a trial, one of whose windows has ended.
    fn compare(&mut self, rate: u64, sleeping: u64, mut wins: [u32; 2], now: Duration) {
        if self.mode == Mode::Sleep {
            self.sleeping = match self.sleeping {
                0 => rate,
                mean => u64::midpoint(mean, rate),
            };
            self.stage = Stage::Trial {
                sleeping: rate,
                wins,
            };
            self.enter(Mode::Poll);
            return;
        }
        let margin = sleeping / MARGIN;
        let winner =
            if rate > sleeping + margin || self.window.hardly_polls() && rate > sleeping - margin {
                Mode::Poll
            } else {
                Mode::Sleep
            };
        wins[winner as usize] += 1;
        if wins[winner as usize] == WINS {
            // That of polling windows has no time slice that was used up in it.
            let usual = (winner == Mode::Sleep).then_some(self.sleeping);
            self.decide(winner, usual, now);
        } else {
            self.stage = Stage::Trial { sleeping, wins };
            self.enter(Mode::Sleep);
        }
    }

    /// Goes on with the winner of a trial, a window of which has ended.
    fn confirm(&mut self, rate: u64, since: Duration, turns: u32, now: Duration) {
        let usual = *self.usual.get_or_insert(rate);
        let changed = rate.abs_diff(usual) > usual / CHANGE;
        let pause = now.saturating_sub(since);
        if changed && pause >= MIN_PAUSE {
            self.pause = MIN_PAUSE;
            self.start_trial();
        } else if self.mode == Mode::Poll && rate < self.sleeping - self.sleeping / MARGIN {
            self.decide(Mode::Sleep, Some(self.sleeping), now);
        } else if pause >= self.pause && turns >= PAUSE_TURNS {
            self.start_trial();
        } else {
            self.stage = Stage::Decided { since, turns };
            self.open(Some(now));
        }
    }

    fn start_trial(&mut self) {
        self.sleeping = 0;
        self.stage = FIRST_PAIR;
        self.enter(Mode::Sleep);
    }

    /// Uses `mode` until the next trial. `usual` is its rate, where the trial has shown it.
    fn decide(&mut self, mode: Mode, usual: Option<u64>, now: Duration) {
        self.stage = Stage::Decided {
            since: now,
            turns: 0,
        };
        self.pause = (2 * self.pause).min(MAX_PAUSE);
        self.usual = usual;
        self.in_vain = 0;
        self.enter(mode);
    }

    fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        self.open(None);
    }

    fn open(&mut self, opened: Option<Duration>) {
        self.window = Window {
            opened,
            ..Window::default()
        };
    }
}

/// The beginning of a trial.
const FIRST_PAIR: Stage = Stage::Trial {
    sleeping: 0,
    wins: [0; 2],
};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
