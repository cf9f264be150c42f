//! Answers of the v1 front door.
use crate::names::{
    BRANCH_STATES, HEURISTICS, MODES, OPS, OUTCOMES, PHASES, REASONS, RESOLUTIONS, branch_state_name, heuristic_name,
    mode_name, op_name, outcome_name, phase_name, reason_name, reply_name, resolution_name,
};
use crate::openapi::schema;
use crate::time::rfc3339;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use std::borrow::Cow;
use unanim_coordinator::{BranchView, ReasonView, View};
use unanim_engine::{BranchId, Gid, Outcome, Resolution};

/// Bytes of the answer that one branch takes, about.
const BRANCH_BYTES: usize = 256;

/// A transaction without its branches.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TransactionSummary")]
pub(crate) struct Summary<'a> {
    /// Its name.
    #[schemars(schema_with = "schema::gid")]
    gid: &'a str,
    /// Its protocol.
    #[schemars(schema_with = "modes")]
    mode: &'static str,
    /// Where it stands.
    #[schemars(schema_with = "phases")]
    phase: &'static str,
    /// How it ends. Once it is decided it never changes.
    #[schemars(schema_with = "outcomes")]
    outcome: &'static str,
    /// Why it aborted.
    reason: Option<Reason<'a>>,
    /// It has been in its phase for longer than is normal.
    stuck: bool,
    /// How participants finished on their own, taken together.
    #[schemars(schema_with = "heuristics")]
    heuristic: Option<&'static str>,
    /// When it began.
    #[schemars(schema_with = "schema::instant")]
    created_at: String,
    /// When it aborts unless it is decided.
    #[schemars(schema_with = "schema::instant")]
    deadline_at: String,
    /// When it was decided.
    #[schemars(schema_with = "schema::instant_or_null")]
    decided_at: Option<String>,
    /// When it ended.
    #[schemars(schema_with = "schema::instant_or_null")]
    finished_at: Option<String>,
    /// The number of its last durable event.
    seq: u64,
}

/// A transaction.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Transaction")]
pub(crate) struct Body<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    /// Its branches, in the order in which they joined.
    #[serde(serialize_with = "branches")]
    #[schemars(with = "Vec<Branch<'a>>")]
    branches: &'a [BranchView],
}

/// A page of transactions.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Transactions")]
pub(crate) struct List<'a> {
    /// Open ones in the order of their begins, then those that have ended, the last one first.
    transactions: Vec<Summary<'a>>,
    /// Asks for the next page, which may be short, or empty, and not the last one; null on the last one.
    next_cursor: Option<String>,
}

/// Why a transaction aborted.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Reason<'a> {
    /// What kind.
    #[schemars(schema_with = "reasons")]
    code: &'static str,
    /// Whose refusal.
    branch: Option<&'a str>,
    /// In the participant's words.
    detail: Option<&'a str>,
}

/// A branch of a transaction.
#[derive(Serialize, JsonSchema)]
struct Branch<'a> {
    /// Its name within the transaction.
    #[schemars(schema_with = "schema::branch_id")]
    id: &'a str,
    /// Whom its calls go to: `scheme://host:port`.
    participant: &'a str,
    /// What is known of it.
    #[schemars(schema_with = "states")]
    state: &'static str,
    /// What it is being asked.
    #[schemars(schema_with = "ops")]
    op: Option<&'static str>,
    /// Calls since the coordinator has it in memory; a hint.
    attempts: u32,
    /// How the last call ended; a hint.
    last: Option<Last>,
    /// When it is asked again; a hint.
    #[schemars(schema_with = "schema::instant_or_null")]
    next_at: Option<String>,
    /// How its participant finished on its own.
    #[schemars(schema_with = "heuristics")]
    heuristic: Option<&'static str>,
    /// What a person said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<Said<'a>>,
}

/// What a person said of a branch whose participant is not asked any more.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Resolution")]
pub(crate) struct Said<'a> {
    /// What the participant did.
    #[schemars(schema_with = "resolutions")]
    outcome: &'static str,
    /// Why, in their words.
    reason: Option<&'a str>,
    /// Who.
    by: Option<&'a str>,
}

impl<'a> Said<'a> {
    pub(crate) fn of(resolution: &'a Resolution) -> Said<'a> {
        Said { outcome: resolution_name(resolution.outcome), reason: resolution.reason(), by: resolution.by() }
    }
}

fn resolutions(_: &mut SchemaGenerator) -> Schema {
    schema::word(RESOLUTIONS)
}

/// How a call ended.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LastReply")]
struct Last {
    /// When.
    #[schemars(schema_with = "schema::instant")]
    at: String,
    /// `ok`, `read_only`, `refused`, `heuristic`, `ongoing`, or why nothing is known: `timeout`, `status_503`.
    code: Cow<'static, str>,
}

/// The outcome of a transaction.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Outcome")]
pub(crate) struct OutcomeBody<'a> {
    /// Its name.
    #[schemars(schema_with = "schema::gid")]
    gid: &'a str,
    /// The branch that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<&'a str>,
    /// How it ends.
    #[schemars(schema_with = "outcomes")]
    outcome: &'static str,
}

pub(crate) fn modes(_: &mut SchemaGenerator) -> Schema {
    schema::word(MODES)
}

pub(crate) fn phases(_: &mut SchemaGenerator) -> Schema {
    schema::word(PHASES)
}

pub(crate) fn outcomes(_: &mut SchemaGenerator) -> Schema {
    schema::word(OUTCOMES)
}

pub(crate) fn heuristics(_: &mut SchemaGenerator) -> Schema {
    schema::word_or_null(HEURISTICS)
}

fn reasons(_: &mut SchemaGenerator) -> Schema {
    schema::word(REASONS)
}

fn states(_: &mut SchemaGenerator) -> Schema {
    schema::word(BRANCH_STATES)
}

fn ops(_: &mut SchemaGenerator) -> Schema {
    schema::word_or_null(OPS)
}

fn branches<S: Serializer>(branches: &&[BranchView], to: S) -> Result<S::Ok, S::Error> {
    let mut list = to.serialize_seq(Some(branches.len()))?;
    for b in *branches {
        list.serialize_element(&Branch {
            id: b.id.as_str(),
            participant: b.participant.as_str(),
            state: branch_state_name(b.state),
            op: b.op.map(op_name),
            attempts: b.attempts,
            last: b.last.map(|last| Last { at: rfc3339(last.at), code: reply_name(last.code) }),
            next_at: b.next_at.map(rfc3339),
            heuristic: b.heuristic.map(heuristic_name),
            resolution: b.resolution.as_deref().map(Said::of),
        })?;
    }
    list.end()
}

pub(crate) fn reason(of: &ReasonView) -> Reason<'_> {
    Reason {
        code: reason_name(of.code),
        branch: of.branch.as_ref().map(BranchId::as_str),
        detail: of.detail.as_deref(),
    }
}

/// `GET /v1/transactions/{gid}`, and what every change answers.
pub fn transaction_body(view: &View) -> Vec<u8> {
    let body = Body { summary: summary(view), branches: &view.branches };
    written(&body, 512 + BRANCH_BYTES * view.branches.len())
}

/// `GET /v1/transactions`; the cursor asks for what follows.
pub fn list_body(views: &[View], next_cursor: Option<String>) -> Vec<u8> {
    let list = List { transactions: views.iter().map(summary).collect(), next_cursor };
    written(&list, 64 + 512 * views.len())
}

fn summary(view: &View) -> Summary<'_> {
    Summary {
        gid: view.gid.as_str(),
        mode: mode_name(view.mode),
        phase: phase_name(view.phase),
        outcome: outcome_name(view.outcome),
        reason: view.reason.as_ref().map(reason),
        stuck: view.stuck,
        heuristic: view.heuristic.map(heuristic_name),
        created_at: rfc3339(view.created_at),
        deadline_at: rfc3339(view.deadline_at),
        decided_at: view.decided_at.map(rfc3339),
        finished_at: view.finished_at.map(rfc3339),
        seq: view.seq,
    }
}

/// `GET /v1/transactions/{gid}/outcome`.
pub fn outcome_body(gid: &Gid, branch: Option<&BranchId>, outcome: Option<Outcome>) -> Vec<u8> {
    written(
        &OutcomeBody { gid: gid.as_str(), branch: branch.map(BranchId::as_str), outcome: outcome_name(outcome) },
        256,
    )
}

pub(crate) fn written(body: &impl Serialize, bytes: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut json, body).expect("strings and numbers are always JSON");
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use unanim_engine::{
        BranchState, Failure, LastReply, Mode, Op, Participant, Phase, ReasonCode, ReplyCode, Timestamp,
    };

    fn id(name: &str) -> BranchId {
        BranchId::new(name).expect("a name")
    }

    fn view() -> View {
        View {
            gid: Gid::new("order-17").expect("a name"),
            digest: [0; 32],
            mode: Mode::TwoPhase,
            phase: Phase::Aborting,
            outcome: Some(Outcome::Aborted),
            reason: Some(ReasonView {
                code: ReasonCode::Refused,
                branch: Some(id("pay")),
                detail: Some("no \"funds\"".into()),
            }),
            stuck: false,
            heuristic: None,
            created_at: Timestamp(0),
            deadline_at: Timestamp(60_000),
            decided_at: Some(Timestamp(5)),
            finished_at: None,
            seq: 4,
            branches: vec![BranchView {
                id: id("stock"),
                participant: Participant::new("http://stock:5001").expect("a name"),
                state: BranchState::Asked,
                op: Some(Op::Rollback),
                attempts: 3,
                last: Some(LastReply { at: Timestamp(1), code: ReplyCode::Unknown(Failure::Status(502)) }),
                next_at: Some(Timestamp(100)),
                heuristic: None,
                resolution: None,
            }],
        }
    }

    #[test]
    fn a_transaction_has_the_documented_shape() {
        let body: Value = serde_json::from_slice(&transaction_body(&view())).expect("JSON");
        let expected = json!({
            "gid": "order-17", "mode": "two_phase", "phase": "aborting", "outcome": "aborted",
            "reason": {"code": "refused", "branch": "pay", "detail": "no \"funds\""}, "stuck": false, "heuristic": null,
            "created_at": "1970-01-01T00:00:00.000Z", "deadline_at": "1970-01-01T00:01:00.000Z",
            "decided_at": "1970-01-01T00:00:00.005Z", "finished_at": null, "seq": 4,
            "branches": [{
                "id": "stock", "participant": "http://stock:5001", "state": "asked", "op": "rollback", "attempts": 3,
                "last": {"at": "1970-01-01T00:00:00.001Z", "code": "status_502"}, "next_at": "1970-01-01T00:00:00.100Z", "heuristic": null,
            }],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn an_outcome_names_the_branch_that_asked() {
        let gid = Gid::new("g").expect("a name");
        let text = |branch, outcome| String::from_utf8(outcome_body(&gid, branch, outcome)).expect("UTF-8");
        assert_eq!(text(None, None), r#"{"gid":"g","outcome":"undecided"}"#);
        assert_eq!(text(Some(&id("b")), Some(Outcome::Committed)), r#"{"gid":"g","branch":"b","outcome":"committed"}"#);
    }
}
