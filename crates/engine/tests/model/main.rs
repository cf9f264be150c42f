//! Every order of events, exhaustively: the real engine over an abstract store, for one to three branches, under loss,
//! repetition and reordering of messages and a crash back to the last durable state.
#![allow(clippy::disallowed_macros, reason = "the number of states that were visited belongs to the result")]

mod key;
mod network;
mod participant;
mod world;

use participant::Participant;
use stateright::{Checker, HasDiscoveries, Model, Property};
use unanim_engine::{Outcome, Phase};
use world::{Action, Bug, Faults, World};

#[derive(Clone, Copy, Debug)]
struct Setting {
    branches: u32,
    one_phase: bool,
    faults: Faults,
    bug: Option<Bug>,
}

const ATOMIC: &str = "no participant commits while another one does not";
const UNCHANGED: &str = "a decision never changes";
const NOTHING_HELD: &str = "what has ended leaves nothing held";
const JUSTIFIED: &str = "the store justifies every call";
const ENDS: &str = "at rest everything has ended";

impl Model for Setting {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.branches, self.one_phase, self.bug, self.faults)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        world.after(action)
    }

    fn properties(&self) -> Vec<Property<Setting>> {
        vec![
            Property::always(ATOMIC, |_, world: &World| atomic(world)),
            Property::always(UNCHANGED, |_, world: &World| world.told.is_none() || world.told == world.txn.outcome()),
            Property::always(NOTHING_HELD, |_, world: &World| {
                !world.txn.finished() || world.unresolved().all(|p| p != Participant::Prepared)
            }),
            Property::always(JUSTIFIED, |_, world: &World| !world.unjustified),
            Property::always(ENDS, |_, world: &World| world.txn.finished() || !at_rest(world)),
            Property::sometimes("it commits", |_, world: &World| ended(world, Outcome::Committed)),
            Property::sometimes("it aborts after a yes", |_, world: &World| {
                let refused = world.participants.contains(&Participant::RolledBack);
                ended(world, Outcome::Aborted) && refused
            }),
            Property::sometimes("it commits after a crash", |_, world: &World| {
                world.left.crashes == 0 && ended(world, Outcome::Committed)
            }),
        ]
    }
}

/// What has been done and what was said about it go together.
fn atomic(world: &World) -> bool {
    // A participant that a person has ended may have done anything; all the others do what was decided.
    let any = |state| world.unresolved().any(|participant| participant == state);
    let said = |outcome| [world.told, world.durable.outcome()].contains(&Some(outcome));
    let committed = any(Participant::Committed) || said(Outcome::Committed);
    let rolled_back = any(Participant::RolledBack) || said(Outcome::Aborted);
    let whole = world.txn.phase != Phase::Committed
        || world.unresolved().all(|p| matches!(p, Participant::Committed | Participant::Bystander));
    !(committed && rolled_back) && whole && !world.contradicted
}

fn ended(world: &World, outcome: Outcome) -> bool {
    world.durable.finished() && world.durable.outcome() == Some(outcome)
}

/// Nothing can happen any more that changes anything.
fn at_rest(world: &World) -> bool {
    let mut actions = Vec::new();
    world.actions(&mut actions);
    actions.into_iter().all(|action| world.after(action).is_none())
}

fn faults(crashes: u8, timeouts: u8) -> Faults {
    Faults { crashes, timeouts, resolutions: 0 }
}

/// The same, and people who say how that many branches ended.
fn resolved(resolutions: u8, faults: Faults) -> Faults {
    Faults { resolutions, ..faults }
}

/// Visits every state, and holds each against all properties.
fn holds(branches: u32, one_phase: bool, faults: Faults) {
    let setting = Setting { branches, one_phase, faults, bug: None };
    let checker = setting.checker().threads(2).spawn_dfs().join();
    println!("{setting:?}: {} states, {} of them distinct", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn one_branch() {
    holds(1, false, faults(2, 3));
}

#[test]
fn one_branch_in_one_phase() {
    holds(1, true, faults(2, 3));
}

#[test]
fn two_branches() {
    holds(2, false, faults(2, 2));
}

#[test]
fn a_person_resolves_one_of_two() {
    holds(2, false, resolved(1, faults(1, 1)));
}

#[test]
fn a_person_resolves_both_or_the_only_one() {
    holds(1, false, resolved(1, faults(2, 2)));
    holds(2, false, resolved(2, faults(1, 0)));
}

#[test]
fn a_person_decides_in_one_phase() {
    holds(1, true, resolved(1, faults(2, 3)));
}

#[test]
fn three_branches() {
    holds(3, false, faults(1, 1));
}

/// A planted bug is seen, and by the properties that are there for it.
#[track_caller]
fn seen<const N: usize>(bug: Bug, branches: u32, one_phase: bool, by: [&'static str; N]) {
    let setting = Setting { branches, one_phase, faults: faults(1, 1), bug: Some(bug) };
    let checker = setting.checker().threads(2).finish_when(HasDiscoveries::AllOf(by.into())).spawn_bfs().join();
    println!("{bug:?}: {} states, {} of them distinct", checker.state_count(), checker.unique_state_count());
    by.into_iter().for_each(|property| drop(checker.assert_any_discovery(property)));
}

#[test]
fn calls_that_do_not_wait_for_their_gate_are_seen() {
    seen(Bug::NotGated, 2, false, [ATOMIC, UNCHANGED, NOTHING_HELD, JUSTIFIED]);
}

#[test]
fn an_abort_that_is_not_forced_is_seen() {
    seen(Bug::AbortLazy, 2, false, [ATOMIC, UNCHANGED, JUSTIFIED]);
}

#[test]
fn votes_that_nobody_asked_for_durably_are_seen() {
    seen(Bug::PreparingLazy, 1, false, [NOTHING_HELD, JUSTIFIED]);
}

#[test]
fn an_answer_before_the_decision_is_durable_is_seen() {
    seen(Bug::ToldEarly, 2, false, [ATOMIC, UNCHANGED]);
}

#[test]
fn votes_that_were_invented_are_seen() {
    seen(Bug::VotesInvented, 2, false, [ATOMIC]);
}

#[test]
fn silence_taken_for_an_answer_is_seen() {
    seen(Bug::UnknownRefused, 1, true, [ATOMIC]);
    seen(Bug::UnknownOk, 1, false, [NOTHING_HELD, ENDS]);
    seen(Bug::UnknownOk, 2, false, [ATOMIC]);
}

#[test]
fn a_resolution_that_is_not_forced_is_seen() {
    let setting =
        Setting { branches: 1, one_phase: true, faults: resolved(1, faults(1, 1)), bug: Some(Bug::ResolvedLazy) };
    let checker =
        setting.checker().threads(2).finish_when(HasDiscoveries::AllOf([UNCHANGED].into())).spawn_bfs().join();
    drop(checker.assert_any_discovery(UNCHANGED));
}

#[test]
fn a_participant_without_tombstones_is_seen() {
    seen(Bug::NoTombstones, 1, false, [NOTHING_HELD]);
}
