//! Draws the parameters of a run from its seed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use rawecho::engine::Polling;

use crate::clients::{ClientPlan, Disconnect};
use crate::faults::{Fault, Faults, choose};
use crate::model::Request;
use crate::script;
use crate::stdio::{Gate, Input, Kind, Output};
use crate::world::{MICROSECOND, MILLISECOND, SECOND};

/// The parts that are left out of a run, in the search for the shortest run with the same violation.
#[derive(Clone, Debug, Default)]
pub struct Omissions {
    /// The kinds of fault that do not happen.
    pub faults: BTreeSet<Fault>,
    /// The indices of the clients that do not connect.
    pub clients: BTreeSet<usize>,
    /// The indices of the input lines that are not written.
    pub lines: BTreeSet<usize>,
    /// Whether the program runs without workers.
    pub alone: bool,
}

/// The parameters of a run.
pub(crate) struct Plan {
    pub(crate) rng: Rng,
    pub(crate) bind: IpAddr,
    /// The time for which the program busy-polls before it sleeps.
    pub(crate) spin: Polling,
    /// The number of threads that serve connections beside the main thread.
    pub(crate) workers: usize,
    pub(crate) quick: bool,
    pub(crate) limit: u64,
    pub(crate) hard_limit: u64,
    pub(crate) clients: Vec<ClientPlan>,
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) requests: Vec<Request>,
    /// The number of lines before the omissions.
    pub(crate) lines: usize,
    /// The number of clients before the omissions.
    pub(crate) all_clients: usize,
}

/// The numbers of bytes that a client may send, unless it never reads: mostly small ones, so that many runs
/// fit into a second.
const CLIENT_BYTES: [u32; 9] = [0, 1, 5, 64, 1_000, 4_096, 10_000, 70_000, 300_000];

/// The largest number of workers in a run that has workers.
const MOST_WORKERS: usize = 3;

/// The hard descriptor limits of a run that is short of descriptors: the program's own five, and a few more.
/// The descriptors for workers and for clients that stay are added.
const LOW_FD_LIMITS: [u64; 4] = [8, 10, 12, 16];

/// The descriptors that each worker needs: its epoll set and its eventfd. All workers share one more.
const PER_WORKER: u64 = 2;

/// The hard descriptor limit of any other run.
const HIGH_FD_LIMIT: u64 = 1_024;

/// Draws the run of `seed` without `omissions`.
pub(crate) fn draw(seed: u64, omissions: &Omissions) -> (Plan, Faults) {
    let mut rng = Rng::with_seed(seed);
    let mut faults = Faults::draw(rng.u64(..));
    for &fault in &omissions.faults {
        faults.forbid(fault);
    }
    let quick = rng.bool();
    let bind: IpAddr = if rng.u8(..8) == 0 {
        Ipv6Addr::LOCALHOST.into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    };
    let all_clients = *choose(&mut rng, &[0, 1, 1, 2, 3, 5, 8, 12]);
    let mut staying = 0;
    let mut clients = Vec::new();
    for id in 0..all_clients {
        let client = draw_client(&mut rng, &mut faults, &mut staying);
        if !omissions.clients.contains(&id) {
            clients.push(client);
        }
    }
    let mut workers = rng.usize(1..=MOST_WORKERS);
    if rng.u8(..8) != 0 || omissions.alone {
        workers = 0;
    }
    let hard_limit = if rng.u8(..4) == 0 {
        let for_workers = match workers {
            0 => 0,
            several => PER_WORKER * several as u64 + 1,
        };
        *choose(&mut rng, &LOW_FD_LIMITS) + staying + for_workers
    } else {
        HIGH_FD_LIMIT
    };
    let lines = script::draw(&mut rng);
    let all_lines = lines.len();
    let kinds = [Kind::Pipe, Kind::Pipe, Kind::Pipe, Kind::NonblockingPipe];
    let in_kind = if rng.u8(..16) == 0 {
        Kind::File
    } else {
        *choose(&mut rng, &kinds)
    };
    let out_kind = if rng.u8(..16) == 0 {
        Kind::File
    } else {
        *choose(&mut rng, &kinds)
    };
    let stepwise = rng.bool();
    let mut script = Vec::new();
    let mut requests = Vec::new();
    let mut gates = Vec::new();
    for (i, mut line) in lines.into_iter().enumerate() {
        if omissions.lines.contains(&i) {
            continue;
        }
        if stepwise || line.last {
            gates.push(Gate {
                at: script.len(),
                replies: requests.len(),
                clients: line.last,
            });
        }
        script.append(&mut line.text);
        if let Some(mut request) = line.request {
            request.end = script.len();
            requests.push(request);
        }
    }
    gates.push(Gate {
        at: script.len(),
        replies: 0,
        clients: true,
    });
    // The last line may lack its newline.
    let ends_with_request = requests.last().is_some_and(|last| last.end == script.len());
    if rng.u8(..8) == 0 && ends_with_request {
        while script.last().is_some_and(|byte| byte.is_ascii_whitespace()) {
            script.pop();
        }
        if let (Some(last), Some(gate)) = (requests.last_mut(), gates.last_mut()) {
            last.end = script.len();
            gate.at = script.len();
        }
    }
    let pauses = [0, 10 * MICROSECOND, MILLISECOND, 100 * MILLISECOND];
    let mut stdin = Input {
        kind: in_kind,
        script,
        fed: 0,
        taken: 0,
        capacity: *choose(&mut rng, &[4_096, 65_536, 65_536]),
        closed: false,
        due: u64::MAX,
        gates,
        piece: *choose(&mut rng, &[1 << 16, 1 << 16, 4_096, 100]),
        pause: *choose(&mut rng, &pauses),
        rng: Rng::with_seed(rng.u64(..)),
    };
    if in_kind == Kind::File {
        stdin.fed = stdin.script.len();
        stdin.closed = true;
    }
    let out_rng = Rng::with_seed(rng.u64(..));
    let mut stdout = Output::new(
        out_kind,
        *choose(&mut rng, &[4_096, 5_000, 65_536]),
        out_rng,
    );
    stdout.piece = *choose(&mut rng, &[1 << 16, 1 << 16, 4_096, 10]);
    stdout.pause = *choose(&mut rng, &pauses[..3]);
    let closes_after = rng.usize(..2_000);
    if out_kind != Kind::File && rng.bool() && faults.happens(Fault::OutputCloses) {
        stdout.closes_after = Some(closes_after);
    }
    let err_rng = Rng::with_seed(rng.u64(..));
    let mut stderr = Output::new(Kind::Pipe, 65_536, err_rng);
    let full = rng.bool();
    if faults.happens(Fault::ErrorsBlocked) {
        if full {
            stderr.held = stderr.capacity;
        } else {
            stderr.broken = true;
        }
    }
    let spin = if rng.bool() {
        Polling::DEFAULT
    } else {
        Duration::ZERO
    };
    let plan = Plan {
        bind,
        spin: Polling::new(spin),
        workers,
        quick,
        limit: hard_limit.min(32),
        hard_limit,
        clients,
        stdin,
        stdout,
        stderr,
        requests,
        lines: all_lines,
        all_clients,
        rng,
    };
    (plan, faults)
}

fn draw_client(rng: &mut Rng, faults: &mut Faults, staying: &mut u64) -> ClientPlan {
    let bytes = match rng.u8(..16) {
        0 => *choose(rng, &CLIENT_BYTES),
        _ => *choose(rng, &CLIENT_BYTES[..7]),
    };
    let part = rng.u32(..=bytes);
    let time = rng.u64(..5 * SECOND);
    let mut disconnect = if rng.u8(..4) == 0 {
        Disconnect::AfterTheEcho
    } else {
        Disconnect::AfterTheEnd
    };
    if faults.happens(Fault::ClientResets) {
        disconnect = Disconnect::Resetting(part);
    } else if faults.happens(Fault::ClientCloses) {
        disconnect = Disconnect::Closing(part);
    } else if faults.happens(Fault::ClientGoesEarly) {
        disconnect = Disconnect::Resetting(0);
    } else if faults.happens(Fault::ClientNeverReads) {
        disconnect = Disconnect::WithoutReading(time);
    } else if faults.happens(Fault::ClientStays) {
        disconnect = Disconnect::Never;
        *staying += 1;
    }
    let never_reads = matches!(disconnect, Disconnect::WithoutReading(_));
    let pause = faults.happens(Fault::ClientPauses).then_some((part, time));
    ClientPlan {
        seed: rng.u64(..),
        start: rng.u64(
            ..*choose(
                &mut rng.clone(),
                &[MILLISECOND, 100 * MILLISECOND, 2 * SECOND],
            ),
        ),
        bytes: if never_reads { 1_000_000 } else { bytes },
        piece: if never_reads {
            100_000
        } else {
            *choose(rng, &[100_000, 100_000, 5_000, 100])
        },
        gap: *choose(rng, &[0, 10 * MICROSECOND, MILLISECOND, 50 * MILLISECOND]),
        disconnect,
        pause,
    }
}
