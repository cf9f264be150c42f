//! What happened to a transaction: pages of its history, and frames of its stream.
use crate::names::{VOTES, heuristic_name, outcome_name, phase_name, vote_name};
use crate::openapi::schema;
use crate::time::rfc3339;
use crate::transaction::{self, Reason, Said, reason, written};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use unanim_coordinator::{EventView, Happened};
use unanim_engine::BranchId;

/// Bytes of an event, about.
const EVENT_BYTES: usize = 128;

/// Something that happened to a transaction, and is durable.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Event<'a> {
    /// Its number; the begin is 1.
    seq: u64,
    /// When.
    #[schemars(schema_with = "schema::instant")]
    at: String,
    /// What.
    #[schemars(schema_with = "types")]
    r#type: &'static str,
    /// The branch it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<&'a str>,
    /// The phase that was entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "transaction::phases")]
    phase: Option<&'static str>,
    /// The deadline that a client's request set with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    deadline_at: Option<String>,
    /// How a branch voted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "votes")]
    vote: Option<&'static str>,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "transaction::outcomes")]
    outcome: Option<&'static str>,
    /// Why it aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason<'a>>,
    /// How a branch's participant finished on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "transaction::heuristics")]
    heuristic: Option<&'static str>,
    /// What a person said of a branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<Said<'a>>,
}

/// A page of a transaction's history.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "History")]
pub(crate) struct Page<'a> {
    /// In the order in which they happened.
    events: Vec<Event<'a>>,
    /// Asks for the next page; null where there is no more by now.
    next_cursor: Option<String>,
}

/// All words of an event's `type`.
pub const EVENT_TYPES: &[&str] = &[
    "begun",
    "branch_added",
    "phase",
    "voted",
    "decided",
    "acknowledged",
    "stuck",
    "heuristic",
    "finished",
    "resolved",
];

fn votes(_: &mut SchemaGenerator) -> Schema {
    schema::word(VOTES)
}

fn types(_: &mut SchemaGenerator) -> Schema {
    schema::word(EVENT_TYPES)
}

impl<'a> Event<'a> {
    fn new(view: &'a EventView) -> Event<'a> {
        let (seq, at) = (view.seq, rfc3339(view.at));
        let of = |r#type| Event {
            seq,
            at,
            r#type,
            branch: None,
            phase: None,
            deadline_at: None,
            vote: None,
            outcome: None,
            reason: None,
            heuristic: None,
            resolution: None,
        };
        let branch = |id: &'a BranchId| Some(id.as_str());
        match &view.what {
            Happened::Begun => of("begun"),
            Happened::BranchAdded(id) => Event { branch: branch(id), ..of("branch_added") },
            Happened::Phase(phase, deadline_at) => {
                Event { phase: Some(phase_name(*phase)), deadline_at: deadline_at.map(rfc3339), ..of("phase") }
            }
            Happened::Voted(id, vote) => Event { branch: branch(id), vote: Some(vote_name(*vote)), ..of("voted") },
            Happened::Decided(outcome, why) => {
                Event { outcome: Some(outcome_name(Some(*outcome))), reason: why.as_ref().map(reason), ..of("decided") }
            }
            Happened::Acknowledged(id) => Event { branch: branch(id), ..of("acknowledged") },
            Happened::Stuck => of("stuck"),
            Happened::Heuristic(id, how) => {
                Event { branch: branch(id), heuristic: Some(heuristic_name(*how)), ..of("heuristic") }
            }
            Happened::Finished => of("finished"),
            Happened::Resolved(id, resolution) => {
                Event { branch: branch(id), resolution: Some(Said::of(resolution)), ..of("resolved") }
            }
        }
    }
}

/// `GET /v1/transactions/{gid}/history`; the cursor asks for what follows.
pub fn history_body(events: &[EventView], next_cursor: Option<String>) -> Vec<u8> {
    let page = Page { events: events.iter().map(Event::new).collect(), next_cursor };
    written(&page, 64 + EVENT_BYTES * events.len())
}

/// An event of `GET /v1/transactions/{gid}/events`, as server-sent events are written.
pub fn event_frame(view: &EventView, to: &mut Vec<u8>) {
    let event = Event::new(view);
    to.extend_from_slice(format!("id: {}\nevent: {}\ndata: ", event.seq, event.r#type).as_bytes());
    // JSON has no line breaks of its own.
    serde_json::to_writer(&mut *to, &event).expect("strings and numbers are always JSON");
    to.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use unanim_coordinator::ReasonView;
    use unanim_engine::{Heuristic, Outcome, Phase, ReasonCode, Resolution, Timestamp, Vote};

    fn all() -> Vec<EventView> {
        let id = || BranchId::new("pay\"\u{2028}").expect("a name");
        let reason = ReasonView { code: ReasonCode::Refused, branch: Some(id()), detail: Some("no\nfunds".into()) };
        let what = [
            Happened::Begun,
            Happened::BranchAdded(id()),
            Happened::Phase(Phase::Preparing, Some(Timestamp(60_000))),
            Happened::Voted(id(), Vote::ReadOnly),
            Happened::Decided(Outcome::Aborted, Some(reason)),
            Happened::Acknowledged(id()),
            Happened::Stuck,
            Happened::Heuristic(id(), Heuristic::Mixed),
            Happened::Finished,
            Happened::Resolved(id(), Resolution::new(Outcome::Aborted, Some("seen"), None).expect("short enough")),
        ];
        (1..).zip(what).map(|(seq, what)| EventView { seq, at: Timestamp(seq), what }).collect()
    }

    #[test]
    fn events_have_the_documented_shapes() {
        let body: Value = serde_json::from_slice(&history_body(&all(), Some("9".into()))).expect("JSON");
        let events = body["events"].as_array().expect("a list");
        assert_eq!(events.iter().map(|event| event["type"].as_str().expect("a word")).collect::<Vec<_>>(), EVENT_TYPES);
        assert_eq!(events[0], json!({ "seq": 1, "at": "1970-01-01T00:00:00.001Z", "type": "begun" }));
        assert_eq!(
            (&events[2]["phase"], &events[2]["deadline_at"]),
            (&json!("preparing"), &json!("1970-01-01T00:01:00.000Z"))
        );
        assert_eq!((&events[3]["branch"], &events[3]["vote"]), (&json!("pay\"\u{2028}"), &json!("read_only")));
        assert_eq!((&events[4]["outcome"], &events[4]["reason"]["code"]), (&json!("aborted"), &json!("refused")));
        assert_eq!(events[7]["heuristic"], "mixed");
        assert_eq!(body["next_cursor"], "9");
        assert_eq!(
            serde_json::from_slice::<Value>(&history_body(&[], None)).expect("JSON"),
            json!({ "events": [], "next_cursor": null })
        );
    }

    #[test]
    fn a_frame_is_three_lines_and_an_empty_one_whatever_is_in_it() {
        for event in all() {
            let mut frame = Vec::new();
            event_frame(&event, &mut frame);
            let frame = String::from_utf8(frame).expect("UTF-8");
            let lines: Vec<_> = frame.split('\n').collect();
            assert_eq!((lines.len(), lines[0], lines[3]), (5, &*format!("id: {}", event.seq), ""), "{frame}");
            assert!(
                lines[1].starts_with("event: ") && serde_json::from_str::<Value>(&lines[2]["data: ".len()..]).is_ok()
            );
        }
    }
}
