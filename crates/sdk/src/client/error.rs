//! Why a call failed, by who has to act.

use std::fmt;

use hyper::StatusCode;
use serde::Deserialize;
use unanim_api::ProblemCode;

use crate::http::{Failure, Reply};

/// Why a call failed. After `Unreachable` and `Lost` the transaction may have been accepted all the same: ask by its
/// gid, or submit the same again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No address took a connection, for as long as was tried.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// The one that was tried last.
        address: String,
        /// The reason.
        why: String,
    },
    /// The answer did not come, for as long as was tried.
    #[error("lost the answer of {address}: {why}")]
    Lost {
        /// The one that was tried last.
        address: String,
        /// The reason.
        why: String,
    },
    /// The coordinator says no, or not now.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// An answer that no coordinator gives.
    #[error("{address} answered {status}, and not as a Unanim server does: is that one?")]
    Foreign {
        /// Who answered.
        address: String,
        /// Its status.
        status: StatusCode,
    },
    /// A setting or an argument that cannot be used.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// The coordinator's code, if it is one that this version knows.
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Error::Problem(problem) => ProblemCode::of(&problem.code),
            Error::Unreachable { .. } | Error::Lost { .. } | Error::Foreign { .. } | Error::Invalid(_) => None,
        }
    }

    /// Whether the same call may do better later. While it has patience, a client tries these again by itself.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Lost { .. } => true,
            Error::Problem(problem) => {
                problem.status == 503 || ProblemCode::of(&problem.code).is_some_and(ProblemCode::retryable)
            }
            // A proxy whose server is away.
            Error::Foreign { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
            Error::Invalid(_) => false,
        }
    }

    pub(super) fn failed(address: &str, failure: Failure) -> Self {
        let address = address.to_owned();
        match failure {
            Failure::Unreachable(why) => Error::Unreachable { address, why },
            Failure::Lost(why) => Error::Lost { address, why },
            Failure::Invalid(why) => Error::Invalid(why),
        }
    }

    /// What an answer other than a good one says.
    pub(super) fn answered(address: &str, reply: &Reply) -> Self {
        match serde_json::from_slice::<Problem>(&reply.body) {
            Ok(problem) => Error::Problem(Box::new(Problem { status: reply.status.as_u16(), ..problem })),
            Err(_) => Error::Foreign { address: address.to_owned(), status: reply.status },
        }
    }
}

/// An error as a coordinator describes it (`application/problem+json`).
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// For programs; [`Error::code`] has it typed.
    pub code: String,
    /// The kind of problem, for people.
    #[serde(default)]
    pub title: String,
    /// What went wrong here, for people.
    #[serde(default)]
    pub detail: String,
    /// The transaction it is about.
    pub gid: Option<String>,
    /// What is wrong with which field.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct FieldError {
    /// Where: a JSON pointer into the body, or `?name` for a part of the query.
    #[serde(default)]
    pub pointer: String,
    /// What kind of mistake, for programs.
    #[serde(default)]
    pub code: String,
    /// The mistake, for people.
    #[serde(default)]
    pub detail: String,
}

impl fmt::Display for Problem {
    /// `gid_conflict (409): …`, and a line for each field that it does not name already.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.detail.is_empty() { &self.title } else { &self.detail };
        write!(out, "{} ({}): {said}", self.code, self.status)?;
        let is_said = |error: &FieldError| !error.detail.is_empty() && said.contains(&error.detail);
        for error in self.errors.iter().filter(|error| self.errors.len() > 1 || !is_said(error)) {
            let at = if error.pointer.is_empty() { "/" } else { &error.pointer };
            let said = [&error.code, &error.detail].into_iter().filter(|text| !text.is_empty());
            write!(out, "\n  at {at}: {}", said.map(String::as_str).collect::<Vec<_>>().join(": "))?;
        }
        Ok(())
    }
}
