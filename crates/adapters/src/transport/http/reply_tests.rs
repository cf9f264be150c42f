//! Every row of the table, and what real services send that is in no row.
use super::*;
use http::HeaderValue;
use std::time::Duration;

const VOTE: Op = Op::Prepare;
const BACKWARD_AND_FORWARD: [Op; 3] = [Op::Commit, Op::Rollback, Op::CommitOnePhase];
const ALL: [Op; 4] = [Op::Prepare, Op::Commit, Op::Rollback, Op::CommitOnePhase];
const CONTENT: Reply = Reply::Unknown { failure: Failure::Content, retry_after_ms: 0 };

/// 2026-11-21 12:00:00 UTC.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400)
}

fn answered(dialect: Dialect, op: Op, status: u16, retry_after: Option<&str>, body: impl AsRef<[u8]>) -> Reply {
    let mut headers = HeaderMap::new();
    if let Some(value) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).expect("a value"));
    }
    classify(dialect, op, Answer { status, headers: &headers, body: body.as_ref() }, &[409, 422], noon)
}

fn v1(op: Op, status: u16, body: impl AsRef<[u8]>) -> Reply {
    answered(Dialect::V1, op, status, None, body)
}

fn classic(op: Op, status: u16, body: impl AsRef<[u8]>) -> Reply {
    answered(Dialect::Classic, op, status, None, body)
}

fn status(status: u16) -> Reply {
    Reply::unknown(Failure::Status(status))
}

fn refused(words: &str) -> Reply {
    Reply::Refused(Some(words.into()))
}

#[test]
fn empty_and_plain_answers_are_ok() {
    for op in ALL {
        for (code, body) in [
            (200, ""),
            (204, ""),
            (201, "{}"),
            (200, "{\"result\":\"ok\"}"),
            (200, " \r\n\t{ \"result\" : \"success\" }\n"),
            (299, "{\"id\":7,\"nested\":{\"result\":\"failed\"}}"),
            (200, "{\"result\":\"\\u006fk\"}"),
            (200, "{\"unknown\":1e999,\"unknown\":2}"),
        ] {
            assert_eq!(v1(op, code, body), Reply::Ok, "{op:?} {code} {body}");
        }
    }
}

#[test]
fn read_only_is_an_answer_to_a_vote_only() {
    assert_eq!(v1(VOTE, 200, "{\"result\":\"read_only\"}"), Reply::ReadOnly);
    for op in BACKWARD_AND_FORWARD {
        assert_eq!(v1(op, 200, "{\"result\":\"read_only\"}"), CONTENT, "{op:?}");
    }
}

#[test]
fn a_no_comes_in_the_body_or_as_a_listed_status() {
    for op in ALL {
        assert_eq!(v1(op, 200, "{\"result\":\"failed\"}"), Reply::Refused(None));
        assert_eq!(v1(op, 201, "{\"result\":\"failed\",\"detail\":\"sold out\"}"), refused("sold out"));
        assert_eq!(v1(op, 409, ""), Reply::Refused(None));
        assert_eq!(v1(op, 422, "{\"message\":\"no\"}"), refused("no"));
        assert_eq!(v1(op, 409, "<html>"), Reply::Refused(None));
    }
    for unlisted in [400, 401, 403, 404, 410] {
        assert_eq!(v1(VOTE, unlisted, "{\"result\":\"failed\"}"), status(unlisted));
    }
    let listed = |code| {
        classify(
            Dialect::V1,
            VOTE,
            Answer { status: code, headers: &HeaderMap::new(), body: b"" },
            &[404, 425, 503, 200],
            noon,
        )
    };
    assert_eq!(
        [listed(404), listed(425), listed(503)],
        [Reply::Refused(None), Reply::Refused(None), Reply::Refused(None)]
    );
    assert_eq!(
        [listed(409), listed(200)],
        [status(409), Reply::Ok],
        "the list replaces the default, and a 2xx speaks by its body"
    );
}

#[test]
fn the_words_of_a_no_are_its_detail_reason_or_message() {
    for (body, words) in [
        ("{\"detail\":\"d\",\"reason\":\"r\",\"message\":\"m\"}", Some("d")),
        ("{\"message\":\"m\",\"reason\":\"r\"}", Some("r")),
        ("{\"detail\":7,\"message\":\"m\"}", Some("m")),
        ("{\"detail\":null}", None),
        ("{\"detail\":\"a\\nb\\u001b[31m\"}", Some("a b [31m")),
        ("{\"detail\":\"\\ud83d\\ude00\"}", Some("\u{1f600}")),
        ("{\"detail\":\"\\ud83d\"}", None),
        ("[\"failed\",\"words\"]", None),
    ] {
        assert_eq!(v1(VOTE, 409, body), Reply::Refused(words.map(Into::into)), "{body}");
    }
    let long = format!("{{\"detail\":\"{}\"}}", "ä".repeat(2_000));
    assert_eq!(v1(VOTE, 409, long), refused(&"ä".repeat(512)));
}

#[test]
fn heuristics_are_reported_by_any_operation() {
    for op in ALL {
        for (name, heuristic) in
            [("commit", Heuristic::Commit), ("rollback", Heuristic::Rollback), ("mixed", Heuristic::Mixed)]
        {
            assert_eq!(v1(op, 200, format!("{{\"result\":\"heuristic_{name}\"}}")), Reply::Heuristic(heuristic));
        }
    }
}

#[test]
fn still_working_is_no_failure() {
    for op in ALL {
        for (code, body) in [
            (202, ""),
            (202, "<html>"),
            (202, "{\"result\":\"failed\"}"),
            (425, "x"),
            (200, "{\"result\":\"ongoing\"}"),
        ] {
            assert_eq!(v1(op, code, body), Reply::Ongoing { retry_after_ms: 0 }, "{code} {body}");
            let later = answered(Dialect::V1, op, code, Some("2"), body);
            assert_eq!(later, Reply::Ongoing { retry_after_ms: 2_000 }, "{code} {body}");
        }
    }
}

#[test]
fn retry_after_comes_in_seconds_or_as_a_date_and_counts_for_five_minutes_at_most() {
    for (value, retry_after_ms) in [
        ("0", 0),
        ("7", 7_000),
        (" 7 ", 7_000),
        ("300", 300_000),
        ("301", 300_000),
        ("99999999999999999999999999", 300_000),
        ("Sat, 21 Nov 2026 12:00:09 GMT", 9_000),
        ("Saturday, 21-Nov-26 12:00:09 GMT", 9_000),
        ("Sat Nov 21 12:00:09 2026", 9_000),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300_000),
        ("-1", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
    ] {
        for code in [429, 503] {
            let reply = answered(Dialect::V1, VOTE, code, Some(value), "");
            assert_eq!(reply, Reply::Unknown { failure: Failure::Status(code), retry_after_ms }, "{code} {value:?}");
        }
    }
    assert_eq!(v1(VOTE, 503, ""), status(503));
    assert_eq!(answered(Dialect::V1, VOTE, 500, Some("7"), ""), status(500), "it means nothing elsewhere");
}

#[test]
fn everything_else_says_nothing() {
    for op in ALL {
        for code in [
            100, 101, 199, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 412, 418, 500, 501, 502,
            504, 599, 999,
        ] {
            assert_eq!(v1(op, code, "{\"result\":\"ok\"}"), status(code), "{op:?} {code}");
        }
        for body in [
            "<html><title>Sign in</title></html>",
            "ok",
            "\"ok\"",
            "null",
            "true",
            "[]",
            "[\"ok\"]",
            "[{\"result\":\"ok\"}]",
            "{",
            "{\"result\":\"ok\"",
            "{\"result\":\"ok\"}{}",
            "{\"result\":\"ok\"} x",
            "\u{feff}{\"result\":\"ok\"}",
            "{\"result\":null}",
            "{\"result\":true}",
            "{\"result\":[\"ok\"]}",
            "{\"result\":\"OK\"}",
            "{\"result\":\"ok \"}",
            "{\"result\":\"\"}",
            "{\"result\":\"committed\"}",
            "{\"result\":\"heuristic_\"}",
            "{\"result\":\"failed\",\"result\":\"ok\"}",
            "{\"result\":\"ok\",\"result\":\"ok\"}",
            "{\"result\":\"ok\",\"re\\u0073ult\":\"failed\"}",
            " ",
            "\n",
            "{'result':'ok'}",
            "{\"result\":\"ok\",}",
        ] {
            assert_eq!(v1(op, 200, body), CONTENT, "{op:?} {body}");
        }
        assert_eq!(v1(op, 200, b"{\"result\":\"ok\",\"x\":\"\xff\"}"), CONTENT, "invalid UTF-8 anywhere");
        assert_eq!(v1(op, 200, b"\xff"), CONTENT);
        assert_eq!(v1(op, 200, "\0"), CONTENT);
        assert_eq!(v1(op, 200, "[".repeat(60_000)), CONTENT);
        assert_eq!(v1(op, 200, format!("{{\"a\":{}", "[".repeat(60_000))), CONTENT);
    }
}

#[test]
fn classic_knows_one_yes_and_every_other_answer_is_a_no() {
    assert_eq!(classic(VOTE, 200, "{\"result\":\"success\"}"), Reply::Ok);
    assert_eq!(classic(VOTE, 200, "{ \"other\": 1, \"result\": \"success\" }"), Reply::Ok);
    for (code, body) in [
        (200, ""),
        (200, "{}"),
        (200, "{\"result\":\"failed\"}"),
        (200, "{\"result\":\"ok\"}"),
        (200, "{\"result\":\"SUCCESS\"}"),
        (200, "{\"result\":\"success\",\"result\":\"success\"}"),
        (200, "\"success\""),
        (200, "[\"success\"]"),
        (200, "<html>"),
        (201, "{\"result\":\"success\"}"),
        (202, "{\"result\":\"success\"}"),
        (204, ""),
        (302, ""),
        (404, ""),
        (409, "{\"result\":\"success\"}"),
        (425, ""),
        (429, ""),
        (500, "{\"result\":\"success\"}"),
        (503, ""),
    ] {
        assert_eq!(classic(VOTE, code, body), Reply::Refused(None), "{code} {body}");
    }
    assert_eq!(classic(VOTE, 200, "{\"result\":\"failed\",\"reason\":\"sold out\"}"), refused("sold out"));
    assert_eq!(classic(VOTE, 500, "{\"message\":\"broken\"}"), refused("broken"));
    assert_eq!(answered(Dialect::Classic, VOTE, 503, Some("9"), ""), Reply::Refused(None));
}

#[test]
fn classic_acknowledges_with_200_whatever_the_body() {
    for op in [Op::Commit, Op::Rollback] {
        for body in ["", "{\"result\":\"failed\"}", "<html>", "\0"] {
            assert_eq!(classic(op, 200, body), Reply::Ok, "{body}");
        }
        for code in [201, 202, 204, 302, 404, 409, 425, 500, 503] {
            assert_eq!(classic(op, code, "{\"result\":\"success\"}"), status(code), "{code}");
        }
    }
}

#[test]
fn a_body_that_cannot_be_read_changes_nothing_where_the_status_decides() {
    assert!(ALL.iter().all(|op| !status_decides(Dialect::V1, *op, 200) && !status_decides(Dialect::V1, *op, 409)));
    assert!(!status_decides(Dialect::Classic, VOTE, 200) && status_decides(Dialect::Classic, VOTE, 500));
    assert!(status_decides(Dialect::Classic, Op::Commit, 200) && status_decides(Dialect::Classic, Op::Rollback, 500));
}
