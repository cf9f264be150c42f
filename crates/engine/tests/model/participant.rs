//! What a participant promises: forward operations are idempotent, and a rollback leaves a tombstone.
use unanim_engine::Op;

/// Durable, all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Participant {
    /// Never asked, or it refused and kept nothing: asked again it may answer otherwise.
    Fresh,
    /// Holds what it prepared.
    Prepared,
    /// Has nothing to do, and will say so again.
    Bystander,
    Committed,
    /// Keeps a tombstone.
    RolledBack,
}

/// Its reply, and what a participant that is free to choose says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Said {
    Ok,
    ReadOnly,
    Refused,
}

impl Said {
    pub(crate) const ALL: [Said; 3] = [Said::Ok, Said::ReadOnly, Said::Refused];
}

impl Participant {
    /// Whether its answer is its own to choose.
    pub(crate) fn chooses(self, op: Op) -> bool {
        self == Participant::Fresh && matches!(op, Op::Prepare | Op::CommitOnePhase)
    }

    /// What it becomes and says; None where the call contradicts what it was told before, or what it never promised.
    pub(crate) fn called(self, op: Op, choice: Said, tombstones: bool) -> Option<(Participant, Said)> {
        let rolled_back = if tombstones { Participant::RolledBack } else { Participant::Fresh };
        match (op, self) {
            (Op::Prepare, Participant::Fresh) => Some(match choice {
                Said::Ok => (Participant::Prepared, choice),
                Said::ReadOnly => (Participant::Bystander, choice),
                Said::Refused => (Participant::Fresh, choice),
            }),
            (Op::CommitOnePhase, Participant::Fresh) => Some(match choice {
                Said::Ok => (Participant::Committed, choice),
                Said::ReadOnly => (Participant::Bystander, choice),
                Said::Refused => (rolled_back, choice),
            }),
            (Op::Prepare | Op::CommitOnePhase, Participant::Bystander) => Some((self, Said::ReadOnly)),
            (Op::Prepare | Op::CommitOnePhase, Participant::RolledBack) => Some((self, Said::Refused)),
            (Op::Prepare, Participant::Prepared | Participant::Committed) => Some((self, Said::Ok)),
            (Op::CommitOnePhase, Participant::Committed) => Some((self, Said::Ok)),
            (Op::CommitOnePhase, Participant::Prepared) => None,
            (Op::Commit, Participant::Prepared | Participant::Committed) => Some((Participant::Committed, Said::Ok)),
            (Op::Commit, Participant::Fresh | Participant::Bystander | Participant::RolledBack) => None,
            (Op::Rollback, Participant::Fresh | Participant::Prepared | Participant::RolledBack) => {
                Some((rolled_back, Said::Ok))
            }
            (Op::Rollback, Participant::Bystander) => Some((self, Said::Ok)),
            (Op::Rollback, Participant::Committed) => None,
        }
    }
}
