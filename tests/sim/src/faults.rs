//! The kinds of fault, and how often each may happen, and has happened, in a run.

use fastrand::Rng;

macro_rules! faults {
    ($($(#[$rare:ident])? $name:ident $text:literal;)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $(#[doc = $text] $name,)* }

        impl Fault {
            /// Every kind, in the order of [`Counts`].
            pub const ALL: &[Fault] = &[$(Fault::$name),*];

            /// Returns a short description.
            pub fn text(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }

            /// Returns whether it happens only a few times in a run, because it ends a connection or a
            /// request, or because a program may give up if it persists. The other kinds may
            /// happen hundreds of times: the program must tolerate them.
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
    ConnectInterrupted "connect: EINTR, continues in the background";
    WaitInterrupted "epoll_pwait: EINTR";
    PollInterrupted "ppoll: EINTR";
    CloseInterrupted "close: EINTR, but the descriptor is closed";
    CloseFails "close: EIO, but the descriptor is closed";
    ReadShort "read: fewer bytes than are available";
    WriteShort "write: fewer bytes than there is space for";
    ReadAgain "read: EAGAIN although bytes are available";
    WriteAgain "write: EAGAIN although there is space";
    AcceptAgain "accept4: EAGAIN although a connection is queued";
    SpuriousEvent "epoll_pwait: a spurious event";
    StaleEvent "epoll_pwait: an event for a descriptor that has left the set";
    FewEvents "epoll_pwait: fewer events than are ready";
    LateWake "epoll_pwait: returns late";
    EmptyWake "epoll_pwait: returns early, without events";
    #[rare] AcceptAborted "accept4: ECONNABORTED, the connection is closed";
    AcceptUnrelated "accept4: EPROTO, ENETDOWN …, the connection remains queued";
    #[rare] AcceptEmfile "accept4: EMFILE";
    #[rare] AcceptEnfile "accept4: ENFILE";
    #[rare] AcceptEnobufs "accept4: ENOBUFS";
    #[rare] AcceptEnomem "accept4: ENOMEM";
    #[rare] DescriptorLimit "the descriptor limit is reached: EMFILE, not injected";
    #[rare] SocketFails "socket: EMFILE, ENFILE, ENOBUFS, ENOMEM";
    #[rare] SetsockoptFails "setsockopt: ENOBUFS, ENOPROTOOPT";
    #[rare] GetsockoptFails "getsockopt: ENOBUFS";
    #[rare] GetsocknameFails "getsockname: ENOBUFS";
    #[rare] BindFails "bind: EACCES, EADDRNOTAVAIL";
    #[rare] PortTaken "bind: EADDRINUSE";
    #[rare] ListenFails "listen: EADDRINUSE, EOPNOTSUPP";
    #[rare] ConnectFails "connect: ECONNREFUSED, EADDRNOTAVAIL, ENETUNREACH …";
    ConnectPends "connect: in progress for a while";
    #[rare] ConnectFailsLater "connect: fails in the background";
    #[rare] ShutdownFails "shutdown: ENOTCONN, the connection is reset";
    #[rare] EpollCtlFails "epoll_ctl: ENOMEM, ENOSPC";
    #[rare] PollFails "ppoll: ENOMEM";
    #[rare] ReadFails "read: ECONNRESET, ETIMEDOUT, the connection is reset";
    #[rare] WriteFails "write: EPIPE, ECONNRESET, the connection is reset";
    #[rare] Reset "the network resets a connection";
    #[rare] Silence "the network delivers nothing on a connection for seconds";
    Slow "the network takes up to 200 ms for a delivery";
    OutputSlow "the reader of standard output pauses";
    #[rare] OutputCloses "the reader of standard output closes its end";
    ErrorsBlocked "standard error is full or closed";
    ClientResets "a client resets its connection";
    ClientCloses "a client closes before it has read its whole echo";
    ClientPauses "a client pauses";
    ClientNeverReads "a client sends and never reads";
    ClientStays "a client never disconnects";
    ClientGoesEarly "a client resets its connection before its first byte arrives";
    Preempted "a thread is preempted before or after a call";
}

/// The number of kinds.
pub const KINDS: usize = Fault::ALL.len();

/// The number of times that each kind happened.
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

/// The probability of a kind, and the number of times that it may still happen in this run.
///
/// The bound makes a run fair: once it is reached, the fault no longer happens, so that progress can be
/// required.
#[derive(Clone, Copy, Default)]
struct Chance {
    one_in: u32,
    left: u32,
    /// The number of times that it has happened in succession.
    row: u32,
}

/// The most times that a kind happens in succession: a program may treat more as a permanent failure.
const MOST_IN_A_ROW: u32 = 8;

/// The faults of one run.
pub(crate) struct Faults {
    chances: [Chance; KINDS],
    pub(crate) rng: Rng,
    pub(crate) counts: Counts,
}

/// On average, at least one run in this many has no injected fault.
const CALM_RUNS: u32 = 8;

/// The most times that a kind happens in a run: a kind that is not rare, and a rare kind.
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
        // Half of the runs have few kinds, so that they make progress; a quarter have nearly all.
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

/// Returns one of `choices`.
pub(crate) fn choose<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.u32(..choices.len() as u32) as usize]
}
