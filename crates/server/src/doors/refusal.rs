//! The coordinator's refusals as problems.
use unanim_api::names::{outcome_name, phase_name};
use unanim_api::{Problem, ProblemCode, rfc3339};
use unanim_coordinator::{Admission, Refusal};
use unanim_engine::{BranchId, Gid, Outcome};
use unanim_node::NotForgotten;

/// The problem that a refusal is; `place` says where in the request a branch is.
pub(super) fn problem(gid: &Gid, refusal: Refusal, place: impl Fn(&BranchId) -> String) -> Problem {
    explained(refusal, place).about(gid)
}

/// The same, of what is about no transaction in particular.
pub(super) fn problem_of(refusal: Refusal) -> Problem {
    explained(refusal, |_| String::new())
}

/// Why a transaction is not forgotten.
pub(super) fn not_forgotten(why: NotForgotten) -> Problem {
    match why {
        NotForgotten::NotFound => explained(Refusal::NotFound, |_| String::new()),
        NotForgotten::Open(phase) => {
            Problem::new(ProblemCode::NotFinished, format!("the transaction is {}", phase_name(phase)))
        }
        NotForgotten::Retained(until) => Problem::new(
            ProblemCode::Retained,
            format!("whoever began it may ask for it until {}: --retention", rfc3339(until)),
        ),
        NotForgotten::Unavailable => explained(Refusal::Unavailable, |_| String::new()),
    }
}

fn explained(refusal: Refusal, place: impl Fn(&BranchId) -> String) -> Problem {
    let of = |code, detail: &'static str| Problem::new(code, detail);
    match refusal {
        Refusal::GidConflict => of(ProblemCode::GidConflict, "this gid was begun with another body"),
        Refusal::BranchConflict(id) => Problem::of_field(
            ProblemCode::BranchConflict,
            place(&id),
            "conflict",
            format!("another branch is called {id}"),
        ),
        Refusal::Closed(phase) => {
            Problem::new(ProblemCode::Closed, format!("the transaction is {}", phase_name(phase)))
        }
        Refusal::OnePhase => {
            of(ProblemCode::Closed, "a one-phase commit is under way: only its participant's answer tells how it ends")
        }
        Refusal::AlreadyDecided(outcome) => {
            Problem::new(ProblemCode::AlreadyDecided, format!("the transaction is {}", outcome_name(Some(outcome))))
        }
        Refusal::NotDecided(phase) => Problem::new(
            ProblemCode::Closed,
            format!("the transaction is {}: only what is decided can be resolved", phase_name(phase)),
        ),
        Refusal::NoSuchBranch(id) => Problem::new(ProblemCode::NotFound, format!("no branch is called {id}")),
        Refusal::BranchEnded(id, outcome) => {
            // In the words in which a person says it.
            let ended = match outcome {
                Outcome::Committed => "committed",
                Outcome::Aborted => "rolled_back",
            };
            Problem::new(ProblemCode::AlreadyDecided, format!("{id} has ended, {ended}"))
        }
        Refusal::NotFound => of(ProblemCode::NotFound, "no transaction has this gid"),
        Refusal::NoBranches => {
            of(ProblemCode::InvalidRequest, "there is nothing to commit: the transaction has no branch")
        }
        Refusal::TooManyBranches(max) => Problem::of_field(
            ProblemCode::TooLarge,
            "/branches",
            "too_many",
            format!("more than {max} branches in all"),
        ),
        Refusal::PayloadTooLarge(id, max) => Problem::of_field(
            ProblemCode::TooLarge,
            format!("{}/payload", place(&id)),
            "too_large",
            format!("larger than {max} bytes"),
        ),
        Refusal::TooManyOpen => {
            of(ProblemCode::TooManyOpen, "the bound on open transactions is reached: --max-open, --max-open-bytes")
        }
        Refusal::NotAdmitted(Admission::DiskFull) => {
            of(ProblemCode::DiskFull, "what is open goes on; nothing new is taken")
        }
        // Nothing is refused while all are admitted.
        Refusal::NotAdmitted(Admission::Draining | Admission::Open) => {
            of(ProblemCode::Draining, "nothing new is taken")
        }
        Refusal::Loading => of(ProblemCode::Loading, "the transaction may be one of those that are still being loaded"),
        Refusal::Unavailable => {
            of(ProblemCode::Unavailable, "nobody knows whether the request was carried out: send it again as it is")
        }
    }
}
