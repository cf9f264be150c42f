//! Histories: page by page, and as they happen.
use crate::scripted::{Participants, Scripted, begin, gid, run, view};
use futures_util::FutureExt;
use unanim_coordinator::{Answer, Happened, Refusal, Request, Wait};
use unanim_engine::{Outcome, Phase, Vote};
use unanim_node::Handle;

fn all() -> Vec<Happened> {
    let id = || unanim_engine::BranchId::new("a").expect("a name");
    vec![
        Happened::Begun,
        Happened::Phase(Phase::Preparing, None),
        Happened::Voted(id(), Vote::Yes),
        Happened::Decided(Outcome::Committed, None),
        Happened::Acknowledged(id()),
        Happened::Finished,
    ]
}

async fn end(handle: &Handle, name: &str) {
    view(handle.ask(gid(name), begin(true, Some(Wait::Finished))).await);
    handle.idle().await;
}

#[test]
fn a_history_comes_in_pages() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    run(&store, &participants, |handle| async move {
        assert_eq!(handle.history(&gid("t"), 0, 10).await, Err(Refusal::NotFound));
        end(&handle, "t").await;
        for most in [1, 2, 3, 6, 100] {
            let (mut after, mut events) = (0, Vec::new());
            loop {
                let page = handle.history(&gid("t"), after, most).await.expect("a page");
                assert!(page.events.len() <= most && page.finished != page.more);
                after = page.events.last().expect("each has some").seq;
                events.extend(page.events);
                if !page.more {
                    break;
                }
            }
            assert!(events.iter().map(|event| event.seq).eq(1..=6), "in pages of {most}");
            assert_eq!(events.into_iter().map(|event| event.what).collect::<Vec<_>>(), all());
        }
        let beyond = handle.history(&gid("t"), 1_000, 10).await.expect("a page");
        assert!(beyond.events.is_empty() && beyond.finished);
    });
}

#[test]
fn whoever_follows_hears_of_everything_once_and_of_the_end() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let first = participants.clone();
    run(&store, &participants, |handle| async move {
        let unknown = handle.follow(&gid("t"), 0, 100).await;
        assert_eq!(unknown, Err(Refusal::NotFound));
        first.silent.set(true);
        view(handle.ask(gid("t"), begin(false, None)).await);
        let watch = async |name: &str| {
            let (mut after, mut events) = (0, Vec::new());
            loop {
                let page = handle.follow(&gid(name), after, 2).await.expect("a page");
                after = page.events.last().map_or(after, |event| event.seq);
                events.extend(page.events.into_iter().map(|event| event.what));
                if page.finished {
                    return (after, events);
                }
            }
        };
        let mut watching: Vec<_> = (0..10).map(|_| Box::pin(watch("t"))).collect();
        // One of them goes away, in the middle of its wait.
        let gone = &mut watching[9];
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(gone.poll_unpin(cx).is_pending())).await);
        watching.pop();
        let hurried = handle.ask(gid("t"), Request::Follow { after: 1, wait: true });
        hurried.hurry();
        assert_eq!(hurried.await, Answer::History { seq: 1, finished: false });
        first.silent.set(false);
        let commit = async {
            let decision = unanim_engine::Decision::Commit;
            handle.ask(gid("t"), Request::Decide { decision, branches: vec![], timeout_ms: None, wait: None }).await
        };
        let (heard, _) = futures_util::future::join(futures_util::future::join_all(watching), commit).await;
        assert!(heard.iter().all(|(after, events)| *after == 6 && *events == all()), "{heard:?}");
        let over = handle.follow(&gid("t"), 6, 100).await.expect("a page");
        assert!(over.events.is_empty() && over.finished, "nothing will follow: told at once");
    });
}

#[test]
fn whoever_follows_when_the_session_ends_is_told_to_ask_again() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let broken = store.clone();
    run(&store, &participants, |handle| async move {
        view(handle.ask(gid("t"), begin(false, None)).await);
        let name = gid("t");
        let watching = handle.follow(&name, 1, 100);
        broken.broken.set(true);
        assert_eq!(watching.await, Err(Refusal::Unavailable));
    });
}
