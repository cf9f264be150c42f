//! What people ask of a lane, beside their transactions: to retry.
use crate::bench::{Bench, asked, begin, gid, refused, split, told};
use unanim_coordinator::{Found, Input, Output, Refusal, Request, Ticket};
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
