//! What people ask of a lane, beside their transactions: to retry, and to be told what happens.
use crate::bench::{Bench, asked, begin, gid, refused, split, told};
use unanim_coordinator::{Answer, Found, Input, Output, Refusal, Request, Saved, Ticket};
use unanim_engine::{Failure, Op, Phase, Reply};

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
