//! What a store hands back is input like any other: a history that cannot have happened is refused, never folded.
use crate::driven::{BEGIN, body, spec};
use proptest::prelude::*;
use unanim_engine::{Heuristic, HistoryEvent, Outcome, Phase, Reason, ReasonCode, Recorded, Transaction, Vote};

fn history(what: impl IntoIterator<Item = Recorded>) -> Vec<HistoryEvent> {
    what.into_iter().map(|what| HistoryEvent { at: BEGIN, what }).collect()
}

fn preparing() -> Recorded {
    Recorded::Phase(Phase::Preparing, None)
}

fn aborted(branch: Option<u32>) -> Recorded {
    Recorded::Decided(Outcome::Aborted, Some(Reason { code: ReasonCode::Refused, branch, detail: None }))
}

#[test]
fn the_first_event_that_cannot_be_is_named() {
    let two = body([spec("a"), spec("b")]);
    let cases = [
        (vec![Recorded::Finished], 2),
        (vec![Recorded::Voted(0, Vote::Yes)], 2),
        (vec![Recorded::Decided(Outcome::Committed, None)], 2),
        (vec![Recorded::Phase(Phase::Committed, None)], 2),
        (vec![preparing(), preparing()], 3),
        (vec![preparing(), Recorded::Voted(2, Vote::Yes)], 3),
        (vec![preparing(), Recorded::Voted(0, Vote::Yes), Recorded::Voted(0, Vote::Refused)], 4),
        (vec![preparing(), Recorded::Acknowledged(0)], 3),
        (vec![preparing(), Recorded::Acknowledged(u32::MAX)], 3),
        (vec![preparing(), Recorded::BranchAdded(spec("c").into())], 3),
        (vec![aborted(Some(7))], 2),
        (vec![aborted(None), Recorded::Acknowledged(0)], 3),
        (vec![aborted(None), Recorded::Finished, Recorded::Stuck], 4),
        (vec![aborted(None), Recorded::Decided(Outcome::Committed, None)], 3),
        (vec![aborted(None), Recorded::Finished, Recorded::Heuristic(0, Heuristic::Commit)], 4),
    ];
    for (events, wrong) in cases {
        assert_eq!(Transaction::check(&two, &history(events.clone())), Err(wrong), "{events:?}");
    }
}

fn any_event() -> impl Strategy<Value = Recorded> {
    let phases =
        vec![Phase::Active, Phase::Preparing, Phase::Committing, Phase::Aborting, Phase::Committed, Phase::Aborted];
    let branch = || 0..3u32;
    prop_oneof![
        2 => Just(preparing()),
        1 => prop::sample::select(phases).prop_map(|phase| Recorded::Phase(phase, Some(BEGIN))),
        4 => (branch(), prop::sample::select(vec![Vote::Yes, Vote::ReadOnly, Vote::Refused]))
            .prop_map(|(branch, vote)| Recorded::Voted(branch, vote)),
        2 => Just(Recorded::Decided(Outcome::Committed, None)),
        1 => prop::option::of(branch()).prop_map(aborted),
        4 => branch().prop_map(Recorded::Acknowledged),
        1 => Just(Recorded::Stuck),
        1 => branch().prop_map(|branch| Recorded::Heuristic(branch, Heuristic::Mixed)),
        2 => Just(Recorded::Finished),
        1 => Just(Recorded::BranchAdded(spec("late").into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever passes the check is folded without a panic.
    #[test]
    fn what_is_checked_can_be_loaded(events in prop::collection::vec(any_event(), 0..10)) {
        let (body, mut history) = (body([spec("a"), spec("b")]), history(events));
        if let Err(wrong) = Transaction::check(&body, &history) {
            history.truncate(wrong as usize - 2);
        }
        let txn = Transaction::load(&body, history.clone(), BEGIN);
        prop_assert_eq!(txn.seq, 1 + history.len() as u64);
    }
}
