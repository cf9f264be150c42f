//! What is under way between the coordinator and one branch. Nothing ever leaves it: a message may arrive late, out of
//! order, any number of times, or never.
use crate::participant::Said;
use unanim_engine::Op;

/// The most attempts of one branch in one life of the coordinator.
pub(crate) const ATTEMPTS_MAX: u32 = 7;
const OPS: [Op; 4] = [Op::Prepare, Op::Commit, Op::Rollback, Op::CommitOnePhase];

/// A call; attempt 0 stands for all attempts of earlier lives, whose replies reach nobody.
pub(crate) type Call = (Op, u32);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Network {
    calls: u32,
    replies: u128,
}

fn place((op, attempt): Call) -> u32 {
    assert!(attempt <= ATTEMPTS_MAX);
    op as u32 * (ATTEMPTS_MAX + 1) + attempt
}

fn all_calls() -> impl Iterator<Item = Call> {
    OPS.into_iter().flat_map(|op| (0..=ATTEMPTS_MAX).map(move |attempt| (op, attempt)))
}

impl Network {
    pub(crate) fn call(&mut self, call: Call) {
        self.calls |= 1 << place(call);
    }

    pub(crate) fn reply(&mut self, call: Call, said: Said) {
        if call.1 > 0 {
            self.replies |= 1 << (place(call) * 3 + said as u32);
        }
    }

    pub(crate) fn calls(self) -> impl Iterator<Item = Call> {
        all_calls().filter(move |call| self.calls & (1 << place(*call)) != 0)
    }

    pub(crate) fn replies(self) -> impl Iterator<Item = (Call, Said)> {
        let all = all_calls().flat_map(|call| Said::ALL.map(|said| (call, said)));
        all.filter(move |(call, said)| self.replies & (1 << (place(*call) * 3 + *said as u32)) != 0)
    }

    /// The coordinator's connections are gone, its calls may still arrive.
    pub(crate) fn orphaned(self) -> Network {
        let mut left = Network::default();
        self.calls().for_each(|(op, _)| left.call((op, 0)));
        left
    }
}
