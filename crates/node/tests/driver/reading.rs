//! Histories: page by page, and as they happen.
use crate::scripted::{Participants, Scripted, begin, gid, run, view};
use futures_util::FutureExt;
use unanim_coordinator::{Answer, Filter, Happened, OutcomeIs, Refusal, Request, Wait};
use unanim_engine::{Outcome, Phase, Vote};
use unanim_node::{BadCursor, Handle, ListCursor};

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

/// The clock has moved on.
async fn next_instant(handle: &Handle) {
    let now = handle.now();
    while handle.now() == now {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_list_has_what_is_open_and_then_what_has_ended() {
    let (store, participants) = (Scripted::new([]), Participants::default());
    let silent = participants.silent.clone();
    run(&store, &participants, |handle| async move {
        for name in ["ended-1", "ended-2", "ended-3"] {
            end(&handle, name).await;
            // Each ends at an instant of its own.
            next_instant(&handle).await;
        }
        silent.set(true);
        for name in ["open-1", "open-2"] {
            view(handle.ask(gid(name), begin(true, None)).await);
            next_instant(&handle).await;
        }
        let list = async |filter: Filter, most: usize| {
            let (mut cursor, mut listed) = (None, Vec::new());
            loop {
                let page = handle.list(&filter, cursor, most).await.expect("a page");
                assert!(page.views.len() <= most);
                listed.extend(page.views.iter().map(|view| view.gid.as_str().to_owned()));
                let Some(next) = page.next else { return listed };
                assert_eq!(next.to_string().parse(), Ok(next.clone()), "through the hands of people");
                cursor = Some(next);
            }
        };
        for most in [1, 2, 3, 100] {
            let all = list(Filter::default(), most).await;
            assert_eq!(all, ["open-1", "open-2", "ended-3", "ended-2", "ended-1"], "{most} to a page");
        }
        let committed = Filter { outcome: Some(OutcomeIs::Decided(Outcome::Committed)), ..Filter::default() };
        assert_eq!(list(committed, 1).await, ["ended-3", "ended-2", "ended-1"]);
        let preparing = Filter { phase: Some(Phase::Preparing), ..Filter::default() };
        assert_eq!(list(preparing, 1).await, ["open-1", "open-2"]);
        let page = handle.history(&gid("ended-2"), 5, 1).await.expect("a page");
        let at = Some(page.events[0].at);
        assert_eq!(list(Filter { since_at: at, until_at: at, ..Filter::default() }, 10).await, ["ended-2"]);
    });
    for text in ["", "open", "open/1", "open/x/t", "ended/", "ended/-1", "shut/1/t", "open/1/", "ended/1/.."] {
        assert_eq!(text.parse::<ListCursor>(), Err(BadCursor), "{text:?}");
    }
}
