//! The JSON of the classic front door (wire/classic.md).
use crate::door::BadEndpoint;
use crate::json::{List, Text, parse};
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::submission::BRANCHES_READ;
use crate::transaction::written;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::Arc;
use unanim_coordinator::{BranchView, View};
use unanim_engine::{BranchId, BranchSpec, BranchState, Callee, Dialect, Gid, Outcome, Participant, Phase, Target};

/// What a classic transaction was begun with is always the same: nothing. Its digest is no other request's.
pub const DIGEST: [u8; 32] = *b"classic: begun without any body.";

/// A participant is called at its address by this scheme.
const SCHEME: &str = "http://";

/// Who takes part in a classic transaction.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClassicPrepare")]
pub(crate) struct Prepare<'a> {
    /// `host:port` of each.
    #[serde(borrow)]
    participants: List<Text<'a>, BRANCHES_READ>,
}

/// Reads `POST /transaction/<gid>/prepare`: a branch for each participant.
///
/// # Errors
/// No JSON; no participants, or one twice; something else than `host:port`; one that the allow-list does not name; too many.
pub fn prepare(
    body: &[u8],
    call_timeout_ms: u32,
    branches_max: usize,
    traceparent: Option<&str>,
    endpoint: impl Fn(&str) -> Result<Participant, BadEndpoint>,
) -> Result<Vec<Arc<BranchSpec>>, Problem> {
    let from: Prepare<'_> = parse(body)?;
    let fault = |code, at: usize, kind, detail: String| {
        let error = FieldError { pointer: format!("/participants/{at}"), code: kind, detail };
        Err(Problem::of_fields(code, vec![error]))
    };
    let of_all = |code, kind, detail: String| Problem::of_field(code, "/participants", kind, detail);
    let max = branches_max.min(BRANCHES_READ);
    let Some(participants) = from.participants.within(max) else {
        return Err(of_all(ProblemCode::TooLarge, "too_many", format!("more than {max}")));
    };
    if participants.is_empty() {
        return Err(of_all(ProblemCode::InvalidRequest, "required", "at least one participant is needed".into()));
    }
    let mut seen = HashSet::with_capacity(participants.len());
    let mut branches = Vec::with_capacity(participants.len());
    for (at, address) in participants.iter().enumerate() {
        if let Err(detail) = check_address(address) {
            return fault(ProblemCode::InvalidRequest, at, "not_an_address", format!("{:?} {detail}", &**address));
        }
        let participant = match endpoint(&format!("{SCHEME}{}/", &**address)) {
            Ok(participant) => participant,
            Err(BadEndpoint::Invalid(detail)) => {
                return fault(ProblemCode::InvalidRequest, at, "not_an_address", detail);
            }
            Err(BadEndpoint::NotAllowed(detail)) => {
                return fault(ProblemCode::EndpointNotAllowed, at, "not_allowed", detail);
            }
        };
        if !seen.insert(participant.clone()) {
            return fault(ProblemCode::InvalidRequest, at, "duplicate", format!("{:?} is given twice", &**address));
        }
        branches.push(Arc::new(branch(participant, call_timeout_ms, traceparent)));
    }
    Ok(branches)
}

/// `host:port` and nothing more; what a host is, is for whoever calls it to say.
fn check_address(address: &str) -> Result<(), &'static str> {
    let Some((host, port)) = address.rsplit_once(':') else { return Err("is not host:port") };
    if let Some(odd) = address.chars().find(|c| "/?#@\\%".contains(*c) || c.is_whitespace() || c.is_control()) {
        return Err(match odd {
            '@' => "has credentials: it must be host:port",
            '/' if address.contains("://") => "has a scheme: it must be host:port",
            '/' => "has a path: it must be host:port",
            _ => "is not host:port",
        });
    }
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) {
        return Err("is not host:port");
    }
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if digits && port.parse::<u16>().is_ok_and(|port| port > 0) {
        Ok(())
    } else {
        Err("has no port from 1 to 65535: it must be host:port")
    }
}

/// A classic branch is its participant: the same address is the same branch, whatever the settings were.
fn branch(participant: Participant, call_timeout_ms: u32, traceparent: Option<&str>) -> BranchSpec {
    let url = participant.as_str();
    let callee = Callee {
        target: Target::One(url.into()),
        dialect: Dialect::Classic,
        call_timeout_ms,
        retry: None,
        refused_statuses: Box::default(),
        one_phase: false,
        participant: participant.clone(),
    };
    BranchSpec::new(branch_id(&participant), callee, None)
        .with_headers(traceparent.map(|trace| ("traceparent".into(), trace.into())).into_iter().collect())
        .with_digest(Sha256::digest(url).into())
}

/// The address, or, where that is too long for a name, the beginning of its hash.
fn branch_id(participant: &Participant) -> BranchId {
    let hashed = || {
        let hash = Sha256::digest(participant.as_str());
        hash[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    BranchId::new(address(participant)).unwrap_or_else(|_| BranchId::new(&hashed()).expect("hex digits are a name"))
}

/// Whether a branch was made by [`prepare`], as far as can be seen.
pub fn is_classic(branch: &BranchView) -> bool {
    branch.id == branch_id(&branch.participant)
}

fn address(participant: &Participant) -> &str {
    let url = participant.as_str();
    url.strip_prefix(SCHEME).unwrap_or(url)
}

/// A classic transaction that was begun.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ClassicBegun")]
pub(crate) struct Begun<'a> {
    /// Its name.
    transaction_id: &'a str,
}

/// How a classic wish ended: `success` or `failed`.
#[derive(JsonSchema)]
#[schemars(rename = "ClassicResult")]
pub(crate) struct ResultShape {
    /// `success` or `failed`.
    #[expect(dead_code, reason = "the two bodies that there are need no writer")]
    result: String,
}

/// A classic transaction.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ClassicTransaction")]
pub(crate) struct Shown<'a> {
    /// Its name.
    transaction_id: &'a str,
    /// `init`, `prepared`, `committed` or `aborted`.
    state: &'static str,
    /// Who takes part.
    participants: Vec<ShownParticipant<'a>>,
}

/// A participant of a classic transaction.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ClassicParticipant")]
struct ShownParticipant<'a> {
    /// Its `host:port`.
    address: &'a str,
    /// `init`, `prepared`, `committed` or `aborted`.
    state: &'static str,
}

/// `POST /transaction`.
pub fn begun_body(gid: &Gid) -> Vec<u8> {
    written(&Begun { transaction_id: gid.as_str() }, 64)
}

/// What `prepare` and the explicit wishes answer.
pub const fn result_body(success: bool) -> &'static str {
    if success { r#"{"result":"success"}"# } else { r#"{"result":"failed"}"# }
}

/// `GET /transaction/<gid>`.
pub fn transaction_body(view: &View) -> Vec<u8> {
    let participants = view
        .branches
        .iter()
        .map(|b| ShownParticipant { address: address(&b.participant), state: branch_state(b.state, view.outcome) });
    let body =
        Shown { transaction_id: view.gid.as_str(), state: state(view.phase), participants: participants.collect() };
    written(&body, 128 + 64 * view.branches.len())
}

/// `prepared` once every participant has voted yes, `committed` once every one has acknowledged, `aborted` once that is decided.
fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::Active | Phase::Preparing => "init",
        Phase::Committing => "prepared",
        Phase::Committed => "committed",
        Phase::Aborting | Phase::Aborted => "aborted",
    }
}

fn branch_state(state: BranchState, outcome: Option<Outcome>) -> &'static str {
    match (state, outcome) {
        (BranchState::Waiting | BranchState::Asked, _) => "init",
        (BranchState::Yes, _) => "prepared",
        (BranchState::Refused, _) | (BranchState::Done | BranchState::Resolved, Some(Outcome::Aborted)) => "aborted",
        (BranchState::Done | BranchState::Resolved, Some(Outcome::Committed) | None) => "committed",
        // It has nothing to do: whatever the outcome is, it is there already.
        (BranchState::ReadOnly, Some(Outcome::Committed)) => "committed",
        (BranchState::ReadOnly, Some(Outcome::Aborted)) => "aborted",
        (BranchState::ReadOnly, None) => "prepared",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<Arc<BranchSpec>>, Problem> {
        prepare(body.as_bytes(), 10_000, 3, None, |url| match url {
            "http://stranger:1/" => Err(BadEndpoint::NotAllowed("--allow".into())),
            _ => Ok(Participant::new(url.trim_end_matches('/')).expect("a name")),
        })
    }

    fn wrong(body: &str) -> (&'static str, String) {
        let problem = read(body).expect_err(body);
        (problem.code.code(), problem.errors.first().map(|e| e.pointer.clone()).unwrap_or_default())
    }

    #[test]
    fn a_participant_becomes_a_branch_that_its_address_names() {
        let branches = read(r#"{"participants": ["stock:5001", "[::1]:80"]}"#).expect("good");
        let seen: Vec<_> = branches
            .iter()
            .map(|b| (b.id.as_str(), b.callee.participant.as_str(), b.callee.target.url(unanim_engine::Op::Prepare)))
            .collect();
        assert_eq!(seen[0], ("stock:5001", "http://stock:5001", Some("http://stock:5001")));
        assert_eq!(seen[1], ("[::1]:80", "http://[::1]:80", Some("http://[::1]:80")));
        assert!(
            branches
                .iter()
                .all(|b| b.callee.dialect == Dialect::Classic && b.payload.is_none() && b.digest().is_some())
        );
    }

    #[test]
    fn a_long_address_is_named_by_its_hash() {
        let body = format!(r#"{{"participants": ["{}:5001"]}}"#, "x".repeat(100));
        let branch = read(&body).expect("good").remove(0);
        assert_eq!(branch.id.as_str().len(), 32);
        assert_eq!(branch.id, branch_id(&branch.callee.participant));
    }

    #[test]
    fn what_is_no_address_is_named() {
        for odd in [
            "",
            ":1",
            "a",
            "a:",
            "a:0",
            "a:99999",
            "a:+1",
            "a:1/",
            "http://a:1",
            "u:p@a:1",
            "a b:1",
            "a:1?x",
            "a:1#x",
            "::1:80",
            "a:1\\r\\n",
            "a%41:1",
        ] {
            assert_eq!(
                wrong(&format!(r#"{{"participants": ["a:1", "{odd}"]}}"#)),
                ("invalid_request", "/participants/1".into()),
                "{odd}"
            );
        }
        assert_eq!(wrong(r#"{"participants": ["a:1", "a:1"]}"#), ("invalid_request", "/participants/1".into()));
        assert_eq!(
            wrong(r#"{"participants": ["a:1", "stranger:1"]}"#),
            ("endpoint_not_allowed", "/participants/1".into())
        );
    }

    #[test]
    fn a_body_that_says_something_else_is_named() {
        assert_eq!(wrong("participants=a:1").0, "malformed_json");
        assert_eq!(wrong("").0, "malformed_json");
        assert_eq!(wrong("[]").0, "invalid_request");
        assert_eq!(wrong("{}"), ("invalid_request", String::new()));
        assert_eq!(wrong(r#"{"participants": []}"#), ("invalid_request", "/participants".into()));
        assert_eq!(wrong(r#"{"participants": ["a:1", 7]}"#), ("invalid_request", "/participants/1".into()));
        assert_eq!(wrong(r#"{"participants": ["a:1","b:1","c:1","d:1"]}"#).0, "too_large");
        let many = vec![r#""""#; 5_000_000].join(",");
        assert_eq!(wrong(&format!(r#"{{"participants": [{many}]}}"#)), ("too_large", "/participants".into()));
        assert_eq!(wrong(r#"{"participants": ["a:1"], "x": 1}"#), ("invalid_request", "/x".into()));
    }

    #[test]
    fn states_are_those_of_the_classic_protocol() {
        let all =
            [Phase::Active, Phase::Preparing, Phase::Committing, Phase::Committed, Phase::Aborting, Phase::Aborted];
        assert_eq!(all.map(state), ["init", "init", "prepared", "committed", "aborted", "aborted"]);
    }
}
