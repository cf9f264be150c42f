//! The loop itself: what goes in, what is saved, how it ends.
use crate::scripted::{Participants, Scripted, begin, gid, run, view};
use std::time::Duration;
use unanim_coordinator::{Answer, Refusal, Request, Wait};
use unanim_engine::{Op, Outcome};
use unanim_node::ports::{Room, SaveError};
use unanim_node::{Ended, Readiness};

#[test]
fn a_transaction_goes_all_the_way() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let ended = run(&store, &participants, |handle| async move {
        let view = view(handle.ask(gid("t"), begin(true, Some(Wait::Finished))).await);
        assert_eq!(view.outcome, Some(Outcome::Committed));
        handle.idle().await;
        assert_eq!(handle.readiness(), Readiness::Ready);
    });
    assert_eq!(ended, None);
    let called: Vec<Op> = participants.called.borrow().iter().map(|id| id.op).collect();
    assert_eq!(called, [Op::Prepare, Op::Commit]);
}

#[test]
fn what_is_ready_together_is_saved_together() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    run(&store, &participants, |handle| async move {
        let names: Vec<String> = (0..50).map(|i| format!("t{i}")).collect();
        let all = names.iter().map(|name| handle.ask(gid(name), begin(false, None)));
        futures_util::future::join_all(all).await;
    });
    assert_eq!(store.applied.borrow().iter().map(|b| b.records.len()).collect::<Vec<_>>(), [50]);
}

#[test]
fn the_identical_batch_is_sent_again_until_it_is_known_to_be_applied() {
    let saves = [SaveError::Unknown("cut off".into()), SaveError::Full, SaveError::Unknown("cut off".into())];
    let (store, participants) = (Scripted::new(saves), Participants::default());
    run(&store, &participants, |handle| async move {
        assert_eq!(view(handle.ask(gid("t"), begin(false, None)).await).seq, 1);
    });
    let tried = store.tried.borrow();
    assert_eq!(tried.len(), 4);
    assert!(tried.iter().all(|batch| **batch == *tried[0]));
}

#[test]
fn a_full_store_refuses_what_is_new_and_serves_again_by_itself() {
    let (store, participants) = (Scripted::new([SaveError::Full]), Participants::default());
    store.room.set(Room::Full);
    let room = store.clone();
    run(&store, &participants, |handle| async move {
        while handle.readiness() != Readiness::DiskFull {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answer = handle.ask(gid("t"), begin(false, None)).await;
        assert!(matches!(answer, Answer::Refused(Refusal::NotAdmitted(_))), "{answer:?}");
        room.room.set(Room::Enough);
        while handle.readiness() != Readiness::Ready {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(view(handle.ask(gid("t"), begin(false, None)).await).seq, 1);
    });
}

#[test]
fn a_store_that_became_full_refuses_what_comes_after_the_next_save() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let room = store.clone();
    run(&store, &participants, |handle| async move {
        assert_eq!(view(handle.ask(gid("t"), begin(false, None)).await).seq, 1);
        room.room.set(Room::Full);
        assert_eq!(view(handle.ask(gid("u"), begin(false, None)).await).seq, 1);
        let answer = handle.ask(gid("v"), begin(false, None)).await;
        assert!(matches!(answer, Answer::Refused(Refusal::NotAdmitted(_))), "{answer:?}");
    });
}

#[test]
fn a_broken_store_ends_the_session_and_answers_everybody() {
    let (store, participants) = (Scripted::new([SaveError::Broken("fsync".into())]), Participants::default());
    let ended = run(&store, &participants, |handle| async move {
        let answer = handle.ask(gid("t"), begin(true, Some(Wait::Decided))).await;
        assert_eq!(answer, Answer::Refused(Refusal::Unavailable));
        while handle.readiness() != Readiness::Ended {
            tokio::task::yield_now().await;
        }
        assert_eq!(handle.ask(gid("u"), Request::Read).await, Answer::Refused(Refusal::Unavailable));
        tokio::task::yield_now().await;
    });
    assert_eq!(ended, Some(Ended::Broken("fsync".into())));
    assert_eq!(*participants.called.borrow(), [], "nothing leaves that is not durable");
}

#[test]
fn what_an_earlier_session_left_open_is_taken_up() {
    let (left, silent) = (Scripted::new([]), Participants::default());
    silent.silent.set(true);
    run(&left, &silent, |handle| async move {
        view(handle.ask(gid("t"), begin(true, None)).await);
    });
    let store = Scripted::over(left.applied.borrow().clone(), []);
    run(&store, &Participants::default(), |handle| async move {
        loop {
            match handle.ask(gid("t"), Request::Read).await {
                Answer::Transaction(view) if view.finished_at.is_some() => {
                    break assert_eq!(view.outcome, Some(Outcome::Committed));
                }
                Answer::Transaction(_) | Answer::Refused(Refusal::Loading) => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(handle.figures().lane.loaded, 1);
    });
}

#[test]
fn whoever_goes_away_changes_nothing_else() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    run(&store, &participants, |handle| async move {
        drop(handle.ask(gid("t"), begin(true, Some(Wait::Finished))));
        let view = view(handle.ask(gid("t"), begin(true, Some(Wait::Finished))).await);
        assert_eq!(view.outcome, Some(Outcome::Committed));
    });
}

#[test]
fn whoever_is_in_a_hurry_is_answered_all_the_same() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    participants.silent.set(true);
    run(&store, &participants, |handle| async move {
        let asking = handle.ask(gid("t"), begin(true, Some(Wait::Finished)));
        asking.hurry();
        assert_eq!(view(asking.await).outcome, None);
        let mut other = begin(true, Some(Wait::Finished));
        if let Request::Begin(begin) = &mut other {
            begin.digest = [2; 32];
        }
        let asking = handle.ask(gid("t"), other);
        asking.hurry();
        assert_eq!(asking.await, Answer::Refused(Refusal::GidConflict), "a refusal is not lost");
    });
}

#[test]
fn a_store_that_breaks_while_nothing_is_saved_ends_the_session() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let broken = store.clone();
    let ended = run(&store, &participants, |handle| async move {
        view(handle.ask(gid("t"), begin(false, None)).await);
        broken.broken.set(true);
        while handle.readiness() != Readiness::Ended {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::yield_now().await;
    });
    assert_eq!(ended, Some(Ended::Broken("a checkpoint failed".into())));
}

#[test]
fn a_draining_node_ends_what_is_open_and_begins_nothing() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    run(&store, &participants, |handle| async move {
        let open = handle.ask(gid("t"), begin(true, Some(Wait::Finished)));
        tokio::task::yield_now().await;
        handle.drain();
        let refused = handle.ask(gid("u"), begin(true, None)).await;
        assert!(matches!(refused, Answer::Refused(Refusal::NotAdmitted(_))), "{refused:?}");
        assert_eq!(view(open.await).outcome, Some(Outcome::Committed));
        handle.idle().await;
        assert_eq!(handle.readiness(), Readiness::Draining);
    });
}
