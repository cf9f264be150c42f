//! Connections: kept, shared, closed, bounded.
use crate::caller::{Ask, Caller, local, options, until};
use crate::server::{Peer, Server, yes};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use unanim_engine::{Failure, Reply};

#[test]
fn one_connection_serves_one_call_after_the_other() {
    local(async {
        let server = Server::answering(yes()).await;
        let mut caller = Caller::new();
        for _ in 0..100 {
            assert_eq!(caller.ask(&Ask::prepare(server.url())).await, Reply::Ok);
        }
        let other_path = format!("http://{}/elsewhere?x=1", server.address);
        assert_eq!(caller.ask(&Ask::prepare(other_path)).await, Reply::Ok);
        assert_eq!(server.connections.get(), 1);
        let figures = caller.transport.figures();
        assert_eq!((figures.calls, figures.replies, figures.connections_opened), (101, 101, 1));
        assert_eq!((figures.connections, figures.idle), (1, 1));
    });
}

#[test]
fn calls_at_the_same_time_have_a_connection_each_and_those_are_kept() {
    local(async {
        let server = Server::answering(yes()).await;
        let mut caller = Caller::new();
        for _ in 0..10 {
            let numbers: Vec<u32> = (0..16).map(|_| caller.call(&Ask::prepare(server.url()))).collect();
            for number in numbers {
                assert_eq!(caller.reply(number).await, Reply::Ok);
            }
        }
        assert_eq!(server.connections.get(), 16);
        assert_eq!(caller.transport.figures().idle, 16);
    });
}

#[test]
fn a_connection_that_the_peer_closed_while_idle_costs_no_call() {
    local(async {
        let server = Server::start(|mut peer| async move {
            if peer.read().await.is_some() {
                peer.write(yes().as_bytes()).await;
            }
        })
        .await;
        let mut caller = Caller::new();
        for n in 1..=200 {
            // At once: the end of the connection may or may not have been seen when the call is made.
            assert_eq!(caller.ask(&Ask::prepare(server.url())).await, Reply::Ok, "call {n}");
        }
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (200, 200), "no call was made twice");
        until("the last connection's end is seen", || caller.transport.figures().connections == 0).await;
    });
}

#[test]
fn a_call_that_was_sent_is_not_made_again_by_itself() {
    local(async {
        // Answers once, takes the second request, and hangs up.
        let server = Server::start(|mut peer| async move {
            peer.read().await;
            peer.write(yes().as_bytes()).await;
            peer.read().await;
        })
        .await;
        let mut caller = Caller::new();
        assert_eq!(caller.ask(&Ask::prepare(server.url())).await, Reply::Ok);
        assert_eq!(caller.ask(&Ask::prepare(server.url())).await, Reply::unknown(Failure::Reset));
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (1, 2));
    });
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    local(async {
        let closed = Rc::new(Cell::new(0));
        let told = closed.clone();
        let script = move |mut peer: Peer| {
            let closed = told.clone();
            async move {
                while peer.read().await.is_some() {
                    peer.write(yes().as_bytes()).await;
                }
                closed.set(closed.get() + 1);
            }
        };
        let server = Server::start(script).await;
        let mut options = options(&["loopback"]);
        options.idle_timeout = Duration::from_millis(100);
        let mut caller = Caller::with(options);
        let begun = Instant::now();
        assert_eq!(caller.ask(&Ask::prepare(server.url())).await, Reply::Ok);
        until("the idle connection is closed", || closed.get() == 1).await;
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert_eq!(caller.transport.figures().connections, 0);
        assert_eq!(caller.ask(&Ask::prepare(server.url())).await, Reply::Ok);
        assert_eq!(server.connections.get(), 2);
    });
}

#[test]
fn close_ends_idle_connections_and_lets_calls_end() {
    local(async {
        let go = Rc::new(Notify::new());
        let told = go.clone();
        let script = move |mut peer: Peer| {
            let go = told.clone();
            async move {
                while peer.read().await.is_some() {
                    go.notified().await;
                    peer.write(yes().as_bytes()).await;
                }
            }
        };
        let (slow, quick, mut caller) = (Server::start(script).await, Server::answering(yes()).await, Caller::new());
        assert_eq!(caller.ask(&Ask::prepare(quick.url())).await, Reply::Ok);
        let under_way = caller.call(&Ask::prepare(slow.url()));
        until("it is under way", || !slow.requests.borrow().is_empty()).await;
        caller.transport.close();
        until("the idle one is closed", || caller.transport.figures().connections == 1).await;
        go.notify_one();
        assert_eq!(caller.reply(under_way).await, Reply::Ok);
        until("the other one is closed", || caller.transport.figures().connections == 0).await;
    });
}

#[test]
fn past_the_bound_calls_wait_their_turn_or_their_time() {
    local(async {
        let server = Server::start(|mut peer| async move {
            while peer.read().await.is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
                peer.write(yes().as_bytes()).await;
            }
        })
        .await;
        let mut options = options(&["loopback"]);
        options.connections_per_origin_max = 2;
        let mut caller = Caller::with(options.clone());
        let numbers: Vec<u32> = (0..40).map(|_| caller.call(&Ask::prepare(server.url()))).collect();
        for number in numbers {
            assert_eq!(caller.reply(number).await, Reply::Ok);
        }
        assert_eq!(server.connections.get(), 2);

        let silent = Server::start(|mut peer| async move { peer.gone().await }).await;
        let mut caller = Caller::with(options);
        let begun = Instant::now();
        let long: Vec<u32> = (0..2).map(|_| caller.call(&Ask::prepare(silent.url()).within(1_500))).collect();
        let short: Vec<u32> = (0..10).map(|_| caller.call(&Ask::prepare(silent.url()).within(100))).collect();
        for number in short {
            assert_eq!(caller.reply(number).await, Reply::unknown(Failure::Timeout));
        }
        assert!(begun.elapsed() < Duration::from_millis(1_400), "a waiting call ends at its own time");
        for number in long {
            assert_eq!(caller.reply(number).await, Reply::unknown(Failure::Timeout));
        }
        assert_eq!(silent.connections.get(), 2);
    });
}

#[test]
fn the_largest_payload_arrives_byte_for_byte() {
    local(async {
        let payload: &'static str = Box::leak(format!("\"{}\"", "ä0 ".repeat(262_143)).into_boxed_str());
        let (server, mut caller) = (Server::answering(yes()).await, Caller::new());
        for _ in 0..3 {
            let ask = Ask { payload: Some(payload), ..Ask::prepare(server.url()) };
            assert_eq!(caller.ask(&ask).await, Reply::Ok);
        }
        assert!(server.requests.borrow().iter().all(|request| request.body == payload));
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn ten_thousand_calls() {
    local(async {
        const CALLS: usize = 10_000;
        const AT_ONCE: usize = 64;
        let server = Server::answering(yes()).await;
        let mut caller = Caller::new();
        let begun = Instant::now();
        for _ in 0..CALLS.div_ceil(AT_ONCE) {
            let numbers: Vec<u32> = (0..AT_ONCE).map(|_| caller.call(&Ask::prepare(server.url()))).collect();
            for number in numbers {
                assert_eq!(caller.reply(number).await, Reply::Ok);
            }
        }
        let took = begun.elapsed();
        assert_eq!(server.connections.get(), AT_ONCE);
        assert!(took < Duration::from_secs(20), "{CALLS} calls in {took:?}");
    });
}

#[test]
fn a_call_whose_task_is_dropped_is_answered_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tasks = tokio::task::LocalSet::new();
    let (mut caller, ask) = tasks.block_on(&runtime, async {
        let mut caller = Caller::new();
        let server = Server::start(|mut peer| async move { peer.gone().await }).await;
        let ask = Ask::prepare(server.url());
        caller.call(&ask);
        until("it is connected", || server.connections.get() == 1).await;
        (caller, ask)
    });
    tasks.block_on(&runtime, async { caller.call(&ask) });
    drop(tasks);
    runtime.block_on(async {
        for number in 1..=2 {
            assert_eq!(caller.reply(number).await, Reply::unknown(Failure::Reset));
        }
    });
    assert_eq!(caller.transport.figures().connections, 0);
}
