//! A person resolves, and forgets.
use crate::scripted::{Participants, Scripted, begin, gid, run, view};
use std::time::Duration;
use unanim_coordinator::{Answer, Refusal, Request, Wait};
use unanim_engine::{BranchId, BranchState, Op, Outcome, Phase, Resolution};
use unanim_node::{Handle, NotForgotten};

/// Forgets it once its retention is over.
async fn forget(handle: &Handle, name: &str) {
    loop {
        match handle.forget(&gid(name)).await {
            Err(NotForgotten::Retained(until)) => {
                assert!(until > handle.now());
                tokio::time::sleep(Duration::from_millis(until.0.saturating_sub(handle.now().0))).await;
            }
            other => break assert_eq!(other, Ok(())),
        }
    }
}

#[test]
fn what_has_ended_is_forgotten_when_its_retention_is_over() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    run(&store, &participants, |handle| async move {
        assert_eq!(handle.forget(&gid("t")).await, Err(NotForgotten::NotFound));
        view(handle.ask(gid("t"), begin(false, None)).await);
        assert_eq!(handle.forget(&gid("t")).await, Err(NotForgotten::Open(Phase::Active)));
        let commit = Request::Decide {
            decision: unanim_engine::Decision::Commit,
            branches: vec![],
            timeout_ms: None,
            wait: Some(Wait::Finished),
        };
        view(handle.ask(gid("t"), commit).await);
        handle.idle().await;
        assert!(matches!(handle.forget(&gid("t")).await, Err(NotForgotten::Retained(_))));
        forget(&handle, "t").await;
        assert_eq!(handle.forget(&gid("t")).await, Err(NotForgotten::NotFound));
        assert_eq!(handle.ask(gid("t"), Request::Read).await, Answer::Refused(Refusal::NotFound));
        assert_eq!(view(handle.ask(gid("t"), begin(false, None)).await).seq, 1, "it may begin again");
    });
}

#[test]
fn one_is_forgotten_after_the_other_whoever_goes_away() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let at_once = store.clone();
    run(&store, &participants, |handle| async move {
        let name = |n: u32| gid(&format!("t{n}"));
        for n in 0..50 {
            view(handle.ask(name(n), begin(true, Some(Wait::Finished))).await);
        }
        handle.idle().await;
        // The others ended before it.
        forget(&handle, "t49").await;
        let asked = (0..49).map(|n| {
            let handle = handle.clone();
            tokio::task::spawn_local(async move { handle.forget(&name(n)).await })
        });
        let asked: Vec<_> = asked.collect();
        tokio::task::yield_now().await;
        for (n, one) in asked.into_iter().enumerate() {
            match n % 3 {
                0 => one.abort(),
                _ => assert_eq!(one.await.expect("no panic"), Ok(())),
            }
        }
    });
    assert_eq!(at_once.forgetting.get().1, 1);
}

#[test]
fn of_one_that_was_resolved_gid_and_outcome_stay_for_ever() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    participants.silent_to.set(Some(Op::Commit));
    run(&store, &participants, |handle| async move {
        view(handle.ask(gid("t"), begin(true, Some(Wait::Decided))).await);
        let branch = || BranchId::new("a").expect("a name");
        let said = Resolution::new(Outcome::Committed, None, Some("ops")).expect("short enough");
        let resolved = view(handle.ask(gid("t"), Request::Resolve(branch(), said)).await);
        assert_eq!((resolved.phase, resolved.branches[0].state), (Phase::Committed, BranchState::Resolved));
        forget(&handle, "t").await;
        assert_eq!(handle.forget(&gid("t")).await, Err(NotForgotten::NotFound));
        for request in [Request::Read, Request::Retry, Request::Follow { after: 0, wait: true }] {
            assert_eq!(handle.ask(gid("t"), request).await, Answer::Refused(Refusal::NotFound));
        }
        assert_eq!(handle.history(&gid("t"), 0, 10).await, Err(Refusal::NotFound));
        let begun = handle.ask(gid("t"), begin(true, None)).await;
        assert_eq!(begun, Answer::Refused(Refusal::GidConflict), "it never runs again");
        let outcome = handle.ask(gid("t"), Request::Inquire(Some(branch()))).await;
        assert_eq!(outcome, Answer::Outcome(Some(Outcome::Committed)));
    });
}
