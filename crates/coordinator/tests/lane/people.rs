//! What people ask of a lane, beside their transactions: to retry, and to be told what happens.
use crate::bench::{Bench, asked, begin, begin_known, calls, gid, refused, split, stored, told};
use unanim_coordinator::{
    Alert, Answer, BranchView, Found, Input, Output, Record, Refusal, Request, Saved, Settings, Stored, Ticket,
};
use unanim_engine::{BranchId, BranchState, Failure, Heuristic, Op, Outcome, Phase, Reply, Resolution, Transaction};

#[test]
fn a_retry_asks_at_once_and_leaves_what_has_ended_as_it_is() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], true, None));
    b.cut().expect("begun");
    let prepare = split(b.applied()).0.remove(0);
    assert_eq!(b.reply(&prepare, Reply::unknown(Failure::Connect)), []);
    let (calls, answers) = split(b.request(2, "t", Request::Retry));
    assert_eq!(asked(&calls), [(0, Op::Prepare, 2)]);
    assert_eq!((told(&answers).1.branches[0].attempts, told(&answers).1.branches[0].next_at), (2, None));
    assert_eq!(told(&b.request(3, "t", Request::Retry)).0, Ticket(3), "its call is under way: nothing else happens");
    b.reply(&calls[0], Reply::Refused(None));
    b.cut().expect("aborted");
    let rollback = split(b.applied()).0.remove(0);
    b.reply(&rollback, Reply::Ok);
    assert_eq!(told(&b.request(4, "t", Request::Retry)).1.phase, Phase::Aborted);
    assert_eq!(b.request(5, "u", Request::Retry), [Output::Find(gid("u"))]);
    assert_eq!(b.handle(Input::Found(gid("u"), Found::Absent)), refused(5, Refusal::NotFound));
}

#[test]
fn whoever_follows_is_told_what_is_durable_and_nothing_sooner() {
    let mut b = Bench::new();
    let follow = |after, wait| Request::Follow { after, wait };
    let history = |ticket, seq, finished| Output::Answer(Ticket(ticket), Answer::History { seq, finished });
    b.request(1, "t", begin(1, &["a"], true, None));
    assert_eq!(b.request(2, "t", follow(0, true)), []);
    assert_eq!(b.request(3, "t", follow(0, false)), [], "even that it exists waits for its record");
    b.cut().expect("begun");
    let (calls, answers) = split(b.applied());
    assert_eq!(answers[1..], [history(2, 2, false), history(3, 2, false)]);
    assert_eq!(b.request(4, "t", follow(1, true)), [history(4, 2, false)]);
    for ticket in 5..8 {
        assert_eq!(b.request(ticket, "t", follow(2, true)), []);
    }
    assert_eq!(b.request(8, "t", follow(1_000, true)), [], "somebody who knows more than there is");
    b.handle(Input::Gone(Ticket(6), gid("t")));
    assert_eq!(b.handle(Input::Hurry(Ticket(7), gid("t"))), [history(7, 2, false)]);
    b.reply(&calls[0], Reply::Ok);
    b.cut().expect("decided");
    let (calls, answers) = split(b.applied());
    assert_eq!(answers, [history(5, 4, false)]);
    b.reply(&calls[0], Reply::Ok);
    assert_eq!(b.request(9, "t", follow(4, true)), [], "the end is lazy, and following forces nothing");
    assert_eq!(b.cut(), None);
    b.now = b.now.after(50);
    b.cut().expect("lazy changes are written within 50 ms");
    assert_eq!(b.applied(), [history(8, 6, true), history(9, 6, true)]);
    assert_eq!(b.lane.open(), 0);
}

#[test]
fn a_session_that_ends_answers_those_who_follow() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], false, None));
    b.cut().expect("begun");
    b.applied();
    assert_eq!(b.request(2, "t", Request::Follow { after: 1, wait: true }), []);
    assert_eq!(b.handle(Input::Saved(Saved::Fenced)), refused(2, Refusal::Unavailable));
}

fn says(outcome: Outcome) -> Request {
    Request::Resolve(
        BranchId::new("a").expect("a name"),
        Resolution::new(outcome, Some("seen in its books"), Some("ops")).expect("short enough"),
    )
}

#[test]
fn a_persons_word_is_durable_before_it_is_answered_and_ends_the_calls() {
    // Of the two calls one is under way, and one waits in line.
    let mut b = Bench::with(Settings { in_flight_max: 1, ..Settings::default() });
    b.request(1, "t", begin(1, &["b", "a"], true, None));
    b.cut().expect("begun");
    let prepare = split(b.applied()).0.remove(0);
    let undecided = b.request(2, "t", says(Outcome::Committed));
    assert_eq!(undecided, refused(2, Refusal::NotDecided(Phase::Preparing)));
    let prepare = calls(b.reply(&prepare, Reply::Ok)).remove(0);
    b.reply(&prepare, Reply::Ok);
    b.cut().expect("decided");
    let commit = split(b.applied()).0.remove(0);
    assert_eq!(asked(std::slice::from_ref(&commit)), [(0, Op::Commit, 2)], "the other one waits in line");

    let name = BranchId::new("a").expect("a name");
    let alert = Output::Alert(gid("t"), Alert::Heuristic(name.clone(), Heuristic::Rollback));
    assert_eq!(b.request(3, "t", says(Outcome::Aborted)), [alert]);
    b.cut().expect("a person's word is forced");
    let outputs = b.applied();
    let branch = &told(&outputs).1.branches[1];
    assert_eq!((branch.state, branch.heuristic), (BranchState::Resolved, Some(Heuristic::Rollback)));
    assert_eq!(branch.resolution.as_ref().and_then(|said| said.by()), Some("ops"));
    assert_eq!(told(&b.request(4, "t", says(Outcome::Aborted))).0, Ticket(4), "again is the same");
    let contrary = Refusal::BranchEnded(name, Outcome::Aborted);
    assert_eq!(b.request(5, "t", says(Outcome::Committed)), refused(5, contrary));
    let unknown = BranchId::new("x").expect("a name");
    let said = Resolution::new(Outcome::Committed, None, None).expect("short enough");
    let outputs = b.request(6, "t", Request::Resolve(unknown.clone(), said));
    assert_eq!(outputs, refused(6, Refusal::NoSuchBranch(unknown)));

    assert_eq!(b.reply(&commit, Reply::Ok), [], "what waited in line is not called any more");
    assert!(b.lane.figures().calls_in_flight == 0 && b.lane.figures().calls_queued == 0);
    b.now = b.now.after(50);
    b.cut().expect("its end");
    b.applied();
    assert_eq!((b.lane.open(), b.lane.figures().heuristics), (0, 1));
}

#[test]
fn an_answer_that_denies_what_a_person_has_said_is_told_to_people() {
    for (said, answer, denies) in [
        (Outcome::Committed, Heuristic::Rollback, true),
        (Outcome::Committed, Heuristic::Commit, false),
        (Outcome::Aborted, Heuristic::Mixed, true),
        (Outcome::Aborted, Heuristic::Rollback, false),
    ] {
        let mut b = Bench::new();
        let commits = b.decided("t", &["a", "b"], None);
        b.request(2, "t", says(said));
        b.cut().expect("a person's word is forced");
        let before = told(&b.applied()).1.branches.clone();
        let alert = Output::Alert(gid("t"), Alert::Heuristic(BranchId::new("a").expect("a name"), answer));
        let alerts = b.reply(&commits[0], Reply::Heuristic(answer));
        assert_eq!(alerts, if denies { vec![alert] } else { vec![] }, "{said:?} {answer:?}");
        assert_eq!(b.reply(&commits[1], Reply::unknown(Failure::Timeout)), []);
        let after = b.request(3, "t", Request::Read);
        let ended = |branches: &[BranchView]| (branches[0].state, branches[0].heuristic);
        assert_eq!(ended(&told(&after).1.branches), ended(&before), "a person's word stays");
    }
}

#[test]
fn a_call_under_way_may_outlive_what_a_person_has_ended() {
    let mut b = Bench::new();
    let commit = b.decided("t", &["a"], None).remove(0);
    assert_eq!(b.request(2, "t", says(Outcome::Committed)), []);
    b.cut().expect("a person's word is forced");
    assert_eq!(told(&b.applied()).1.phase, Phase::Committed);
    assert_eq!((b.lane.open(), b.lane.idle()), (0, false));
    assert_eq!(b.reply(&commit, Reply::Heuristic(Heuristic::Rollback)), [], "too late to change anything");
    assert!(b.lane.idle());
}

#[test]
fn of_what_is_forgotten_only_the_outcome_is_told_and_it_never_begins_again() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], true, None));
    let first = b.cut().expect("begun");
    let prepare = split(b.applied()).0.remove(0);
    b.reply(&prepare, Reply::Ok);
    let second = b.cut().expect("decided");
    b.applied();
    b.request(2, "t", says(Outcome::Aborted));
    let third = b.cut().expect("a person's word is forced");
    b.applied();
    assert_eq!([&first, &second, &third].map(|batch| batch.records[0].resolved), [false, false, true]);
    let whole = stored(&[&first, &second, &third], "t");
    let txn = Transaction::load(&whole.body, whole.history, b.now);
    let left = Record::left_of(&txn, b.now).expect("a branch was resolved");
    let bytes = left.body.expect("a body");
    let left = Stored::decode(&bytes, [&left.change[..]]).expect("our own");
    let mut ask = |ticket, request| {
        assert_eq!(b.request(ticket, "t", request), [Output::Find(gid("t"))]);
        b.handle(Input::Found(gid("t"), Found::Record(Box::new(left.clone()))))
    };
    assert_eq!(ask(3, Request::Read), refused(3, Refusal::NotFound));
    assert_eq!(ask(4, says(Outcome::Committed)), refused(4, Refusal::NotFound));
    assert_eq!(ask(5, begin_known(1, None)), refused(5, Refusal::GidConflict), "also with the same body");
    let branch = BranchId::new("a").expect("a name");
    let committed = |ticket| [Output::Answer(Ticket(ticket), Answer::Outcome(Some(Outcome::Committed)))];
    assert_eq!(ask(6, Request::Inquire(Some(branch))), committed(6));
    assert_eq!(ask(7, Request::Inquire(None)), committed(7));
    assert_eq!(b.lane.open(), 0);
}
