//! Answers of the v1 front door.
use crate::names::{
    branch_state_name, heuristic_name, mode_name, op_name, outcome_name, phase_name, reason_name, reply_name,
};
use crate::time::rfc3339;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use std::borrow::Cow;
use unanim_coordinator::{BranchView, View};
use unanim_engine::{BranchId, Gid, Outcome};

/// Bytes of the answer that one branch takes, about.
const BRANCH_BYTES: usize = 256;

#[derive(Serialize)]
struct Body<'a> {
    gid: &'a str,
    mode: &'static str,
    phase: &'static str,
    outcome: &'static str,
    reason: Option<Reason<'a>>,
    stuck: bool,
    heuristic: Option<&'static str>,
    created_at: String,
    deadline_at: String,
    decided_at: Option<String>,
    finished_at: Option<String>,
    seq: u64,
    #[serde(serialize_with = "branches")]
    branches: &'a [BranchView],
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'static str,
    branch: Option<&'a str>,
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Branch<'a> {
    id: &'a str,
    participant: &'a str,
    state: &'static str,
    op: Option<&'static str>,
    attempts: u32,
    last: Option<Last>,
    next_at: Option<String>,
    heuristic: Option<&'static str>,
}

#[derive(Serialize)]
struct Last {
    at: String,
    code: Cow<'static, str>,
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
        })?;
    }
    list.end()
}

/// `GET /v1/transactions/{gid}`, and what every change answers.
pub fn transaction_body(view: &View) -> Vec<u8> {
    let body = Body {
        gid: view.gid.as_str(),
        mode: mode_name(view.mode),
        phase: phase_name(view.phase),
        outcome: outcome_name(view.outcome),
        reason: view.reason.as_ref().map(|r| Reason {
            code: reason_name(r.code),
            branch: r.branch.as_ref().map(BranchId::as_str),
            detail: r.detail.as_deref(),
        }),
        stuck: view.stuck,
        heuristic: view.heuristic.map(heuristic_name),
        created_at: rfc3339(view.created_at),
        deadline_at: rfc3339(view.deadline_at),
        decided_at: view.decided_at.map(rfc3339),
        finished_at: view.finished_at.map(rfc3339),
        seq: view.seq,
        branches: &view.branches,
    };
    written(&body, 512 + BRANCH_BYTES * view.branches.len())
}

/// `GET /v1/transactions/{gid}/outcome`.
pub fn outcome_body(gid: &Gid, branch: Option<&BranchId>, outcome: Option<Outcome>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        gid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        branch: Option<&'a str>,
        outcome: &'static str,
    }
    written(&Body { gid: gid.as_str(), branch: branch.map(BranchId::as_str), outcome: outcome_name(outcome) }, 256)
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
    use unanim_coordinator::ReasonView;
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
