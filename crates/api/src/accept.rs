//! From a request's body to what the coordinator is asked; every mistake is collected with its place.
use crate::branch::{TIMEOUT_MS, bounded, policy};
use crate::canonical;
use crate::door::{Door, Faults};
use crate::json::{List, Object, parse};
use crate::names::{RESOLUTIONS, mode_of, resolution_of};
use crate::problem::{Problem, ProblemCode};
use crate::submission::{Addition, BRANCHES_READ, Branch, Nothing, Resolve, Submission, TIMEOUT_MS_MAX, Written};
use std::collections::HashSet;
use std::sync::Arc;
use unanim_engine::{BranchId, BranchSpec, Gid, Mode, Resolution, RetryPolicy};

/// A submission that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The name that its client chose.
    pub gid: Option<Gid>,
    /// Its protocol.
    pub mode: Mode,
    /// SHA-256 of its canonical form.
    pub digest: [u8; 32],
    /// How long it may take until its decision, in milliseconds.
    pub timeout_ms: u64,
    /// How its branches are asked again.
    pub retry: RetryPolicy,
    /// Commit at once.
    pub start: bool,
    /// Its branches so far.
    pub branches: Vec<Arc<BranchSpec>>,
}

/// Reads `POST /v1/transactions`.
///
/// # Errors
/// No JSON; something else than expected; over a limit; an endpoint that is not allowed.
pub fn submission(body: &[u8], door: &Door<'_>) -> Result<Accepted, Problem> {
    let from: Submission<'_> = parse(body)?;
    let given = from.branches.as_ref().map_or(Ok(&[][..]), |given| door.bounded(given))?;
    let mut faults = Faults::default();
    let gid =
        from.gid.as_ref().and_then(|gid| Gid::given(gid).map_err(|e| faults.invalid("/gid", "not_a_name", e)).ok());
    let mode = mode_of(&from.mode);
    if mode.is_none() {
        faults.invalid("/mode", "unknown_mode", "the modes of this version: two_phase");
    }
    let timeout_ms = bounded("", "timeout_ms", from.timeout_ms, TIMEOUT_MS, TIMEOUT_MS_MAX, &mut faults);
    let retry = RetryPolicy::default();
    let retry = from.retry.as_ref().map_or(retry, |given| policy("", given, &mut faults).over(retry));
    let start = from.start.unwrap_or(true);
    if start && given.is_empty() {
        faults.invalid("/branches", "required", "at least one branch is needed, unless start is false");
    }
    let ids = ids(given, true, &mut faults);
    let mut branches = door.all(given, ids, &mut faults);
    faults.judged()?;
    let digest = digest(text(body), given)?;
    if !start {
        with_digests(text(body), &mut branches);
    }
    let mode = mode.expect("an unknown one is a fault");
    Ok(Accepted { gid, mode, digest, timeout_ms, retry, start, branches: branches.into_iter().map(Arc::new).collect() })
}

/// Reads `POST /v1/transactions/{gid}/branches`.
///
/// # Errors
/// As of [`submission`]; and a branch without an id, since it could not be told from a second one when it is sent again.
pub fn branches(body: &[u8], door: &Door<'_>) -> Result<Vec<Arc<BranchSpec>>, Problem> {
    let from: Addition<'_> = parse(body)?;
    let given = door.bounded(&from.branches)?;
    let mut faults = Faults::default();
    if given.is_empty() {
        faults.invalid("/branches", "required", "at least one branch is needed");
    }
    let ids = ids(given, false, &mut faults);
    let mut branches = door.all(given, ids, &mut faults);
    faults.judged()?;
    digest(text(body), given)?;
    with_digests(text(body), &mut branches);
    Ok(branches.into_iter().map(Arc::new).collect())
}

/// Reads `POST /v1/transactions/{gid}/branches/{id}/resolve`.
///
/// # Errors
/// No JSON; something else than expected; texts that say nothing, or are too long.
pub fn resolution(body: &[u8]) -> Result<Resolution, Problem> {
    let from: Resolve<'_> = parse(body)?;
    let mut faults = Faults::default();
    let outcome = resolution_of(&from.outcome);
    if outcome.is_none() {
        faults.invalid("/outcome", "unknown_value", format_args!("is neither of {}", RESOLUTIONS.join(" and ")));
    }
    let (reason, by) = (from.reason.as_deref(), from.by.as_deref());
    for (pointer, text, bytes_max) in
        [("/reason", reason, Resolution::REASON_BYTES_MAX), ("/by", by, Resolution::BY_BYTES_MAX)]
    {
        if text.is_some_and(|text| text.trim().is_empty()) {
            faults.invalid(pointer, "blank", "says nothing: leave it out, or write something");
        } else if text.is_some_and(|text| text.len() > bytes_max) {
            faults.add(ProblemCode::TooLarge, pointer, "too_large", format_args!("larger than {bytes_max} bytes"));
        }
    }
    faults.judged()?;
    let outcome = outcome.expect("an unknown one is a fault");
    Ok(Resolution::new(outcome, reason, by).expect("too long a text is a fault"))
}

/// Reads the body of a request that says nothing more: none, or `{}`.
///
/// # Errors
/// It says something.
pub fn nothing(body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() { Ok(()) } else { parse::<Nothing>(body).map(|_| ()) }
}

impl Door<'_> {
    /// The branches, unless there are too many of them to be looked at.
    fn bounded<'a, 'b>(
        &self,
        given: &'a List<Object<Branch<'b>>, BRANCHES_READ>,
    ) -> Result<&'a [Object<Branch<'b>>], Problem> {
        let max = self.limits.branches_max.min(BRANCHES_READ);
        let detail = || format!("more than {max} branches");
        given.within(max).ok_or_else(|| Problem::of_field(ProblemCode::TooLarge, "/branches", "too_many", detail()))
    }

    fn all(&self, given: &[Object<Branch<'_>>], ids: Vec<Option<BranchId>>, faults: &mut Faults) -> Vec<BranchSpec> {
        let mut specs = Vec::with_capacity(given.len());
        for (at, (from, id)) in given.iter().zip(ids).enumerate() {
            // A branch without a valid id is looked at all the same, for its other mistakes.
            let known = id.is_some();
            let id = id.unwrap_or_else(|| BranchId::new("?").expect("a name"));
            specs.extend(self.branch(at, id, from, faults).filter(|_| known));
        }
        specs
    }
}

/// The branches' names: the ones given, and, where `make` says so, new ones for those that have none.
fn ids(given: &[Object<Branch<'_>>], make: bool, faults: &mut Faults) -> Vec<Option<BranchId>> {
    let mut taken = HashSet::with_capacity(given.len());
    for (at, branch) in given.iter().enumerate() {
        if let Some(id) = &branch.id
            && !taken.insert(&**id)
        {
            faults.invalid(format_args!("/branches/{at}/id"), "duplicate", "an earlier branch has this id");
        }
    }
    let mut number = 0;
    let mut fresh = || loop {
        number += 1;
        let id = format!("b{number}");
        if !taken.contains(&*id) {
            return id;
        }
    };
    let mut ids = Vec::with_capacity(given.len());
    for (at, branch) in given.iter().enumerate() {
        let id = match &branch.id {
            Some(id) => {
                BranchId::given(id).map_err(|e| faults.invalid(format_args!("/branches/{at}/id"), "not_a_name", e)).ok()
            }
            None if make => Some(BranchId::new(&fresh()).expect("a letter and a number are a name")),
            None => {
                let detail = "an id is needed, so that the same branch sent again is the same branch";
                faults.invalid(format_args!("/branches/{at}/id"), "required", detail);
                None
            }
        };
        ids.push(id);
    }
    ids
}

/// The request's digest. Only payloads can be nested deeply, since everything else has a shape.
fn digest(text: &str, given: &[Object<Branch<'_>>]) -> Result<[u8; 32], Problem> {
    canonical::digest(text).map_err(|canonical::TooDeep| {
        let deepest = given.iter().position(|b| b.payload.is_some_and(|p| canonical::canonical(p.get()).is_err()));
        let pointer = deepest.map_or("/branches".into(), |at| format!("/branches/{at}/payload"));
        let detail = format!("nested more than about {} levels deep", canonical::DEPTH_MAX);
        Problem::of_field(ProblemCode::InvalidRequest, pointer, "too_deep", detail)
    })
}

/// Where branches may be added, each is known by the digest of what was written.
fn with_digests(text: &str, branches: &mut [BranchSpec]) {
    let written: Written<'_> = serde_json::from_str(text).expect("it was read before");
    for (spec, written) in branches.iter_mut().zip(written.branches.unwrap_or_default()) {
        let digest = canonical::digest(written.get()).expect("the whole is not too deep");
        spec.set_digest(digest);
    }
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).expect("JSON that was read is UTF-8")
}
