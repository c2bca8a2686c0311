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
//!   is given up if it does not stay ahead of sleeping. A rate that changes asks for another trial.
//! - **A check** decides whether polling is given up: a window of sleeping that is as long. Where neighbours
//!   take the processor for milliseconds, most of a trial's short windows are not interrupted, and echo three
//!   times as much as a long one. Once a long window is known, polling is measured against it.
//! - **A trial that nothing asks for** comes after [`SLEEPING_PAUSE_TURNS`] or [`POLLING_PAUSE_TURNS`]
//!   turns. The worse mode then takes 1 or 2 % of the time.
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

/// The least turns in such a window: the rate of messages that come at random then varies by 6 %.
const WINDOW_TURNS: u32 = 256;

/// A rate that differs by this fraction, 1/4, has changed.
const CHANGE: u64 = 4;

/// The least time of polling before a change of the rate starts a trial. On a virtual machine the rate of
/// polling often varies by a quarter, and each trial costs milliseconds of sleeping windows.
const MIN_POLLING: Duration = Duration::from_millis(48);

/// The turns of sleeping after which a trial takes place although nothing has changed. They are counted
/// in turns, not in time: slow clients take few, for which a trial's polls in vain would cost much.
const SLEEPING_PAUSE_TURNS: u32 = 8192;

/// The same for polling. A trial's sleeping windows cost more then: after every 8192 turns, they took 4 %
/// of the time of two clients, which polling serves four times as fast.
const POLLING_PAUSE_TURNS: u32 = 4 * SLEEPING_PAUSE_TURNS;

/// The same for polling that is measured against a long window of sleeping. The trial mostly leads to another
/// check, which takes several times as long as the trial's windows of sleeping.
const CHECK_PAUSE_TURNS: u32 = 4 * POLLING_PAUSE_TURNS;

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

    /// Whether the polling of this window, which echoed at `rate`, is better than sleeping, which echoed
    /// at `sleeping`: faster by more than `chance`. Where nearly every turn finds something ready, the
    /// same rate will do: polling costs nothing then, and it still helps, since the first sleep would
    /// make the other side sleep, too.
    fn pays(&self, rate: u64, sleeping: u64, chance: u64) -> bool {
        let margin = sleeping / MARGIN;
        let hardly_polls = self.polls < self.turns / 4;
        rate > sleeping + margin.max(chance) || hardly_polls && rate > sleeping - margin
    }
}

/// The rates of several windows of one mode.
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

    /// How far a window may be above the mean by chance. If clients send at random, the few messages of
    /// a window vary much.
    fn chance(&self) -> u64 {
        (self.max - self.min) / 2
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
    /// The trial's sleeping windows.
    sleeping: Rates,
    /// The rate of sleeping in long windows, if that is known. Polling then has to stay ahead of this rate,
    /// and not of the trial's windows.
    long_sleeping: Option<u64>,
    /// The winner's windows.
    usual: Rates,
    /// The windows of polling, during a [check](Polling::check_sleeping).
    checked: Option<Rates>,
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
            sleeping: Rates::default(),
            long_sleeping: None,
            usual: Rates::default(),
            checked: None,
        }
    }

    /// How long to poll before the next sleep, if at all.
    pub(super) fn wanted(&self) -> Option<Duration> {
        (self.mode == Mode::Poll).then_some(self.limit)
    }

    /// Learns that a poll, which had found nothing ready at first, ended with or without an event.
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

    /// Goes on with a trial, one of whose windows has ended.
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

    /// Goes on with the winner of a trial, a window of which has ended.
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

    /// Whether a window that echoed at `rate` shows another situation than those before it, which took
    /// `time`. The windows of polling differ more, where neighbours preempt it.
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

    /// Whether polling, a window of which has echoed at `rate`, is still better than sleeping.
    fn stays_ahead(&self, rate: u64) -> bool {
        let (sleeping, chance) = match self.long_sleeping {
            Some(sleeping) => (sleeping, 0),
            None => (self.sleeping.mean(), self.sleeping.chance()),
        };
        self.window.pays(rate, sleeping, chance)
    }

    /// Sleeps for a window, and gives polling up unless it was faster by [`CHANGE`]. A window much slower than
    /// expected is a change.
    fn check_sleeping(&mut self) {
        let polling = self.usual;
        let expected = self.long_sleeping.unwrap_or(self.sleeping.mean());
        self.decide(Mode::Sleep);
        self.usual.add(expected);
        self.checked = Some(polling);
    }

    /// Starts a trial, because the rate has `changed` or because the last one is long ago. The winner's windows
    /// are still valid in the second case.
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
