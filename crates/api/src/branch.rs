//! What a branch of a request means, and whether it may.
use crate::door::{BadEndpoint, Door, Faults};
use crate::json::{List, Members, Object, escaped};
use crate::problem::ProblemCode;
use crate::submission::{
    Branch, CALL_TIMEOUT_MS_MAX, Endpoints, HEADERS_MAX, REFUSED_STATUSES_MAX, RETRY_MS_MAX, Retry,
};
use std::collections::HashSet;
use unanim_engine::{BranchId, BranchSpec, Callee, Dialect, Op, Participant, RetryOverride, Target};

/// How long one call may take unless its branch says otherwise, in milliseconds.
pub const CALL_TIMEOUT_MS: u32 = 10_000;
/// How long a transaction may take until its decision unless it says otherwise, in milliseconds.
pub const TIMEOUT_MS: u64 = 60_000;
/// Statuses that say no unless the branch says otherwise.
pub const REFUSED_STATUSES: [u16; 2] = [409, 422];
/// Names and values of one branch's headers together, in bytes.
pub const HEADER_BYTES_MAX: usize = 16 << 10;
/// Statuses that speak of the call and not of the work: they cannot say no.
const NEVER_REFUSED: [u64; 6] = [401, 407, 408, 412, 425, 429];
/// Headers that HTTP or the coordinator owns; beside these everything that begins with `unanim-`.
const RESERVED_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Door<'_> {
    /// A branch under its id; what is wrong with it goes to `faults`.
    pub(crate) fn branch(&self, at: usize, id: BranchId, from: &Branch<'_>, faults: &mut Faults) -> Option<BranchSpec> {
        let place = format!("/branches/{at}");
        let before = faults.len();
        let target = self.target(&place, from, faults);
        let call_timeout_ms = bounded(
            &place,
            "call_timeout_ms",
            from.call_timeout_ms,
            CALL_TIMEOUT_MS.into(),
            CALL_TIMEOUT_MS_MAX.into(),
            faults,
        );
        let own_retry = from.retry.as_ref().map(|own| Box::new(policy(&place, own, faults)));
        let refused_statuses = statuses(&place, from.refused_statuses.as_ref(), faults);
        let headers = self.headers(&place, from.headers.as_ref(), faults);
        let payload = from.payload.map(|p| Box::<[u8]>::from(p.get().as_bytes()));
        if payload.as_ref().is_some_and(|p| p.len() > self.limits.payload_bytes_max) {
            let detail = format!("larger than {} bytes", self.limits.payload_bytes_max);
            faults.add(ProblemCode::TooLarge, format_args!("{place}/payload"), "too_large", detail);
        }
        let (participant, target) = target.filter(|_| faults.len() == before)?;
        let callee = Callee {
            participant,
            target,
            dialect: Dialect::V1,
            call_timeout_ms: call_timeout_ms as u32,
            retry: own_retry,
            refused_statuses,
            one_phase: from.one_phase.unwrap_or(false),
        };
        Some(BranchSpec::new(id, callee, payload).with_headers(headers))
    }

    fn target(&self, place: &str, from: &Branch<'_>, faults: &mut Faults) -> Option<(Participant, Target)> {
        match (&from.endpoint, &from.endpoints) {
            (Some(_), Some(_)) => {
                faults.invalid(format_args!("{place}/endpoints"), "conflict", "either endpoint or endpoints, not both");
                None
            }
            (None, None) => {
                faults.invalid(format_args!("{place}/endpoint"), "required", "an endpoint is needed, or endpoints");
                None
            }
            (Some(url), None) => {
                let participant = self.url(&format!("{place}/endpoint"), url, faults)?;
                Some((participant, Target::One((**url).into())))
            }
            (None, Some(each)) => self.each(&format!("{place}/endpoints"), each, faults),
        }
    }

    /// Its participant is the one that is asked to prepare.
    fn each(&self, place: &str, each: &Endpoints<'_>, faults: &mut Faults) -> Option<(Participant, Target)> {
        let given = [
            ("prepare", Op::Prepare, &each.prepare, true),
            ("commit", Op::Commit, &each.commit, true),
            ("rollback", Op::Rollback, &each.rollback, true),
            ("commit_one_phase", Op::CommitOnePhase, &each.commit_one_phase, false),
        ];
        let before = faults.len();
        let (mut participant, mut urls) = (None, Vec::with_capacity(given.len()));
        for (name, op, url, needed) in given {
            match url {
                Some(url) => {
                    let found = self.url(&format!("{place}/{name}"), url, faults);
                    participant = participant.or(found);
                    urls.push((op, (**url).into()));
                }
                None if needed => faults.invalid(
                    format_args!("{place}/{name}"),
                    "required",
                    "prepare, commit and rollback are all needed",
                ),
                None => {}
            }
        }
        participant.filter(|_| faults.len() == before).map(|p| (p, Target::Each(urls.into())))
    }

    fn url(&self, pointer: &str, url: &str, faults: &mut Faults) -> Option<Participant> {
        match (self.endpoint)(url) {
            Ok(participant) => Some(participant),
            Err(BadEndpoint::Invalid(detail)) => {
                faults.invalid(pointer, "not_an_endpoint", detail);
                None
            }
            Err(BadEndpoint::NotAllowed(detail)) => {
                faults.add(ProblemCode::EndpointNotAllowed, pointer, "not_allowed", detail);
                None
            }
        }
    }

    /// The branch's headers, and the trace that the request belongs to unless the branch names one.
    fn headers(
        &self,
        place: &str,
        given: Option<&Members<'_, HEADERS_MAX>>,
        faults: &mut Faults,
    ) -> Box<[(Box<str>, Box<str>)]> {
        let mut large = |most: String| {
            faults.add(ProblemCode::TooLarge, format_args!("{place}/headers"), "too_large", most);
            Box::default()
        };
        let Some(given) = given.map_or(Some(&[][..]), |members| members.within(HEADERS_MAX)) else {
            return large(format!("more than {HEADERS_MAX} headers"));
        };
        if given.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > HEADER_BYTES_MAX {
            return large(format!("more than {HEADER_BYTES_MAX} bytes"));
        }
        let mut names = HashSet::with_capacity(given.len());
        let mut headers: Vec<(Box<str>, Box<str>)> =
            Vec::with_capacity(given.len() + usize::from(self.traceparent.is_some()));
        for (name, value) in given {
            let lower = name.to_ascii_lowercase();
            let wrong = match &*lower {
                _ if !is_token(name) => Some(("not_a_header", "not a header's name")),
                own if own.starts_with("unanim-") || RESERVED_HEADERS.contains(&own) => {
                    Some(("reserved", "this header is not yours to set"))
                }
                _ if !is_header_value(value) => {
                    Some(("not_a_header", "a header's value is visible ASCII, with single spaces inside"))
                }
                again if !names.insert(again.to_owned()) => Some(("duplicate", "given twice")),
                _ => None,
            };
            match wrong {
                Some((code, detail)) => faults.invalid(format_args!("{place}/headers/{}", escaped(name)), code, detail),
                None => headers.push((lower.into(), (**value).into())),
            }
        }
        if let Some(trace) = self.traceparent
            && !names.contains("traceparent")
        {
            headers.push(("traceparent".into(), trace.into()));
        }
        headers.into()
    }
}

/// A number from 1 on, with its default.
pub(crate) fn bounded(place: &str, name: &str, given: Option<u64>, default: u64, max: u64, faults: &mut Faults) -> u64 {
    let value = given.unwrap_or(default);
    if !(1..=max).contains(&value) {
        faults.invalid(format_args!("{place}/{name}"), "out_of_range", format_args!("must be from 1 to {max}"));
    }
    value
}

/// What is said of a policy.
pub(crate) fn policy(place: &str, given: &Object<Retry>, faults: &mut Faults) -> RetryOverride {
    let place = format!("{place}/retry");
    let max = u64::from(RETRY_MS_MAX);
    let first_ms = given.first_ms.map(|_| bounded(&place, "first_ms", given.first_ms, 1, max, faults) as u32);
    let max_ms = given.max_ms.map(|_| bounded(&place, "max_ms", given.max_ms, 1, max, faults) as u32);
    if let (Some(first), Some(max)) = (first_ms, max_ms)
        && first > max
    {
        faults.invalid(format_args!("{place}/max_ms"), "out_of_range", "must not be less than first_ms");
    }
    RetryOverride { first_ms, max_ms }
}

fn statuses(place: &str, given: Option<&List<u64, REFUSED_STATUSES_MAX>>, faults: &mut Faults) -> Box<[u16]> {
    let Some(given) = given else { return REFUSED_STATUSES.into() };
    let Some(given) = given.within(REFUSED_STATUSES_MAX) else {
        let detail = format_args!("more than {REFUSED_STATUSES_MAX}");
        faults.invalid(format_args!("{place}/refused_statuses"), "too_many", detail);
        return Box::default();
    };
    for (at, status) in given.iter().enumerate() {
        if !(400..=499).contains(status) || NEVER_REFUSED.contains(status) {
            let detail = "a status from 400 to 499 that speaks of the work: not 401, 407, 408, 412, 425 or 429";
            faults.invalid(format_args!("{place}/refused_statuses/{at}"), "out_of_range", detail);
        }
    }
    given.iter().map(|status| *status as u16).collect()
}

fn is_token(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(allowed)
}

fn is_header_value(value: &str) -> bool {
    value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t')) && value.trim() == value
}
