//! What a request is judged by, and the mistakes that are found in it.
use crate::problem::{ERRORS_MAX, FieldError, Problem, ProblemCode};
use std::fmt::Display;
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

/// The mistakes of one request. Those that will not be listed are only counted.
#[derive(Default)]
pub(crate) struct Faults(Vec<Kind>);

/// The mistakes of one kind.
struct Kind {
    code: ProblemCode,
    first: Vec<FieldError>,
    count: usize,
}

impl Faults {
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|kind| kind.count).sum()
    }

    pub(crate) fn add(
        &mut self,
        problem: ProblemCode,
        pointer: impl Display,
        code: &'static str,
        detail: impl Display,
    ) {
        let at = self.0.iter().position(|kind| kind.code == problem).unwrap_or_else(|| {
            self.0.push(Kind { code: problem, first: Vec::new(), count: 0 });
            self.0.len() - 1
        });
        let kind = &mut self.0[at];
        kind.count += 1;
        if kind.first.len() < ERRORS_MAX {
            kind.first.push(FieldError { pointer: pointer.to_string(), code, detail: detail.to_string() });
        }
    }

    pub(crate) fn invalid(&mut self, pointer: impl Display, code: &'static str, detail: impl Display) {
        self.add(ProblemCode::InvalidRequest, pointer, code, detail);
    }

    /// All of the kind that is to be mended first.
    pub(crate) fn judged(self) -> Result<(), Problem> {
        match self.0.into_iter().min_by_key(|kind| kind.code.status()) {
            None => Ok(()),
            Some(Kind { code, first, count }) => Err(Problem::of_first(code, first, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_that_are_not_listed_are_counted_and_cost_nothing() {
        struct Never;
        impl Display for Never {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                unreachable!("it is not listed")
            }
        }
        let mut faults = Faults::default();
        (0..ERRORS_MAX).for_each(|at| faults.add(ProblemCode::TooLarge, format_args!("/{at}"), "too_large", "no"));
        faults.add(ProblemCode::TooLarge, Never, "too_large", Never);
        assert_eq!(faults.len(), ERRORS_MAX + 1);
        faults.invalid("/late", "wrong", "listed, for it is to be mended first");
        let problem = faults.judged().expect_err("wrong");
        assert_eq!(
            (problem.code, problem.errors.len(), &*problem.errors[0].pointer),
            (ProblemCode::InvalidRequest, 1, "/late")
        );
    }
}
