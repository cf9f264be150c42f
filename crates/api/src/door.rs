//! What a request is judged by, and the mistakes that are found in it.
use crate::problem::{FieldError, Problem, ProblemCode};
use unanim_engine::{Limits, Participant};

/// What a request is judged by.
pub struct Door<'a> {
    /// What bounds one transaction.
    pub limits: Limits,
    /// Whom an endpoint's calls go to, if they may.
    pub endpoint: &'a dyn Fn(&str) -> Result<Participant, BadEndpoint>,
    /// The trace that the request belongs to, passed on to participants.
    pub traceparent: Option<&'a str>,
}

/// Why an endpoint cannot be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadEndpoint {
    /// No URL, or not of a kind that is called.
    Invalid(String),
    /// Not on the allow-list; names the setting.
    NotAllowed(String),
}

/// The mistakes of one request.
#[derive(Default)]
pub(crate) struct Faults(Vec<(ProblemCode, FieldError)>);

impl Faults {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn add(
        &mut self,
        kind: ProblemCode,
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) {
        self.0.push((kind, FieldError { pointer: pointer.into(), code, detail: detail.into() }));
    }

    pub(crate) fn invalid(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        self.add(ProblemCode::InvalidRequest, pointer, code, detail);
    }

    /// All of the kind that is to be mended first.
    pub(crate) fn judged(self) -> Result<(), Problem> {
        match self.0.iter().map(|(kind, _)| *kind).min_by_key(|kind| kind.status()) {
            None => Ok(()),
            Some(first) => {
                let errors = self.0.into_iter().filter(|(kind, _)| *kind == first).map(|(_, error)| error).collect();
                Err(Problem::of_fields(first, errors))
            }
        }
    }
}
