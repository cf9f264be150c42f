//! The gates, one at a time: exact outputs of a lane.
use crate::bench::{Bench, FENCE, asked, begin, begin_known, calls, gid, refused, spec, split, stored, told};
use std::sync::Arc;
use unanim_coordinator::{
    Admission, Alert, Answer, Found, Input, Lane, Loading, Output, Refusal, Request, Saved, Settings, Standing, Ticket,
    Wait,
};
use unanim_engine::{BranchId, Decision, Failure, Heuristic, Op, Outcome, Phase, Reply, Timestamp};

#[test]
fn every_output_waits_for_the_batch_that_justifies_it() {
    let mut b = Bench::new();
    assert_eq!(b.request(1, "t", begin(1, &["a", "b"], true, Some(Wait::Decided))), []);
    let first = b.cut().expect("a begin is forced");
    assert_eq!((first.number, first.records.len(), first.records[0].standing), (1, 1, Standing::Preparing));
    let prepares = calls(b.applied());
    assert_eq!(asked(&prepares), [(0, Op::Prepare, 1), (1, Op::Prepare, 1)]);
    assert_eq!((prepares[0].fence, prepares[0].deadline_ms), (FENCE, 60_000));

    assert_eq!(b.reply(&prepares[0], Reply::Ok), []);
    assert_eq!(b.cut(), None, "a vote is lazy");
    assert_eq!(b.reply(&prepares[1], Reply::Ok), []);
    let second = b.cut().expect("a decision is forced");
    assert_eq!((second.records[0].standing, second.records[0].first_seq), (Standing::Decided, 3));
    assert_eq!(second.records[0].body, None, "the body is written once");
    let (commits, outputs) = split(b.applied());
    let (ticket, view) = told(&outputs);
    assert_eq!(
        (ticket, view.phase, view.outcome, view.seq),
        (Ticket(1), Phase::Committing, Some(Outcome::Committed), 5)
    );
    assert_eq!(asked(&commits), [(0, Op::Commit, 2), (1, Op::Commit, 2)]);

    assert_eq!(b.reply(&commits[0], Reply::Ok), []);
    assert_eq!(b.reply(&commits[1], Reply::Ok), []);
    assert_eq!(b.cut(), None, "the end after a durable decision is lazy");
    assert_eq!(b.lane.next_due(), Some(b.now.after(50)));
    b.now = b.now.after(50);
    let third = b.cut().expect("lazy changes are written within 50 ms");
    assert_eq!(third.records[0].standing, Standing::Finished(Timestamp(1_000)));
    assert_eq!(b.lane.open(), 1);
    assert_eq!(b.applied(), []);
    assert_eq!((b.lane.open(), b.lane.next_due()), (0, None), "a finished one leaves memory with its record");
    let history = stored(&[&first, &second, &third], "t").history;
    assert_eq!(history.len(), 7);
}

#[test]
fn a_lazy_change_goes_along_with_a_batch_of_others_before_it_needs_its_own() {
    let mut b = Bench::new();
    let commit = b.decided("t", &["a"], None).remove(0);
    b.reply(&commit, Reply::Ok);
    let next = |b: &mut Bench, name: &str, after_ms: u64| {
        b.now = Timestamp(1_000).after(after_ms);
        b.request(2, name, begin(1, &["a"], true, None));
        let batch = b.cut().expect("a begin is forced");
        b.applied();
        batch.records.iter().map(|record| record.gid.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(next(&mut b, "u", 39), ["u"], "one of its own transaction may still come");
    assert_eq!(next(&mut b, "v", 40), ["v", "t"]);
    b.now = Timestamp(1_000).after(50);
    assert_eq!(b.cut(), None);
}

#[test]
fn a_reader_forces_what_was_lazy_and_waits_for_it() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a", "b"], true, None));
    b.cut().expect("begun");
    let prepares = split(b.applied()).0;
    b.reply(&prepares[0], Reply::Ok);
    assert_eq!(b.request(2, "t", Request::Read), []);
    let forced = b.cut().expect("saying forces");
    assert_eq!(forced.records[0].first_seq, 3);
    assert_eq!(told(&b.applied()).1.seq, 3);
    assert_eq!(told(&b.request(3, "t", Request::Read)).1.seq, 3, "nothing new: at once");
}

#[test]
fn whoever_waits_for_the_end_waits_for_the_decision_only() {
    let mut b = Bench::new();
    let commit = b.decided("t", &["a"], Some(Wait::Finished)).remove(0);
    let outputs = b.reply(&commit, Reply::Ok);
    let (ticket, view) = told(&outputs);
    assert_eq!((ticket, view.phase, view.seq), (Ticket(1), Phase::Committed, 4), "seq counts only what is durable");
}

#[test]
fn an_abort_is_forced_and_a_rollback_waits_for_the_prepare() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a", "b"], true, Some(Wait::Decided)));
    b.cut().expect("begun");
    let prepares = calls(b.applied());
    assert_eq!(b.reply(&prepares[0], Reply::Refused(Some("no stock".into()))), []);
    b.cut().expect("an abort is a decision");
    let (rollbacks, outputs) = split(b.applied());
    let (_, view) = told(&outputs);
    let reason = view.reason.as_ref().expect("a reason");
    assert_eq!((reason.branch.as_ref().map(BranchId::as_str), reason.detail.as_deref()), (Some("a"), Some("no stock")));
    assert_eq!(asked(&rollbacks), [(0, Op::Rollback, 2)], "the other's prepare is still under way");
    let late = calls(b.reply(&prepares[1], Reply::Ok));
    assert_eq!(asked(&late), [(1, Op::Rollback, 2)]);
}

#[test]
fn an_unknown_gid_is_looked_up_and_who_comes_later_makes_it_look_again() {
    let mut b = Bench::new();
    let name = BranchId::new("a").expect("a name");
    assert_eq!(b.request(1, "t", Request::Read), [Output::Find(gid("t"))]);
    assert_eq!(b.request(2, "t", Request::Inquire(Some(name))), []);
    let outputs = b.handle(Input::Found(gid("t"), Found::Absent));
    assert_eq!(
        outputs,
        [refused(1, Refusal::NotFound).remove(0), Output::Find(gid("t"))],
        "that read began before the second came"
    );
    let outputs = b.handle(Input::Found(gid("t"), Found::Absent));
    assert_eq!(outputs, [Output::Answer(Ticket(2), Answer::Outcome(Some(Outcome::Aborted)))]);
    assert_eq!(b.lane.open(), 0);
}

#[test]
fn same_gid_same_body_is_the_same_and_another_body_a_conflict() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], false, None));
    b.request(2, "t", begin(1, &["a"], false, None));
    b.request(3, "t", begin(2, &["a"], false, None));
    b.cut().expect("begun");
    let outputs = b.applied();
    assert_eq!(told(&outputs[..1]).1, told(&outputs[1..2]).1);
    assert_eq!(outputs[2..], refused(3, Refusal::GidConflict));
}

#[test]
fn a_hung_participant_holds_up_nobody_else_and_its_line_moves_on() {
    let settings = Settings { in_flight_max: 1, ..Settings::default() };
    let mut b = Bench::with(settings);
    b.request(1, "t", begin(1, &["a", "b"], true, None));
    b.cut().expect("begun");
    let first = split(b.applied()).0.remove(0);
    assert_eq!(first.id.branch, 0);
    let next = calls(b.reply(&first, Reply::unknown(Failure::Timeout)));
    assert_eq!(asked(&next), [(1, Op::Prepare, 1)]);
    assert_eq!(b.lane.figures().calls_in_flight, 1);
}

#[test]
fn a_call_that_is_no_longer_wanted_ends_unsent() {
    let settings = Settings { in_flight_max: 1, ..Settings::default() };
    let mut b = Bench::with(settings);
    b.request(1, "t", begin(1, &["a", "b"], true, None));
    b.cut().expect("begun");
    let first = split(b.applied()).0.remove(0);
    let rollback = Request::Decide { decision: Decision::Rollback, branches: vec![], timeout_ms: None, wait: None };
    b.request(2, "t", rollback);
    b.cut().expect("an abort is forced");
    told(&b.applied());
    let next = calls(b.reply(&first, Reply::Ok));
    assert_eq!(asked(&next), [(0, Op::Rollback, 2)], "the second prepare was never sent");
    let next = calls(b.reply(&next[0], Reply::Ok));
    assert_eq!(asked(&next), [(1, Op::Rollback, 2)]);
}

#[test]
fn a_full_lane_still_reads_answers_inquiries_and_ends_what_is_open() {
    let mut b = Bench::with(Settings { open_max: 1, ..Settings::default() });
    b.request(1, "t", begin(1, &["a"], false, None));
    b.cut().expect("begun");
    told(&b.applied());
    assert_eq!(b.request(2, "u", begin(1, &["a"], true, None)), refused(2, Refusal::TooManyOpen));
    told(&b.request(3, "t", Request::Read));
    assert_eq!(b.request(4, "v", Request::Inquire(None)), [Output::Find(gid("v"))]);
    assert_eq!(b.handle(Input::Found(gid("v"), Found::Absent)), refused(4, Refusal::NotFound));
    let commit = Request::Decide { decision: Decision::Commit, branches: vec![], timeout_ms: None, wait: None };
    assert_eq!(b.request(5, "t", commit), []);
    b.cut().expect("preparing is forced");
    assert_eq!(b.applied().len(), 2);
}

#[test]
fn without_room_nothing_begins_and_what_is_open_goes_on() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], true, None));
    b.handle(Input::Admit(Admission::DiskFull));
    assert_eq!(b.request(2, "u", begin(1, &["a"], true, None)), refused(2, Refusal::NotAdmitted(Admission::DiskFull)));
    b.cut().expect("begun");
    assert_eq!(b.applied().len(), 2);
    b.handle(Input::Admit(Admission::Open));
    assert_eq!(b.request(3, "u", begin(1, &["a"], true, None)), []);
}

#[test]
fn a_session_that_ends_answers_everybody() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], true, Some(Wait::Decided)));
    b.request(2, "u", Request::Read);
    b.request(3, "t", Request::Read);
    let outputs = b.handle(Input::Saved(Saved::Fenced));
    assert_eq!(outputs, [1, 2, 3].map(|t| refused(t, Refusal::Unavailable).remove(0)));
    assert_eq!(b.request(4, "t", Request::Read), refused(4, Refusal::Unavailable));
    assert!(b.lane.ended());
}

#[test]
fn what_was_durable_goes_on_after_a_crash_and_what_was_lazy_is_asked_again() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a", "b"], true, None));
    let first = b.cut().expect("begun");
    let prepares = split(b.applied()).0;
    b.reply(&prepares[0], Reply::Ok);

    let mut after = Bench { lane: Lane::new(Settings::default(), [3, 4], FENCE + 1), now: Timestamp(5_000) };
    let outputs = after.handle(Input::Loaded(vec![stored(&[&first], "t")], Loading::Over));
    assert_eq!(outputs, []);
    assert_eq!(after.lane.next_due(), Some(after.now), "recovery is a late timer");
    let prepares = calls(after.handle(Input::Due));
    assert_eq!(asked(&prepares), [(0, Op::Prepare, 1), (1, Op::Prepare, 1)]);
    assert_eq!(prepares[0].fence, FENCE + 1);
}

#[test]
fn while_loading_a_found_open_one_is_not_guessed_about() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], false, None));
    let first = b.cut().expect("begun");

    let mut after = Bench { lane: Lane::new(Settings::default(), [3, 4], FENCE + 1), now: Timestamp(5_000) };
    let record = || Found::Record(Box::new(stored(&[&first], "t")));
    assert_eq!(after.request(1, "t", Request::Read), [Output::Find(gid("t"))]);
    assert_eq!(after.handle(Input::Found(gid("t"), record())), refused(1, Refusal::Loading));
    assert_eq!(after.request(2, "t", Request::Read), [Output::Find(gid("t"))]);
    let outputs = after.handle(Input::Loaded(vec![stored(&[&first], "t")], Loading::Over));
    assert_eq!(told(&outputs).0, Ticket(2), "loaded before the look-up came back");
    assert_eq!(after.handle(Input::Found(gid("t"), record())), []);
}

#[test]
fn a_slice_that_was_read_before_the_end_does_not_bring_a_finished_one_back() {
    let mut b = Bench { lane: Lane::new(Settings::default(), [1, 2], FENCE), now: Timestamp(1_000) };
    b.request(1, "t", begin(1, &["a"], false, None));
    let first = b.cut().expect("begun");
    told(&b.applied());
    let rollback = Request::Decide { decision: Decision::Rollback, branches: vec![], timeout_ms: None, wait: None };
    b.request(2, "t", rollback);
    b.cut().expect("aborted");
    told(&b.applied());
    assert_eq!(b.lane.open(), 0);
    b.handle(Input::Loaded(vec![stored(&[&first], "t")], Loading::More));
    assert_eq!((b.lane.open(), b.lane.next_due()), (0, None));
}

#[test]
fn people_are_told_once_what_they_should_look_at() {
    let mut b = Bench::new();
    let commit = b.decided("t", &["a"], None).remove(0);
    b.reply(&commit, Reply::unknown(Failure::Timeout));
    b.now = b.now.after(60_000);
    let (mut commits, alerts) = split(b.handle(Input::Due));
    let name = BranchId::new("a").expect("a name");
    let stuck = Alert::Stuck { phase: Phase::Committing, first: vec![name], count: 1 };
    assert_eq!(alerts, [Output::Alert(gid("t"), stuck)]);
    assert_eq!(b.lane.figures().stuck, 1);
    let alerts = b.reply(&commits.remove(0), Reply::Heuristic(Heuristic::Rollback));
    let name = BranchId::new("a").expect("a name");
    assert_eq!(alerts, [Output::Alert(gid("t"), Alert::Heuristic(name, Heuristic::Rollback))]);
    assert_eq!((b.lane.figures().stuck, b.lane.figures().heuristics), (0, 1));
}

#[test]
fn whoever_is_in_a_hurry_is_told_where_it_stands_and_a_refusal_is_not_lost() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], true, Some(Wait::Finished)));
    b.cut().expect("begun");
    b.applied();
    let outputs = b.handle(Input::Hurry(Ticket(1), gid("t")));
    assert_eq!(told(&outputs).1.phase, Phase::Preparing);
    assert_eq!(b.handle(Input::Hurry(Ticket(1), gid("t"))), [], "answered already");
    let rollback = Request::Decide { decision: Decision::Rollback, branches: vec![], timeout_ms: None, wait: None };
    b.request(2, "t", rollback);
    b.request(3, "t", begin(2, &["a"], true, Some(Wait::Decided)));
    assert_eq!(b.handle(Input::Hurry(Ticket(3), gid("t"))), [], "its answer waits for the batch");
    b.cut().expect("aborted");
    let (_, answers) = split(b.applied());
    assert_eq!(answers[1..], refused(3, Refusal::GidConflict));
    // While it is being looked up.
    assert_eq!(b.request(4, "u", begin_known(1, Some(Wait::Finished))), [Output::Find(gid("u"))]);
    assert_eq!(b.handle(Input::Hurry(Ticket(4), gid("u"))), []);
    assert_eq!(b.handle(Input::Found(gid("u"), Found::Absent)), []);
    b.cut().expect("begun");
    let (_, answers) = split(b.applied());
    assert_eq!(told(&answers).1.phase, Phase::Preparing);
}

#[test]
fn what_joins_while_a_batch_is_written_stays_within_a_record() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &[], false, None));
    b.cut().expect("begun");
    let mut large = (*spec("a")).clone();
    large.payload = Some(vec![b'1'; 1 << 20].into());
    let join = |n: usize| {
        let id = BranchId::new(&format!("b{n}")).expect("a name");
        let mut spec = large.clone();
        spec.id = id;
        Request::Join(vec![Arc::new(spec)], None)
    };
    let refusals = (0..64).filter(|n| !b.request(10 + *n as u64, "t", join(*n)).is_empty());
    let refused: Vec<usize> = refusals.collect();
    assert_eq!(refused, [], "whatever is said waits for the batch");
    b.applied();
    let next = b.cut().expect("what joined");
    assert!((32 << 20..34 << 20).contains(&next.bytes()), "{} bytes", next.bytes());
}

#[test]
fn one_batch_is_in_flight_and_the_next_forms_behind_it() {
    let settings = Settings::default();
    let mut b = Bench::with(settings);
    b.request(1, "t", begin(1, &["a"], false, None));
    assert_eq!(b.cut().expect("the first").number, 1);
    b.request(2, "u", begin(1, &["a"], false, None));
    assert_eq!(b.cut(), None);
    assert_eq!(told(&b.applied()).0, Ticket(1));
    assert_eq!(b.cut().expect("the second").number, 2);
    assert_eq!(told(&b.applied()).0, Ticket(2));
}
