//! For the tests of your own [`ResourceManager`]: repeats, reorders, doubles and cuts off every operation, restarts in
//! between, ends what is held as asking in doubt does, calls as another coordinator would, and checks after each step that
//! nothing changed twice, that nothing was lost, and that every answer is one that a coordinator can rely on.

mod run;
mod step;

use std::fmt::Debug;
use std::future::Future;

use bytes::Bytes;

use crate::participant::ResourceManager;

use self::run::{References, Run};
use self::step::Step;

/// What is tested: how to get one, and what it shows.
///
/// ```
/// # #[cfg(all(feature = "testing", feature = "sqlite"))] {
/// use unanim::sqlite::{Accounts, Balances, Branches};
/// use unanim::testing::{Exercise, Subject};
///
/// struct Stock(tempfile::TempDir);
///
/// impl Subject for Stock {
///     type Manager = Branches;
///     type State = Balances;
///
///     async fn fresh(&mut self) {
///         self.0 = tempfile::tempdir().unwrap();
///     }
///
///     async fn open(&mut self) -> Branches {
///         Branches::open(&self.0.path().join("stock.db"), Accounts::new([("widgets", 100)])).unwrap()
///     }
///
///     async fn state(&mut self, manager: &Branches) -> Balances {
///         manager.read(Accounts::balances).await.unwrap()
///     }
///
///     fn payload(&self) -> bytes::Bytes {
///         r#"{"account": "widgets", "amount": -2}"#.into()
///     }
///
///     fn refused(&self) -> Option<bytes::Bytes> {
///         Some(r#"{"account": "widgets", "amount": -200}"#.into())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut stock = Stock(tempfile::tempdir().unwrap());
/// Exercise::new().depth(1).seeds(1).run(&mut stock).await;
/// # } main()
/// # }
/// ```
pub trait Subject {
    /// What is tested.
    type Manager: ResourceManager;
    /// What its users see, and what is held: balances, seats, rows. A commit must show in it, and a second one too.
    type State: PartialEq + Debug;

    /// Makes everything as on the first day; no manager is open.
    fn fresh(&mut self) -> impl Future<Output = ()>;

    /// Opens the manager on what is durable. The one before was dropped, as in a crash.
    fn open(&mut self) -> impl Future<Output = Self::Manager>;

    /// What is to be seen now.
    fn state(&mut self, manager: &Self::Manager) -> impl Future<Output = Self::State>;

    /// What a branch can prepare on a fresh subject, three times over.
    fn payload(&self) -> Bytes;

    /// What it always refuses, if there is such a thing: then it is tried that a no is remembered.
    fn refused(&self) -> Option<Bytes>;
}

/// How much is tried. [`run`](Exercise::run) panics with the steps that led to the first fault.
#[derive(Clone, Copy, Debug)]
pub struct Exercise {
    depth: u32,
    seeds: u64,
    length: u32,
}

/// Of gid and branch id: same gid and another branch, same branch and another gid.
const NAMES: [(&str, &str); 3] = [("exercise-1", "x"), ("exercise-1", "y"), ("exercise-2", "x")];

impl Exercise {
    /// Every sequence of up to three steps with one branch (3615 of them), and 100 seeded ones of twelve steps with three.
    pub fn new() -> Self {
        Self { depth: 3, seeds: 100, length: 12 }
    }

    /// How many steps the sequences have of which every one is tried: fifteen times as many with each.
    #[must_use]
    pub fn depth(mut self, steps: u32) -> Self {
        self.depth = steps;
        self
    }

    /// How many random sequences are tried.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Tries everything.
    ///
    /// # Panics
    ///
    /// On the first step after which something is wrong; the message names all steps so far.
    pub async fn run<S: Subject>(&self, subject: &mut S) {
        let refuses = subject.refused().is_some();
        let mut references = References::default();
        references.learn(subject).await;
        // The short ones first, so that a fault is shown by few steps.
        for depth in 1..=self.depth {
            every_sequence(subject, depth, &mut references).await;
        }
        for seed in 0..self.seeds {
            let mut random = Random(seed);
            let mut run = Run::start(subject, &NAMES, format!("seed {seed}")).await;
            for _ in 0..self.length {
                let steps = Step::all(1 + random.below(3) as u32, refuses);
                let (branch, step) = (random.below(NAMES.len()), steps[random.below(steps.len())]);
                run.step(branch, step, &mut references).await;
            }
        }
    }
}

/// Every sequence of this many steps, with one branch.
async fn every_sequence<S: Subject>(subject: &mut S, depth: u32, references: &mut References<S::State>) {
    let refuses = subject.refused().is_some();
    let all = Step::all(1, refuses).len() as u64;
    for number in 0..all.pow(depth) {
        let mut run = Run::start(subject, &NAMES[..1], format!("sequence {number} of {depth} steps")).await;
        for at in (0..depth).rev() {
            let digit = (number / all.pow(at)) % all;
            let step = Step::all(1 + at % 2, refuses)[digit as usize];
            run.step(0, step, references).await;
        }
    }
}

impl Default for Exercise {
    fn default() -> Self {
        Self::new()
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a seed is a sequence, on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
