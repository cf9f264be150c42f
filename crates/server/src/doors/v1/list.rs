//! `GET /v1/transactions`: what there is, page by page.
use super::limit;
use crate::app::App;
use crate::doors::refusal::problem_of;
use crate::http::{Query, Reply};
use hyper::StatusCode;
use unanim_adapters::transport::Endpoint;
use unanim_api::names::{mode_of, outcome_name, phase_of};
use unanim_api::openapi::LIST;
use unanim_api::{Problem, ProblemCode, instant_of, list_body};
use unanim_coordinator::{Filter, OutcomeIs};
use unanim_engine::{Outcome, Participant};
use unanim_node::ListCursor;

pub(in crate::doors) async fn list(app: &App, query: Option<&str>) -> Result<Reply, Problem> {
    let query = Query::parse(query, LIST)?;
    let filter = filter(&query)?;
    let limit = limit(&query)?;
    let cursor = word(&query, "cursor", "not_a_cursor", "is no cursor that a list had", cursor_of)?;
    let page = app.handle.list(&filter, cursor, limit).await.map_err(problem_of)?;
    Ok(Reply::json(StatusCode::OK, list_body(&page.views, page.next.as_ref().map(cursor_text))))
}

fn filter(query: &Query<'_>) -> Result<Filter, Problem> {
    let unknown = "unknown_value";
    Ok(Filter {
        phase: word(query, "phase", unknown, "is no phase of this version", phase_of)?,
        mode: word(query, "mode", unknown, "is no mode of this version", mode_of)?,
        participant: word(query, "participant", "not_a_participant", "is not scheme://host:port", participant_of)?,
        stuck: word(query, "stuck", unknown, "is neither true nor false", |text| text.parse().ok())?,
        outcome: word(query, "outcome", unknown, "is none of undecided, committed and aborted", outcome_of)?,
        since_at: word(query, "since_at", "not_an_instant", NO_INSTANT, instant_of)?,
        until_at: word(query, "until_at", "not_an_instant", NO_INSTANT, instant_of)?,
    })
}

const NO_INSTANT: &str = "is no instant as RFC 3339 has it: 2026-11-21T11:32:38Z";

/// What a word of the query says, where it is there.
fn word<T>(
    query: &Query<'_>,
    name: &str,
    code: &'static str,
    wrong: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let wrong = || Problem::of_field(ProblemCode::InvalidRequest, format!("?{name}"), code, wrong);
    query.get(name).map(|text| read(text).ok_or_else(wrong)).transpose()
}

fn outcome_of(text: &str) -> Option<OutcomeIs> {
    let outcomes = [None, Some(Outcome::Committed), Some(Outcome::Aborted)];
    let outcome = outcomes.into_iter().find(|outcome| outcome_name(*outcome) == text)?;
    Some(outcome.map_or(OutcomeIs::Undecided, OutcomeIs::Decided))
}

/// As an endpoint of it would be read: a default port may be left out.
fn participant_of(text: &str) -> Option<Participant> {
    Participant::new(&Endpoint::parse(text).ok()?.participant()).ok()
}

/// What a cursor says is for nobody else to read.
fn cursor_text(cursor: &ListCursor) -> String {
    cursor.to_string().bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn cursor_of(text: &str) -> Option<ListCursor> {
    let digits = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digits).collect();
    String::from_utf8(bytes?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use unanim_coordinator::OpenPlace;
    use unanim_engine::{Gid, Timestamp};

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let place = OpenPlace { created_at: Timestamp(7), gid: Gid::new("a/b é").expect("a name") };
        let cursor = ListCursor::Open(place);
        assert_eq!(cursor_of(&cursor_text(&cursor)), Some(cursor));
        for odd in ["", "0", "zz", "+1", "6f", "ff", "6f70656e2f37"] {
            assert_eq!(cursor_of(odd), None, "{odd}");
        }
    }

    #[test]
    fn words_are_read_strictly() {
        let read = |query: &str| {
            let query = Query::parse(Some(query), LIST).map_err(|problem| problem.errors[0].pointer.clone())?;
            filter(&query).map_err(|problem| problem.errors[0].pointer.clone())
        };
        let filter =
            read("phase=preparing&mode=two_phase&participant=HTTP%3A%2F%2Fstock&stuck=false&outcome=undecided")
                .expect("good");
        assert_eq!(filter.participant.expect("one").as_str(), "http://stock:80");
        assert_eq!((filter.stuck, filter.outcome), (Some(false), Some(OutcomeIs::Undecided)));
        for (query, pointer) in [
            ("phase=Active", "?phase"),
            ("phase=", "?phase"),
            ("mode=saga", "?mode"),
            ("participant=stock", "?participant"),
            ("stuck=1", "?stuck"),
            ("outcome=done", "?outcome"),
            ("since_at=today", "?since_at"),
            ("until_at=1700000000", "?until_at"),
            ("gid=x", "?gid"),
            ("stuck=true&stuck=true", "?stuck"),
        ] {
            assert_eq!(read(query), Err(pointer.to_owned()), "{query}");
        }
    }
}
