//! A transaction for people.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use unanim::client::{BranchView, Last, Reason};
use unanim::{Outcome, Transaction};

use super::table::{NOTHING, participant, printable, relative, table};

/// After a submission: how it went in one line, then the branches.
pub(super) fn submitted(transaction: &Transaction, took: Duration) -> String {
    let took = humantime::format_duration(Duration::from_millis(took.as_millis() as u64));
    let (stands, remarks) = (stands(transaction), remarks(transaction));
    format!("{stands} after {took}{remarks}\n{}", details(transaction, Timestamp::now()))
}

/// All there is to know.
pub(super) fn transaction(transaction: &Transaction) -> String {
    format!("{}\n{}", headline(transaction), details(transaction, Timestamp::now()))
}

/// Where it stands, and what wants a person.
pub(super) fn headline(transaction: &Transaction) -> String {
    stands(transaction) + &remarks(transaction)
}

/// `order-17 aborted: pay refused (no funds)`
fn stands(transaction: &Transaction) -> String {
    let mut line = format!("{} {}", printable(&transaction.gid), transaction.outcome);
    if transaction.outcome.as_str() != transaction.phase.as_str() {
        let _ = write!(line, " ({})", transaction.phase);
    }
    if let Some(reason) = &transaction.reason {
        let _ = write!(line, ": {}", why(reason));
    }
    line
}

fn remarks(transaction: &Transaction) -> String {
    let mut line = String::new();
    if transaction.stuck {
        line += ", STUCK: it goes on trying, and wants a person to look";
    }
    if let Some(heuristic) = &transaction.heuristic {
        let _ = write!(line, ", HEURISTIC: {heuristic}");
    }
    line
}

/// `pay refused (no funds)`
pub(super) fn why(reason: &Reason) -> String {
    let branch = reason.branch.as_ref().map(|branch| printable(branch));
    let detail = reason.detail.as_ref().map(|detail| printable(detail));
    let (said, words) = match (reason.code.as_str(), branch) {
        // The branch is the one whose vote was missing.
        ("deadline", branch) => ("the deadline passed".to_owned(), branch.map(|b| silence(&b, detail.as_deref()))),
        // A person resolved the only branch, and decided by that.
        ("client", Some(branch)) => (format!("{branch} was resolved"), detail),
        ("client", None) => ("the client wished it".to_owned(), detail),
        (code, Some(branch)) => (format!("{branch} {code}"), detail),
        (code, None) => (code.to_owned(), detail),
    };
    let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
    format!("{said}{words}")
}

/// How the branch's last call ended, which the coordinator says of an "it".
fn silence(branch: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => match detail.strip_prefix("it ") {
            Some(rest) => format!("{branch} {rest}"),
            None => format!("{branch}: {detail}"),
        },
        None => format!("{branch} had not answered"),
    }
}

fn details(transaction: &Transaction, now: Timestamp) -> String {
    let mut out = String::new();
    let mut line = format!("mode {}", transaction.mode);
    let open = transaction.outcome == Outcome::Undecided;
    let instants = [
        ("created", &transaction.created_at),
        ("deadline", if open { &transaction.deadline_at } else { &None }),
        ("decided", &transaction.decided_at),
        ("finished", &transaction.finished_at),
    ];
    for (name, at) in instants {
        if let Some(at) = at {
            let _ = write!(line, ", {name} {}", relative(at, now));
        }
    }
    let _ = writeln!(out, "{line}");
    if !transaction.branches.is_empty() {
        let _ = writeln!(out, "{}", branches(&transaction.branches, now));
    }
    out
}

fn branches(branches: &[BranchView], now: Timestamp) -> String {
    let row = |branch: &BranchView| {
        [
            printable(&branch.id),
            participant(branch.participant.as_deref().unwrap_or("")),
            state(branch),
            branch.op.clone().unwrap_or_default(),
            if branch.attempts == 0 { NOTHING.to_owned() } else { branch.attempts.to_string() },
            branch.last.as_ref().map(|last| reply(last, now)).unwrap_or_default(),
            branch.next_at.as_ref().map(|at| relative(at, now)).unwrap_or_default(),
        ]
    };
    table(["branch", "participant", "state", "op", "attempts", "last reply", "next"], branches.iter().map(row))
}

fn state(branch: &BranchView) -> String {
    match &branch.heuristic {
        Some(heuristic) => format!("{}, HEURISTIC: {heuristic}", branch.state),
        None => branch.state.to_string(),
    }
}

fn reply(last: &Last, now: Timestamp) -> String {
    let mut text = printable(last.code.as_deref().unwrap_or(""));
    if let Some(at) = &last.at {
        let _ = write!(text, ", {}", relative(at, now));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_well() {
        for (reason, text) in [
            (
                r#"{"code": "deadline", "branch": "bank", "detail": "it answered with status 500"}"#,
                "the deadline passed (bank answered with status 500)",
            ),
            (
                r#"{"code": "deadline", "branch": "bank", "detail": "no connection"}"#,
                "the deadline passed (bank: no connection)",
            ),
            (r#"{"code": "deadline", "branch": "bank"}"#, "the deadline passed (bank had not answered)"),
            (r#"{"code": "deadline"}"#, "the deadline passed"),
            (r#"{"code": "refused", "branch": "pay"}"#, "pay refused"),
            (r#"{"code": "client"}"#, "the client wished it"),
            (r#"{"code": "client", "branch": "pay", "detail": "ticket 4711"}"#, "pay was resolved (ticket 4711)"),
            (r#"{"code": "later", "branch": "pay"}"#, "pay later"),
        ] {
            assert_eq!(why(&serde_json::from_str(reason).unwrap()), text, "{reason}");
        }
    }

    #[test]
    fn a_transaction_reads_well() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let view: Transaction = serde_json::from_value(serde_json::json!({
            "gid": "order\u{1b}-17", "mode": "two_phase", "phase": "aborting", "outcome": "aborted",
            "reason": {"code": "refused", "branch": "pay", "detail": "no funds"}, "stuck": false, "heuristic": null,
            "created_at": "2026-11-21T11:59:58Z", "deadline_at": "2026-11-21T12:00:58Z", "decided_at": "2026-11-21T11:59:58.2Z",
            "finished_at": null, "seq": 4, "later": true,
            "branches": [{"id": "stock", "participant": "http://127.0.0.1:5001", "state": "asked", "op": "rollback",
                          "attempts": 3, "last": {"at": "2026-11-21T11:59:59Z", "code": "timeout"}, "next_at": "2026-11-21T12:00:02Z"},
                         {"id": "pay", "state": "waiting", "attempts": 0}],
        }))
        .unwrap();
        assert_eq!(headline(&view), "order\\u{1b}-17 aborted (aborting): pay refused (no funds)");
        let text = details(&view, now);
        assert!(text.starts_with("mode two_phase, created 2s ago, decided 1s ago\n"), "{text}");
        for cell in ["stock", "127.0.0.1:5001", "rollback", "3", "timeout, 1s ago", "in 2s"] {
            assert!(text.contains(cell), "{cell} is not in\n{text}");
        }
        let untried = text.lines().find(|line| line.starts_with("pay")).unwrap();
        assert!(untried.ends_with('–') && !text.contains("http:"), "{text}");
    }
}
