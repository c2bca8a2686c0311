//! The kinds of fault, how often each may happen in a run, and how often it did.

use fastrand::Rng;

macro_rules! faults {
    ($($(#[$rare:ident])? $name:ident $text:literal;)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $(#[doc = $text] $name,)* }

        impl Fault {
            /// Every kind, in the order of the tables.
            pub const ALL: &[Fault] = &[$(Fault::$name),*];

            /// A short description.
            pub fn text(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }

            /// Whether it happens only a few times in a run, because it ends a connection or a
            /// request, or because a program may give up if it persists. The other kinds must have
            /// no visible effect.
            pub fn is_rare(self) -> bool {
                match self { $(Fault::$name => faults!(@ $($rare)?),)* }
            }
        }
    };
    (@) => { false };
    (@ rare) => { true };
}

faults! {
    ReadInterrupted "read: EINTR";
    WriteInterrupted "write: EINTR";
    AcceptInterrupted "accept4: EINTR";
    ConnectInterrupted "connect: EINTR, goes on in the background";
    WaitInterrupted "epoll_pwait: EINTR";
    PollInterrupted "ppoll: EINTR";
    CloseInterrupted "close: EINTR, closed all the same";
    CloseFails "close: EIO, closed all the same";
    ReadShort "read: fewer bytes than there are";
    WriteShort "write: fewer bytes than there is room for";
    ReadAgain "read: EAGAIN although there is something";
    WriteAgain "write: EAGAIN although there is room";
    AcceptAgain "accept4: EAGAIN although one waits";
    SpuriousEvent "epoll_pwait: an event for nothing";
    StaleEvent "epoll_pwait: an event for a descriptor that was closed";
    FewEvents "epoll_pwait: fewer events than there are";
    LateWake "epoll_pwait: returns late";
    EmptyWake "epoll_pwait: returns early, with nothing";
    #[rare] AcceptAborted "accept4: ECONNABORTED, the connection is gone";
    AcceptUnrelated "accept4: EPROTO, ENETDOWN …, the connection stays";
    #[rare] AcceptEmfile "accept4: EMFILE";
    #[rare] AcceptEnfile "accept4: ENFILE";
    #[rare] AcceptEnobufs "accept4: ENOBUFS";
    #[rare] AcceptEnomem "accept4: ENOMEM";
    #[rare] DescriptorLimit "no descriptor left: EMFILE, not injected";
    #[rare] SocketFails "socket: EMFILE, ENFILE, ENOBUFS, ENOMEM";
    #[rare] SetsockoptFails "setsockopt: ENOBUFS, ENOPROTOOPT";
    #[rare] GetsockoptFails "getsockopt: ENOBUFS";
    #[rare] GetsocknameFails "getsockname: ENOBUFS";
    #[rare] BindFails "bind: EACCES, EADDRNOTAVAIL";
    #[rare] PortTaken "bind or listen: EADDRINUSE";
    #[rare] ListenFails "listen: EADDRINUSE, EOPNOTSUPP";
    #[rare] ConnectFails "connect: ECONNREFUSED, EADDRNOTAVAIL, ENETUNREACH …";
    ConnectPends "connect: under way for a while";
    #[rare] ConnectFailsLater "connect: fails in the background";
    #[rare] ShutdownFails "shutdown: ENOTCONN, the connection is reset";
    #[rare] EpollCtlFails "epoll_ctl: ENOMEM, ENOSPC";
    #[rare] PollFails "ppoll: ENOMEM";
    #[rare] ReadFails "read: ECONNRESET, ETIMEDOUT, the connection is gone";
    #[rare] WriteFails "write: EPIPE, ECONNRESET, the connection is gone";
    #[rare] Reset "the network resets a connection";
    #[rare] Silence "the network delivers nothing for seconds";
    Slow "the network is slow for a while";
    OutputSlow "whoever reads the replies takes a rest";
    #[rare] OutputCloses "whoever reads the replies goes away";
    ErrorsBlocked "standard error is full or closed";
    ClientResets "a client resets its connection";
    ClientCloses "a client closes before it has read all";
    ClientPauses "a client falls silent for a while";
    ClientNeverReads "a client sends and never reads";
    ClientStays "a client never leaves";
    ClientGoesEarly "a client is gone before it is accepted";
    Preempted "a thread is put off before a call or after it";
}

/// How many kinds there are.
pub const KINDS: usize = Fault::ALL.len();

/// How often each kind happened.
#[derive(Clone, Debug)]
pub struct Counts(pub [u64; KINDS]);

impl Default for Counts {
    fn default() -> Counts {
        Counts([0; KINDS])
    }
}

impl Counts {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Counts) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    pub(crate) fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }
}

/// How likely a kind is, and how often it may still happen in this run.
///
/// The bound makes a run fair: once it is reached the call succeeds, so liveness can be required.
#[derive(Clone, Copy, Default)]
struct Chance {
    one_in: u32,
    left: u32,
    /// How often it has happened in succession.
    row: u32,
}

/// The most times one kind happens in succession: a program may treat more as a permanent failure.
const MOST_IN_A_ROW: u32 = 8;

/// The faults of one run.
pub(crate) struct Faults {
    chances: [Chance; KINDS],
    pub(crate) rng: Rng,
    pub(crate) counts: Counts,
}

/// One run in this many has no fault at all: every request must then succeed.
const CALM_RUNS: u32 = 8;

/// How often in a run the kinds without a visible effect can happen, and how often the others.
const OFTEN_LIMIT: u32 = 400;
const RARE_LIMIT: u32 = 6;

impl Faults {
    pub(crate) fn none() -> Faults {
        Faults {
            chances: [Chance::default(); KINDS],
            rng: Rng::with_seed(0),
            counts: Counts::default(),
        }
    }

    /// Draws which kinds happen in this run, and how often.
    pub(crate) fn draw(seed: u64) -> Faults {
        let mut rng = Rng::with_seed(seed);
        let mut faults = Faults::none();
        if rng.u32(..CALM_RUNS) == 0 {
            return faults;
        }
        // Most runs have few kinds, so that they make progress; some have nearly all.
        let share = *choose(&mut rng, &[1, 2, 4, 7]);
        for (chance, fault) in faults.chances.iter_mut().zip(Fault::ALL) {
            let happens = rng.u32(..8) < share;
            let one_in = *choose(&mut rng, &[2, 4, 16, 64]);
            let limit = if fault.is_rare() {
                RARE_LIMIT
            } else {
                OFTEN_LIMIT
            };
            let left = rng.u32(1..=limit);
            if happens {
                *chance = Chance {
                    one_in,
                    left,
                    row: 0,
                };
            }
        }
        faults.rng = rng;
        faults
    }

    pub(crate) fn forbid(&mut self, fault: Fault) {
        self.chances[fault as usize] = Chance::default();
    }

    /// Decides whether `fault` happens now, and counts it if so.
    pub(crate) fn happens(&mut self, fault: Fault) -> bool {
        let chance = &mut self.chances[fault as usize];
        if chance.left == 0 {
            return false;
        }
        if chance.row == MOST_IN_A_ROW || self.rng.u32(..chance.one_in) != 0 {
            chance.row = 0;
            return false;
        }
        chance.left -= 1;
        chance.row += 1;
        self.counts.count(fault);
        true
    }
}

/// One of `choices`.
pub(crate) fn choose<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.u32(..choices.len() as u32) as usize]
}
