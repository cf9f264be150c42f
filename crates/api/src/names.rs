//! How the engine's words are written on the wire: one spelling, for the front doors as for the calls to participants.
use std::borrow::Cow;
use unanim_engine::{BranchState, Failure, Heuristic, Mode, Op, Outcome, Phase, ReasonCode, ReplyCode, Vote};

/// A function from a type to its word, and the list of all its words. No variant can be missing from the list, since
/// none can be missing from the function.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $all:ident, $type:ty, { $($variant:pat => $word:literal,)+ }) => {
        $(#[$doc])*
        pub const fn $name(of: $type) -> &'static str {
            match of {
                $($variant => $word,)+
            }
        }

        #[doc = concat!("All words of [`", stringify!($name), "`].")]
        pub const $all: &[&str] = &[$($word),+];
    };
    ($(#[$doc:meta])* $name:ident, $all:ident, $back:ident, $type:ty, { $($variant:path => $word:literal,)+ }) => {
        words! { $(#[$doc])* $name, $all, $type, { $($variant => $word,)+ } }

        #[doc = concat!("What [`", stringify!($name), "`] has this word for.")]
        pub fn $back(word: &str) -> Option<$type> {
            match word {
                $($word => Some($variant),)+
                _ => None,
            }
        }
    };
}

words! {
    /// `Unanim-Op`, and the keys of `endpoints`.
    op_name, OPS, op_of, Op, {
        Op::Prepare => "prepare",
        Op::Commit => "commit",
        Op::Rollback => "rollback",
        Op::CommitOnePhase => "commit_one_phase",
    }
}

words! {
    /// `Unanim-Mode`, and `mode`.
    mode_name, MODES, mode_of, Mode, {
        Mode::TwoPhase => "two_phase",
    }
}

words! {
    /// `phase`.
    phase_name, PHASES, phase_of, Phase, {
        Phase::Active => "active",
        Phase::Preparing => "preparing",
        Phase::Committing => "committing",
        Phase::Aborting => "aborting",
        Phase::Committed => "committed",
        Phase::Aborted => "aborted",
    }
}

words! {
    /// `outcome`; `undecided` before there is one.
    outcome_name, OUTCOMES, Option<Outcome>, {
        Some(Outcome::Committed) => "committed",
        Some(Outcome::Aborted) => "aborted",
        None => "undecided",
    }
}

words! {
    /// How a person says that a branch ended.
    resolution_name, RESOLUTIONS, resolution_of, Outcome, {
        Outcome::Committed => "committed",
        Outcome::Aborted => "rolled_back",
    }
}

words! {
    /// `branches[].state`.
    branch_state_name, BRANCH_STATES, BranchState, {
        BranchState::Waiting => "waiting",
        BranchState::Asked => "asked",
        BranchState::Yes => "yes",
        BranchState::ReadOnly => "read_only",
        BranchState::Refused => "refused",
        BranchState::Done => "done",
        BranchState::Resolved => "resolved",
    }
}

words! {
    /// `vote` of an event.
    vote_name, VOTES, Vote, {
        Vote::Yes => "yes",
        Vote::ReadOnly => "read_only",
        Vote::Refused => "refused",
    }
}

words! {
    /// `reason.code`.
    reason_name, REASONS, ReasonCode, {
        ReasonCode::Refused => "refused",
        ReasonCode::Deadline => "deadline",
        ReasonCode::Client => "client",
    }
}

words! {
    /// `heuristic`; a participant reports it as `heuristic_` and this.
    heuristic_name, HEURISTICS, Heuristic, {
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

words! {
    /// Why nothing is known: a label with few values, which every status shares.
    failure_name, FAILURES, Failure, {
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
