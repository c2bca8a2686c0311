//! Whether a wait polls or sleeps, decided by what each of the two echoes.
//!
//! To wake a thread that sleeps in epoll from another processor takes 5 to 60 µs, about as long as an
//! echo or longer. A thread that polls finds an event at once, but occupies its processor in the meantime: a
//! client on the same processor cannot run, and where other programs compete for the processor, the thread
//! uses up its time slice and then waits for milliseconds. Which is better depends on the clients, the
//! machine and its other work, and no fixed rule covers all of that. So [`Polling`] tries both and compares.
//!
//! - **A trial** alternates short windows of sleeping and of polling. Polling wins a pair of windows if it
//!   echoed more bytes in the same time. Sleeping wins if there is no difference, because it costs less. The
//!   first mode to win [`WINS`] pairs wins the trial. A disturbance spoils one window and decides nothing.
//! - **Between trials** the winner is used, in windows long enough to include a preemption. If polling does
//!   not stay ahead of sleeping, a check follows. If the rate changes, a trial follows.
//! - **A check** is one window of sleeping, as long as those of polling. Polling resumes only if it was much
//!   faster. A trial cannot decide that where neighbours take the processor for milliseconds: most of its
//!   short windows are not interrupted, and echo three times as much as a long one. Polling is measured
//!   against the long window afterwards.
//! - **Without a change**, a trial follows after [`SLEEPING_PAUSE_TURNS`], [`POLLING_PAUSE_TURNS`] or
//!   [`CHECK_PAUSE_TURNS`] turns. The worse mode then takes 1 to 3 % of the time.
//! - **Polls that mostly find nothing** end polling at once, because they cost processor time and save
//!   hardly any wake-ups.
//!
//! The clock is read once in several turns that echo something. An idle server sleeps and does not read it.

use std::time::Duration;

/// Turns between two readings of the clock, each of which costs about a fiftieth of a turn. A mode's first
/// window begins after this many turns, because the previous mode still has an effect on them.
const TURNS_PER_LOOK: u32 = 8;

/// The least length of a trial's window: ten turns or more, and much more than an interrupt takes.
const TRIAL_WINDOW: Duration = Duration::from_micros(500);

/// The pairs that a mode has to win to win a trial.
const WINS: u32 = 3;

/// Windows of one mode differ by less than this fraction, 1/25.
const MARGIN: u64 = 25;

/// The least length of a window between trials: more than two time slices of Linux's scheduler (about
/// 3 ms each), so that it includes what a mode loses by preemption.
const WINDOW: Duration = Duration::from_millis(8);

/// The least number of turns in such a window. The rate of messages that arrive at random then varies by
/// 6 %.
const WINDOW_TURNS: u32 = 256;

/// A rate that differs by this fraction, 1/4, has changed, or is much faster.
const CHANGE: u64 = 4;

/// The least time of polling before a change of the rate starts a trial. On a virtual machine the rate of
/// polling often varies by a quarter, and each trial costs milliseconds of sleeping windows.
const MIN_POLLING: Duration = Duration::from_millis(48);

/// The turns of sleeping after which a trial follows although nothing has changed. They are counted in turns
/// and not in time, because slow clients cause few turns, and the polls of a trial would cost much for those.
const SLEEPING_PAUSE_TURNS: u32 = 8192;

/// The same for polling. A trial's sleeping windows cost more then: after every 8192 turns, they took 4 %
/// of the time of two clients, which polling serves four times as fast.
const POLLING_PAUSE_TURNS: u32 = 4 * SLEEPING_PAUSE_TURNS;

/// The same for polling that is measured against a long window of sleeping. The trial usually leads to
/// another check, which takes several times as long as the trial's windows of sleeping.
const CHECK_PAUSE_TURNS: u32 = 4 * POLLING_PAUSE_TURNS;

/// Polling is given up when this many more polls found nothing than found an event.
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
    /// The winner has been in use for `turns` turns. `since` is when its first window opened.
    Decided { since: Option<Duration>, turns: u32 },
}

/// What happened since the window opened.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// `None` until the first look at the clock.
    opened: Option<Duration>,
    turns: u32,
    bytes: u64,
    /// The number of waits at which nothing was ready at first, so that the engine polled.
    polls: u32,
}

impl Window {
    /// Returns the bytes echoed per second; `None` if no time has passed.
    fn rate(&self, now: Duration) -> Option<u64> {
        let length = now.saturating_sub(self.opened?).as_nanos();
        let rate = (u128::from(self.bytes) * 1_000_000_000).checked_div(length)?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// Returns whether the polling of this window, which echoed at `rate`, is better than sleeping, which
    /// echoed at `sleeping`: faster by more than `chance`. Where most turns find something ready at once, the
    /// same rate suffices. Polling costs hardly anything there, and it helps: after the first sleep of the
    /// server, its clients would sleep too.
    fn pays(&self, rate: u64, sleeping: u64, chance: u64) -> bool {
        let margin = sleeping / MARGIN;
        let hardly_polls = self.polls < self.turns / 4;
        rate > sleeping + margin.max(chance) || hardly_polls && rate > sleeping - margin
    }
}

/// The rates of several windows of one mode, in bytes per second.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

impl Rates {
    fn add(&mut self, rate: u64) {
        self.min = if self.count == 0 {
            rate
        } else {
            self.min.min(rate)
        };
        self.max = self.max.max(rate);
        self.count += 1;
        self.sum = self.sum.saturating_add(rate);
    }

    fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// Returns how far a window may be above the mean by chance. If clients send at random times, the few
    /// messages of a short window vary much.
    fn chance(&self) -> u64 {
        (self.max - self.min) / 2
    }
}

/// Decides how to wait, and learns from the outcome.
#[derive(Clone, Copy, Debug)]
pub struct Polling {
    limit: Duration,
    mode: Mode,
    stage: Stage,
    window: Window,
    /// The polls since the last decision that found nothing, minus those that found an event.
    in_vain: u32,
    /// Turns since the last look at the clock.
    turns: u32,
    /// The trial's sleeping windows.
    sleeping: Rates,
    /// The rate of sleeping in long windows, if known. Polling then has to stay ahead of this rate, and not of
    /// the trial's windows.
    long_sleeping: Option<u64>,
    /// The winner's windows between trials.
    usual: Rates,
    /// The windows of polling, during a [check](Polling::check_sleeping).
    checked: Option<Rates>,
}

impl Polling {
    /// The default limit: enough for a client on another processor to read the echo and send the next message,
    /// on a machine where it takes up to 40 µs to wake the client.
    pub const DEFAULT: Duration = Duration::from_micros(60);

    /// Creates a policy that polls for at most `limit` before a sleep, and never polls if `limit` is zero.
    pub fn new(limit: Duration) -> Polling {
        Polling {
            limit,
            mode: Mode::Sleep,
            stage: FIRST_PAIR,
            window: Window::default(),
            in_vain: 0,
            turns: 0,
            sleeping: Rates::default(),
            long_sleeping: None,
            usual: Rates::default(),
            checked: None,
        }
    }

    /// Returns how long to poll before the next sleep; `None` means not at all.
    pub(super) fn wanted(&self) -> Option<Duration> {
        (self.mode == Mode::Poll).then_some(self.limit)
    }

    /// Records that a poll ended, after nothing was ready at first, and whether it `found` an event.
    pub(super) fn polled(&mut self, found: bool) {
        self.window.polls += 1;
        self.in_vain = if found {
            self.in_vain.saturating_sub(1)
        } else {
            self.in_vain + 1
        };
        if self.in_vain >= MAX_IN_VAIN {
            self.decide(Mode::Sleep);
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

    /// Evaluates the window if it is long enough at `now`.
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
                self.compare(rate, sleeping, wins);
            }
            Stage::Decided { since, turns }
                if length >= WINDOW && self.window.turns >= WINDOW_TURNS =>
            {
                let since = since.unwrap_or(opened);
                self.confirm(rate, since, turns + self.window.turns, now);
            }
            _ => {}
        }
    }

    /// Continues a trial after the end of a window that echoed at `rate`.
    fn compare(&mut self, rate: u64, sleeping: u64, mut wins: [u32; 2]) {
        if self.mode == Mode::Sleep {
            self.sleeping.add(rate);
            self.stage = Stage::Trial {
                sleeping: rate,
                wins,
            };
            self.enter(Mode::Poll);
            return;
        }
        let winner = if self.window.pays(rate, sleeping, 0) {
            Mode::Poll
        } else {
            Mode::Sleep
        };
        wins[winner as usize] += 1;
        if wins[winner as usize] == WINS {
            self.decide(winner);
        } else {
            self.stage = Stage::Trial { sleeping, wins };
            self.enter(Mode::Sleep);
        }
    }

    /// Evaluates a window of a trial's winner that echoed at `rate` and ended at `now`. `turns` counts the turns
    /// since `since`, when the first such window opened.
    fn confirm(&mut self, rate: u64, since: Duration, turns: u32, now: Duration) {
        let checked = self.checked.take();
        if let Some(polling) = checked.filter(|polling| polling.mean() > rate + rate / CHANGE) {
            self.decide(Mode::Poll);
            self.usual = polling;
            self.long_sleeping = Some(rate);
            return;
        }
        let changed = self.has_changed(rate, now.saturating_sub(since));
        self.usual.add(rate);
        let pause = match (self.mode, self.long_sleeping) {
            (Mode::Sleep, _) => SLEEPING_PAUSE_TURNS,
            (Mode::Poll, None) => POLLING_PAUSE_TURNS,
            (Mode::Poll, Some(_)) => CHECK_PAUSE_TURNS,
        };
        if changed || turns >= pause {
            self.start_trial(changed);
        } else if self.mode == Mode::Poll && !self.stays_ahead(rate) {
            self.check_sleeping();
        } else {
            self.stage = Stage::Decided {
                since: Some(since),
                turns,
            };
            self.open(Some(now));
        }
    }

    /// Returns whether a window that echoed at `rate` shows a change from those before it, which took `time`. A
    /// window of polling must differ from the slowest or the fastest of them, because where neighbours preempt
    /// polling, its windows vary much.
    fn has_changed(&self, rate: u64, time: Duration) -> bool {
        let Rates { min, max, .. } = self.usual;
        let least = match self.mode {
            Mode::Sleep => max,
            Mode::Poll => min,
        };
        let may_change = self.mode == Mode::Sleep || time >= MIN_POLLING;
        let outside = rate > max + max / CHANGE || rate < least - least / CHANGE;
        self.usual.count > 0 && may_change && outside
    }

    /// Returns whether polling, a window of which echoed at `rate`, is still better than sleeping.
    fn stays_ahead(&self, rate: u64) -> bool {
        let (sleeping, chance) = match self.long_sleeping {
            Some(sleeping) => (sleeping, 0),
            None => (self.sleeping.mean(), self.sleeping.chance()),
        };
        self.window.pays(rate, sleeping, chance)
    }

    /// Starts a check: a window of sleeping, after which polling resumes if it was faster by [`CHANGE`]. If that
    /// window is much slower than expected, a trial follows.
    fn check_sleeping(&mut self) {
        let polling = self.usual;
        let expected = self.long_sleeping.unwrap_or(self.sleeping.mean());
        self.decide(Mode::Sleep);
        self.usual.add(expected);
        self.checked = Some(polling);
    }

    /// Starts a trial, because the rate has `changed` or because the last trial was long ago. In the second
    /// case, the winner's windows are still valid.
    fn start_trial(&mut self, changed: bool) {
        match (changed, self.mode) {
            (true, _) => {
                self.long_sleeping = None;
                self.usual = Rates::default();
            }
            (false, Mode::Sleep) => {
                self.long_sleeping = Some(self.usual.mean());
                self.usual = Rates::default();
            }
            (false, Mode::Poll) => self.long_sleeping = None,
        }
        self.sleeping = Rates::default();
        self.stage = FIRST_PAIR;
        self.enter(Mode::Sleep);
    }

    /// Uses `mode` until the next trial.
    fn decide(&mut self, mode: Mode) {
        self.stage = Stage::Decided {
            since: None,
            turns: 0,
        };
        if mode == Mode::Sleep {
            self.long_sleeping = None;
            self.usual = Rates::default();
        }
        self.checked = None;
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
