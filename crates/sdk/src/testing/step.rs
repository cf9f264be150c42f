//! What is done to a resource manager, and what must come of it.

use std::fmt;

use unanim_api::names::op_name;

use crate::participant::{Ack, Error, Op, Vote};

/// How a branch stands, as far as its manager has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Unknown,
    Prepared,
    Committed,
    RolledBack,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The operation, and its answer.
    Once(Op),
    /// The operation, twice at the same time.
    Twice(Op),
    /// Both phases in one call, with the payload that must be refused.
    Refused,
    /// What is held is ended by the word that an inquiry brought: no call came, so there is no payload, URL or mark.
    Told(Op),
    /// Every operation on what is held, by a coordinator that it was not promised to.
    Foreign,
    /// The operation is dropped after it has waited this many times, with the manager; a new one is opened.
    Cut(Op, u32),
    /// The manager is dropped, and a new one opened.
    Restart,
}

const OPS: [Op; 3] = [Op::Prepare, Op::Commit, Op::Rollback];

impl Step {
    /// Everything that can happen, the plain first; operations are cut after this many waits. `refuses`: there is a payload
    /// that must be refused.
    pub(super) fn all(cut_after: u32, refuses: bool) -> Vec<Step> {
        let mut all = OPS.map(Step::Once).to_vec();
        all.extend([Step::Restart, Step::Once(Op::CommitOnePhase)]);
        all.extend(OPS.map(Step::Twice));
        all.extend(OPS.map(|op| Step::Cut(op, cut_after)));
        all.extend([Step::Told(Op::Commit), Step::Told(Op::Rollback), Step::Foreign]);
        all.extend(refuses.then_some(Step::Refused));
        all
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Once(op) => out.write_str(op_name(*op)),
            Step::Twice(op) => write!(out, "{} twice at once", op_name(*op)),
            Step::Cut(op, _) => write!(out, "{} cut off by a crash", op_name(*op)),
            Step::Refused => out.write_str("commit_one_phase that is refused"),
            Step::Told(op) => write!(out, "{} told by an inquiry", op_name(*op)),
            Step::Foreign => out.write_str("calls of another coordinator"),
            Step::Restart => out.write_str("restart"),
        }
    }
}

/// An answer, of whichever operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Vote(Result<Vote, Error>),
    Ack(Result<Ack, Error>),
}

impl Answer {
    /// A yes to a prepare or to both phases at once, or *done*.
    pub(super) fn is_yes(&self) -> bool {
        matches!(self, Answer::Vote(Ok(Vote::Yes)) | Answer::Ack(Ok(Ack::Done)))
    }

    pub(super) fn told(&self) -> String {
        match self {
            Answer::Vote(vote) => format!("{vote:?}"),
            Answer::Ack(ack) => format!("{ack:?}"),
        }
    }

    /// A no, of whichever kind.
    pub(super) fn is_no(&self) -> bool {
        match self {
            Answer::Vote(Ok(Vote::No(_))) => true,
            Answer::Vote(Err(error)) | Answer::Ack(Err(error)) => error.refuses(),
            Answer::Vote(Ok(_)) | Answer::Ack(Ok(_)) => false,
        }
    }

    /// Whoever hears it asks again.
    pub(super) fn is_not_now(&self) -> bool {
        matches!(
            self,
            Answer::Vote(Ok(Vote::Ongoing) | Err(Error::Unavailable { .. }))
                | Answer::Ack(Ok(Ack::Ongoing) | Err(Error::Unavailable { .. }))
        )
    }
}

/// Where the operation leads from here, when it leads anywhere.
pub(super) fn next(op: Op, stands: Stands) -> Stands {
    match (op, stands) {
        (Op::Prepare, Stands::Unknown) => Stands::Prepared,
        (Op::Commit, Stands::Prepared) => Stands::Committed,
        (Op::CommitOnePhase, Stands::Unknown | Stands::Prepared) => Stands::Committed,
        (Op::Rollback, Stands::Unknown | Stands::Prepared) => Stands::RolledBack,
        (Op::Prepare, Stands::Prepared | Stands::Committed | Stands::RolledBack)
        | (Op::Commit | Op::CommitOnePhase, Stands::Committed | Stands::RolledBack)
        | (Op::Commit, Stands::Unknown)
        | (Op::Rollback, Stands::Committed | Stands::RolledBack) => stands,
    }
}

/// What is wrong with this answer, if anything.
pub(super) fn wrong(op: Op, stands: Stands, answer: &Answer) -> Option<&'static str> {
    let yes = answer.is_yes();
    match (op, stands) {
        (Op::Prepare, Stands::Unknown) => (!yes).then_some("a fresh branch with the subject's payload must prepare"),
        (Op::Prepare, Stands::Prepared) => (!yes).then_some("a prepare that is repeated gets the same answer"),
        // Nobody asks in earnest.
        (Op::Prepare, Stands::Committed) => None,
        (Op::Prepare | Op::CommitOnePhase, Stands::RolledBack) => {
            matches!(answer, Answer::Vote(Ok(Vote::Yes | Vote::ReadOnly)))
                .then_some("it was refused or rolled back before: a prepare that comes later must be refused")
        }
        (Op::CommitOnePhase, Stands::Unknown | Stands::Prepared | Stands::Committed) => {
            (!yes).then_some("both phases in one must do, and do again")
        }
        (Op::Commit, Stands::Prepared) => (!yes).then_some("what was prepared must commit"),
        (Op::Commit, Stands::Committed) => (!yes).then_some("a commit that is repeated gets the same answer"),
        (Op::Commit, Stands::Unknown) => yes.then_some("it was never prepared: a commit is an error"),
        (Op::Commit, Stands::RolledBack) => yes.then_some("it was rolled back before: a commit is an error"),
        (Op::Rollback, Stands::Committed) => yes.then_some("it was committed before: a rollback is an error"),
        (Op::Rollback, Stands::Unknown | Stands::Prepared | Stands::RolledBack) => {
            (!yes).then_some("a rollback must be possible, also of what was never seen, and be repeatable")
        }
    }
}
