//! The cost of a transaction is linear in its branches, by instruction counts: a whole life with 10,000 branches takes
//! at most 12,000 times the instructions of one with a single branch.
//!
//! Counted by callgrind (`cargo test -p unanim-engine --features counts --test linear`; fails without valgrind). The
//! program runs itself: with arguments it lives the lives that are counted, without it compares the counts.
#![allow(clippy::disallowed_macros, reason = "a program of its own: it prints its figures")]

use std::process::{Command, ExitCode};
use std::sync::Arc;
use unanim_engine::{
    Body, BranchId, BranchSpec, CallState, Callee, Decision, Dialect, Effect, Event, Failure, Gid, Limits, Mode,
    Participant, Phase, Reply, RetryPolicy, Target, Timestamp, Transaction, step,
};

const BRANCHES: u32 = 10_000;
/// What 10,000 branches may cost at most, in lives with one.
const LIVES_MAX: f64 = 12_000.0;
/// Lives with one branch that are counted together, so that what is done once per process does not flatter the ratio.
const REPEATS: u32 = 2_000;

/// How a transaction lives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    /// Every call succeeds at once.
    Smooth,
    /// Every call of every branch fails once, each at an instant of its own.
    Retried,
    /// Every branch joins on its own.
    Joined,
    /// The last branch refuses.
    Refused,
    /// The coordinator crashes before the first vote and after the decision.
    Loaded,
}

const LIVES: [Life; 5] = [Life::Smooth, Life::Retried, Life::Joined, Life::Refused, Life::Loaded];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["life", life, part, branches, repeats] => {
            let life = *LIVES.iter().find(|l| format!("{l:?}") == life).expect("a life");
            let number = |text: &str| text.parse::<u32>().expect("a number");
            for _ in 0..number(repeats) {
                let body = body(number(branches), life);
                if part == "whole" {
                    lived(&body, life);
                }
            }
            ExitCode::SUCCESS
        }
        ["--list", ..] => ExitCode::SUCCESS,
        _ => compare(),
    }
}

fn compare() -> ExitCode {
    let mut good = true;
    for life in LIVES {
        let one = cost(life, 1, REPEATS);
        let many = cost(life, BRANCHES, 1);
        let ratio = many / one;
        println!("{life:?}: {one:.0} instructions with 1 branch, {many:.0} with {BRANCHES}: {ratio:.0} times");
        good &= ratio <= LIVES_MAX;
    }
    if good {
        ExitCode::SUCCESS
    } else {
        eprintln!("{BRANCHES} branches may cost at most {LIVES_MAX} times one");
        ExitCode::FAILURE
    }
}

/// Instructions of one life, without the process's start and without making the body.
fn cost(life: Life, branches: u32, repeats: u32) -> f64 {
    let count = |part: &str| {
        let me = std::env::current_exe().expect("this program's path");
        let counted = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(me)
            .args(["life", &format!("{life:?}"), part, &branches.to_string(), &repeats.to_string()])
            .output()
            .expect("valgrind is needed to count instructions (apt-get install valgrind)");
        let said = String::from_utf8_lossy(&counted.stderr);
        assert!(counted.status.success(), "{said}");
        let collected = said.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind's total").1;
        collected.trim().parse::<u64>().expect("a number") as f64
    };
    (count("whole") - count("body")) / f64::from(repeats)
}

fn body(branches: u32, life: Life) -> Body {
    let spec = |i: u32| {
        let spec = BranchSpec::new(
            BranchId::new(&format!("branch-{i:05}")).expect("a name"),
            Callee {
                participant: Participant::new("http://127.0.0.1:5001").expect("a name"),
                target: Target::One("http://127.0.0.1:5001/orders".into()),
                dialect: Dialect::V1,
                call_timeout_ms: 10_000,
                retry: None,
                refused_statuses: Box::new([409, 422]),
                one_phase: false,
            },
            Some((*b"{\"account\":\"widgets\",\"amount\":-2}").into()),
        );
        Arc::new(if life == Life::Joined { spec.with_digest([7; 32]) } else { spec })
    };
    Body {
        gid: Gid::new("order-17").expect("a name"),
        mode: Mode::TwoPhase,
        digest: [0; 32],
        created_at: Timestamp(0),
        deadline_at: Timestamp(u64::MAX / 2),
        retry: RetryPolicy::default(),
        branches: (0..branches).map(spec).collect(),
    }
}

/// What the lane does around every step belongs to a life: the events are taken, the due time is asked for.
struct Living {
    txn: Transaction,
    now: Timestamp,
    limits: Limits,
    effects: Vec<Effect>,
    history: Vec<unanim_engine::HistoryEvent>,
}

impl Living {
    fn step(&mut self, event: Event) {
        step(&mut self.txn, event, &self.limits, self.now, &mut self.effects).expect("nothing here is rejected");
        self.history.append(&mut self.txn.take_unsaved().1);
        std::hint::black_box(self.txn.due(&self.limits));
    }

    /// Every call under way gets this reply, each a millisecond after the one before.
    fn reply_all(&mut self, reply: impl Fn(u32) -> Reply) {
        for Effect::Call { branch, op, attempt } in std::mem::take(&mut self.effects) {
            self.now = self.now.after(1);
            assert_eq!(self.txn.branches[branch as usize].call, CallState::Calling(op));
            self.step(Event::Replied { branch, op, attempt, reply: reply(branch) });
        }
    }

    /// Every call under way fails once; then each is woken at its own due time.
    fn fail_all(&mut self) {
        let calls = self.effects.len();
        self.reply_all(|_| Reply::unknown(Failure::Connect));
        while self.effects.len() < calls {
            self.now = self.txn.due(&self.limits).expect("a retry is due").max(self.now);
            self.step(Event::Woke);
        }
    }

    fn load(&mut self, body: &Body) {
        self.effects.clear();
        self.txn = Transaction::load(body, self.history.iter().cloned(), self.now);
        self.step(Event::Woke);
    }
}

#[inline(never)]
fn lived(body: &Body, life: Life) {
    // Stuck marks are no part of the comparison: ten thousand instants take longer than one.
    let limits = Limits { stuck_after_ms: u64::MAX / 2, ..Limits::default() };
    let (begun, later) = match life {
        Life::Joined => (&Body { branches: Vec::new(), ..body.clone() }, &*body.branches),
        Life::Smooth | Life::Retried | Life::Refused | Life::Loaded => (body, &[][..]),
    };
    let txn = Transaction::begin(begun, &limits).expect("within the limits");
    let mut living = Living { txn, now: Timestamp(1), limits, effects: Vec::new(), history: Vec::new() };
    later.iter().for_each(|spec| living.step(Event::Joined(vec![spec.clone()])));
    living.step(Event::Requested(Decision::Commit, None));
    if life == Life::Loaded {
        living.load(begun);
    }
    if life == Life::Retried {
        living.fail_all();
    }
    let last = body.branches.len() as u32 - 1;
    let refusing = (life == Life::Refused).then_some(last);
    living.reply_all(|branch| if Some(branch) == refusing { Reply::Refused(None) } else { Reply::Ok });
    if life == Life::Loaded {
        living.load(begun);
    }
    if life == Life::Retried {
        living.fail_all();
    }
    living.reply_all(|_| Reply::Ok);
    let end = if life == Life::Refused { Phase::Aborted } else { Phase::Committed };
    assert_eq!(living.txn.phase, end);
    std::hint::black_box(&living.history);
}
