//! When two worlds are the same.
use crate::network::{ATTEMPTS_MAX, Network};
use crate::participant::Participant;
use crate::world::{Faults, World};
use unanim_engine::{CallState, Effect, Op, Outcome, Phase, Transaction};

/// All that makes a difference to what may follow. Instants do not: each action brings its own. Neither do the names of
/// branches: they are all alike, so that worlds which differ only in the order of their branches are one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    phases: Option<(Phase, Phase)>,
    gated: bool,
    left: Faults,
    told: Option<Outcome>,
    broken: (bool, bool),
    stuck: (bool, bool),
    branches: [Option<BranchKey>; 3],
}

/// Vote, acknowledgement, and what a person said.
type Standing = (u8, bool, Option<Outcome>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct BranchKey {
    participant: Participant,
    network: Network,
    attempts: u32,
    call: u8,
    waiting: Option<(Op, u32)>,
    live: Standing,
    durable: Standing,
}

impl World {
    pub(crate) fn fresh_key(&self) -> Key {
        let standing = |txn: &Transaction, at: usize| {
            let branch = &txn.branches[at];
            let said = branch.resolution.as_ref().map(|resolution| resolution.outcome);
            (branch.vote.map_or(0, |v| v as u8 + 1), branch.done, said)
        };
        let mut branches = [None; 3];
        for (at, slot) in branches.iter_mut().enumerate().take(self.participants.len()) {
            let waits =
                |Effect::Call { branch, op, attempt }: &Effect| (*branch == at as u32).then_some((*op, *attempt));
            let branch = &self.txn.branches[at];
            assert!(branch.attempts <= ATTEMPTS_MAX);
            *slot = Some(BranchKey {
                participant: self.participants[at],
                network: self.networks[at],
                attempts: branch.attempts,
                call: match branch.call {
                    CallState::Idle => 0,
                    CallState::Again(_) => 1,
                    CallState::Calling(op) => 2 + op as u8,
                },
                waiting: self.waiting.iter().find_map(waits),
                live: standing(&self.txn, at),
                durable: standing(&self.durable, at),
            });
        }
        branches.sort_unstable();
        Key {
            phases: Some((self.txn.phase, self.durable.phase)),
            gated: self.gated,
            left: self.left,
            told: self.told,
            broken: (self.unjustified, self.contradicted),
            stuck: (self.txn.stuck, self.durable.stuck),
            branches,
        }
    }
}
