//! How the engine's words are written on the wire: one spelling, for the front doors as for the calls to participants.
use std::borrow::Cow;
use unanim_engine::{BranchState, Failure, Heuristic, Mode, Op, Outcome, Phase, ReasonCode, ReplyCode};

/// `Unanim-Op`, and the keys of `endpoints`.
pub const fn op_name(op: Op) -> &'static str {
    match op {
        Op::Prepare => "prepare",
        Op::Commit => "commit",
        Op::Rollback => "rollback",
        Op::CommitOnePhase => "commit_one_phase",
    }
}

/// The operation of this name.
pub fn op_of(name: &str) -> Option<Op> {
    [Op::Prepare, Op::Commit, Op::Rollback, Op::CommitOnePhase].into_iter().find(|op| op_name(*op) == name)
}

/// `Unanim-Mode`, and `mode`.
pub const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::TwoPhase => "two_phase",
    }
}

/// The mode of this name.
pub fn mode_of(name: &str) -> Option<Mode> {
    [Mode::TwoPhase].into_iter().find(|mode| mode_name(*mode) == name)
}

/// `phase`.
pub const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Active => "active",
        Phase::Preparing => "preparing",
        Phase::Committing => "committing",
        Phase::Aborting => "aborting",
        Phase::Committed => "committed",
        Phase::Aborted => "aborted",
    }
}

/// `outcome`; `undecided` before there is one.
pub const fn outcome_name(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Committed) => "committed",
        Some(Outcome::Aborted) => "aborted",
        None => "undecided",
    }
}

/// `branches[].state`.
pub const fn branch_state_name(state: BranchState) -> &'static str {
    match state {
        BranchState::Waiting => "waiting",
        BranchState::Asked => "asked",
        BranchState::Yes => "yes",
        BranchState::ReadOnly => "read_only",
        BranchState::Refused => "refused",
        BranchState::Done => "done",
    }
}

/// `reason.code`.
pub const fn reason_name(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::Refused => "refused",
        ReasonCode::Deadline => "deadline",
        ReasonCode::Client => "client",
    }
}

/// `heuristic`; a participant reports it as `heuristic_` and this.
pub const fn heuristic_name(heuristic: Heuristic) -> &'static str {
    match heuristic {
        Heuristic::Commit => "commit",
        Heuristic::Rollback => "rollback",
        Heuristic::Mixed => "mixed",
    }
}

/// `branches[].last.code`: `ok`, `timeout`, `status_500`.
pub fn reply_name(code: ReplyCode) -> Cow<'static, str> {
    match code {
        ReplyCode::Ok => "ok".into(),
        ReplyCode::ReadOnly => "read_only".into(),
        ReplyCode::Refused => "refused".into(),
        ReplyCode::Heuristic => "heuristic".into(),
        ReplyCode::Ongoing => "ongoing".into(),
        ReplyCode::Unknown(Failure::Status(status)) => format!("status_{status}").into(),
        ReplyCode::Unknown(failure) => failure_name(failure).into(),
    }
}

/// Why nothing is known: a label with few values, which every status shares.
pub const fn failure_name(failure: Failure) -> &'static str {
    match failure {
        Failure::Timeout => "timeout",
        Failure::Connect => "connect",
        Failure::NotAllowed => "not_allowed",
        Failure::Reset => "reset",
        Failure::Status(_) => "status",
        Failure::Content => "content",
        Failure::TooLarge => "too_large",
        Failure::Unsent => "unsent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_operations_and_modes_lead_back() {
        for op in [Op::Prepare, Op::Commit, Op::Rollback, Op::CommitOnePhase] {
            assert_eq!(op_of(op_name(op)), Some(op));
        }
        assert_eq!(mode_of(mode_name(Mode::TwoPhase)), Some(Mode::TwoPhase));
        assert_eq!((op_of("Commit"), mode_of("")), (None, None));
    }

    #[test]
    fn the_last_reply_names_its_status() {
        assert_eq!(reply_name(ReplyCode::Unknown(Failure::Status(500))), "status_500");
        assert_eq!(reply_name(ReplyCode::Unknown(Failure::Timeout)), "timeout");
        assert_eq!(reply_name(ReplyCode::Ok), "ok");
    }
}
