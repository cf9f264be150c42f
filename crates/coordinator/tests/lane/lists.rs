//! Lists of what is open, while things begin and end.
use crate::bench::{Bench, begin, gid, split};
use std::collections::BTreeMap;
use unanim_coordinator::{Filter, Input, OpenPlace, OutcomeIs, Request, View};
use unanim_engine::{Decision, Failure, Heuristic, Outcome, Participant, Phase, Reply, Timestamp};

fn begun(b: &mut Bench, name: &str) {
    b.request(1, name, begin(1, &["a", "b"], false, None));
    b.cut().expect("begun");
    b.applied();
}

fn rolled_back(b: &mut Bench, name: &str) {
    let rollback = Request::Decide { decision: Decision::Rollback, branches: vec![], timeout_ms: None, wait: None };
    b.request(1, name, rollback);
    b.cut().expect("aborted");
    b.applied();
}

fn names(views: &[View]) -> Vec<&str> {
    views.iter().map(|view| view.gid.as_str()).collect()
}

fn listed(b: &Bench, filter: &Filter) -> Vec<String> {
    let page = b.lane.list(filter, None, 100);
    assert_eq!(page.next, None);
    names(&page.views).into_iter().map(Into::into).collect()
}

#[test]
fn one_that_stays_open_is_listed_once_whatever_begins_and_ends_meanwhile() {
    for most in [1, 2, 3, 10] {
        let mut b = Bench::new();
        for n in 0..20 {
            b.now = Timestamp(1_000 + n / 3);
            begun(&mut b, &format!("stays-{}", (n * 7) % 20));
            begun(&mut b, &format!("ends-{n}"));
        }
        let (mut seen, mut after, mut pages) = (BTreeMap::<String, u32>::new(), None::<OpenPlace>, 0);
        loop {
            let page = b.lane.list(&Filter::default(), after.as_ref(), most);
            assert!(page.views.len() <= most);
            page.views.iter().for_each(|view| *seen.entry(view.gid.as_str().into()).or_default() += 1);
            let Some(next) = page.next else { break };
            after = Some(next);
            if pages < 20 {
                // Also the one that the cursor names.
                rolled_back(&mut b, &format!("ends-{pages}"));
                b.now = Timestamp(1_000 + pages);
                begun(&mut b, &format!("late-{pages}"));
            }
            pages += 1;
        }
        assert!((0..20).all(|n| seen.get(&format!("stays-{n}")) == Some(&1)), "{most} to a page: {seen:?}");
        assert!(seen.values().all(|times| *times == 1));
    }
}

#[test]
fn every_filter_admits_what_it_says() {
    let mut b = Bench::new();
    begun(&mut b, "active");
    b.now = Timestamp(2_000);
    b.request(1, "preparing", begin(1, &["a"], true, None));
    b.cut().expect("begun");
    b.applied();
    b.now = Timestamp(3_000);
    let commit = b.decided("committing", &["a"], None).remove(0);
    b.reply(&commit, Reply::unknown(Failure::Timeout));

    let any = Filter::default();
    assert_eq!(listed(&b, &any), ["active", "preparing", "committing"]);
    assert_eq!(listed(&b, &Filter { phase: Some(Phase::Active), ..any.clone() }), ["active"]);
    let undecided = Filter { outcome: Some(OutcomeIs::Undecided), ..any.clone() };
    assert_eq!(listed(&b, &undecided), ["active", "preparing"]);
    let committed = Filter { outcome: Some(OutcomeIs::Decided(Outcome::Committed)), ..any.clone() };
    assert_eq!(listed(&b, &committed), ["committing"]);
    let since = |at| Filter { since_at: Some(Timestamp(at)), ..any.clone() };
    assert_eq!(listed(&b, &since(2_000)), ["preparing", "committing"]);
    assert_eq!(listed(&b, &since(2_001)), ["committing"]);
    assert_eq!(listed(&b, &Filter { until_at: Some(Timestamp(2_000)), ..any.clone() }), ["active", "preparing"]);
    let of = |who| Filter { participant: Some(Participant::new(who).expect("a name")), ..any.clone() };
    assert_eq!(listed(&b, &of("http://p:1")).len(), 3);
    assert_eq!(listed(&b, &of("http://q:1")).len(), 0);
    let stuck = |stuck| Filter { stuck: Some(stuck), ..any.clone() };
    assert_eq!(listed(&b, &stuck(true)).len(), 0);
    b.now = Timestamp(61_000);
    b.handle(Input::Due);
    b.now = Timestamp(63_000);
    b.handle(Input::Due);
    assert_eq!(listed(&b, &stuck(true)), ["committing"], "the others' deadline came first");
}

#[test]
fn a_list_tells_of_no_decision_that_is_not_durable() {
    let mut b = Bench::new();
    b.request(1, "t", begin(1, &["a"], true, None));
    assert!(listed(&b, &Filter::default()).is_empty(), "nobody knows of it yet");
    b.cut().expect("begun");
    let prepare = split(b.applied()).0.remove(0);
    b.reply(&prepare, Reply::Ok);
    let shown = |b: &Bench| {
        let view = b.lane.list(&Filter::default(), None, 10).views.remove(0);
        (view.phase, view.outcome, view.decided_at.is_some(), view.seq)
    };
    assert_eq!(shown(&b), (Phase::Preparing, None, false, 2));
    b.cut().expect("decided");
    assert_eq!(shown(&b), (Phase::Preparing, None, false, 2));
    b.applied();
    assert_eq!(shown(&b), (Phase::Committing, Some(Outcome::Committed), true, 4));
}

#[test]
fn a_durable_decision_stays_listed_whatever_else_is_being_saved() {
    let mut b = Bench::new();
    let commits = b.decided("t", &["a", "b"], None);
    let committing = Filter { phase: Some(Phase::Committing), ..Filter::default() };
    let decided = Filter { outcome: Some(OutcomeIs::Decided(Outcome::Committed)), ..Filter::default() };
    let is_listed = |b: &Bench| listed(b, &committing) == ["t"] && listed(b, &decided) == ["t"];
    assert!(is_listed(&b));
    b.reply(&commits[0], Reply::Ok);
    assert!(is_listed(&b));
    b.request(2, "t", Request::Read);
    assert!(is_listed(&b), "a reader has forced the acknowledgement");
    b.cut().expect("an acknowledgement");
    assert!(is_listed(&b), "in flight");
    // How the other one ended is to be saved first, and the end with it.
    b.reply(&commits[1], Reply::Heuristic(Heuristic::Rollback));
    assert!(is_listed(&b));
    b.applied();
    assert!(is_listed(&b));
    b.cut().expect("the end");
    assert!(is_listed(&b));
    b.applied();
    assert!(listed(&b, &Filter::default()).is_empty());
}

#[test]
fn a_page_looks_at_so_many_and_no_more() {
    let mut b = Bench::new();
    for n in 0..3_000 {
        b.request(n, &format!("t{n}"), begin(1, &["a", "b"], false, None));
    }
    while b.cut().is_some() {
        b.applied();
    }
    let none = Filter { stuck: Some(true), ..Filter::default() };
    let (mut after, mut pages) = (None, 0);
    loop {
        let page = b.lane.list(&none, after.as_ref(), 100);
        assert!(page.views.is_empty());
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, 3_000 * 3 / 2_000 + 1);
    assert!(b.lane.transaction(&gid("t0")).is_some());
}
