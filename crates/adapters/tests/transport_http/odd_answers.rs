//! Participants that answer oddly, slowly, endlessly or not at all.
use crate::caller::{Ask, Caller, local, options, until};
use crate::server::{Peer, Server, answer, yes};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use unanim_engine::{Failure, Op, Reply};

/// One call to a participant that answers this.
async fn said(bytes: impl Into<Vec<u8>>) -> Reply {
    let server = Server::answering(bytes).await;
    Caller::new().ask(&Ask::prepare(server.url()).within(2_000)).await
}

/// One call to a participant that answers this and closes.
async fn said_and_closed(bytes: &'static str) -> Reply {
    let server = Server::start(move |mut peer| async move {
        peer.read().await;
        peer.write(bytes.as_bytes()).await;
    })
    .await;
    Caller::new().ask(&Ask::prepare(server.url())).await
}

/// A head, and then this again and again, as long as anyone reads.
async fn endless(head: &'static str, piece: &'static str, pause: Duration) -> (Server, Rc<Cell<bool>>) {
    let over = Rc::new(Cell::new(false));
    let told = over.clone();
    let script = move |mut peer: Peer| {
        let over = told.clone();
        async move {
            peer.read().await;
            peer.write(head.as_bytes()).await;
            while peer.write(piece.as_bytes()).await {
                match pause.is_zero() {
                    true => tokio::task::yield_now().await,
                    false => sleep(pause).await,
                }
            }
            over.set(true);
        }
    };
    (Server::start(script).await, over)
}

#[test]
fn answers_in_every_shape_that_http_has() {
    local(async {
        for (bytes, reply) in [
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"res\r\nd\r\nult\":\"failed\"\r\n1\r\n}\r\n0\r\n\r\n",
                Reply::Refused(None),
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", Reply::Ok),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Reply::Ok),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                Reply::Ok,
            ),
            (
                "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nretry-after: 2\r\n\r\n",
                Reply::Ongoing { retry_after_ms: 2_000 },
            ),
            (
                "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nRetry-After: 9\r\n\r\n",
                Reply::Unknown { failure: Failure::Status(503), retry_after_ms: 9_000 },
            ),
            ("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", Reply::Ok),
        ] {
            assert_eq!(said(bytes).await, reply, "{bytes}");
        }
        assert_eq!(said_and_closed("HTTP/1.0 200 OK\r\n\r\n{\"result\":\"ok\"}").await, Reply::Ok);
        assert_eq!(
            said_and_closed("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}").await,
            Reply::Ok
        );
    });
}

#[test]
fn what_is_no_answer_says_nothing() {
    local(async {
        for (bytes, failure) in [
            ("garbage\r\n\r\n", Failure::Content),
            ("SSH-2.0-OpenSSH_9.2\r\n", Failure::Content),
            ("\u{0}\u{1}\u{2}\u{3}\r\n\r\n", Failure::Content),
            ("HTTP/1.1 abc\r\n\r\n", Failure::Content),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", Failure::Content),
            ("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", Failure::Status(101)),
        ] {
            assert_eq!(said(bytes).await, Reply::unknown(failure), "{bytes}");
        }
        for (bytes, failure) in [
            ("", Failure::Reset),
            ("HTTP/1.1 200 OK\r\ncontent-le", Failure::Reset),
            ("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"result\":", Failure::Reset),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}", Failure::Reset),
            ("HTTP/1.1 409 Conflict\r\ncontent-length: 20\r\n\r\n{", Failure::Reset),
        ] {
            assert_eq!(said_and_closed(bytes).await, Reply::unknown(failure), "{bytes}");
        }
        let mut wide = String::from("HTTP/1.1 200 OK\r\n");
        (0..2_000).for_each(|n| wide.push_str(&format!("x-{n}: {}\r\n", "y".repeat(100))));
        assert!(matches!(said(wide).await, Reply::Unknown { failure: Failure::TooLarge | Failure::Content, .. }));
    });
}

#[test]
fn a_redirect_is_not_followed() {
    local(async {
        let elsewhere = Server::answering(yes()).await;
        for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
            let redirect = format!("HTTP/1.1 {status}\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
            assert!(
                matches!(said(redirect).await, Reply::Unknown { failure: Failure::Status(301..=308), .. }),
                "{status}"
            );
        }
        assert_eq!(elsewhere.connections.get(), 0);
    });
}

#[test]
fn a_body_without_end_is_read_up_to_the_limit() {
    local(async {
        const PIECE: &str = "                                                                                ";
        let unbounded = "HTTP/1.1 200 OK\r\n\r\n";
        let promised = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
        for head in [unbounded, promised] {
            let (server, over) = endless(head, PIECE, Duration::ZERO).await;
            let reply = Caller::new().ask(&Ask::prepare(server.url())).await;
            assert_eq!(reply, Reply::unknown(Failure::TooLarge), "{head}");
            until("the connection is closed", || over.get()).await;
        }
        let full = format!("{{\"pad\":\"{}\"}}", "x".repeat((64 << 10) - 10));
        assert_eq!(full.len(), 64 << 10);
        assert_eq!(said(answer("200 OK", &full)).await, Reply::Ok, "the limit itself is not too large");
        assert_eq!(said(answer("200 OK", &format!("{full} "))).await, Reply::unknown(Failure::TooLarge));
    });
}

#[test]
fn a_slow_body_ends_at_the_calls_timeout() {
    local(async {
        for head in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: ",
        ] {
            let (server, over) = endless(head, "1\r\n \r\n", Duration::from_millis(20)).await;
            let begun = Instant::now();
            let reply = Caller::new().ask(&Ask::prepare(server.url()).within(300)).await;
            assert!(matches!(reply, Reply::Unknown { failure: Failure::Timeout | Failure::Content, .. }), "{reply:?}");
            assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
            until("the connection is closed", || over.get()).await;
        }
    });
}

#[test]
fn an_answer_byte_by_byte_is_an_answer() {
    local(async {
        let server = Server::start(|mut peer| async move {
            while peer.read().await.is_some() {
                for byte in yes().as_bytes() {
                    peer.write(&[*byte]).await;
                    sleep(Duration::from_millis(1)).await;
                }
            }
        })
        .await;
        let mut caller = Caller::new();
        for _ in 0..3 {
            assert_eq!(caller.ask(&Ask::prepare(server.url())).await, Reply::Ok);
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_flood_of_interim_answers_starves_nobody() {
    local(async {
        let (flood, _over) = endless("", "HTTP/1.1 100 Continue\r\n\r\n", Duration::ZERO).await;
        let (good, mut caller) = (Server::answering(yes()).await, Caller::new());
        let flooded = caller.call(&Ask::prepare(flood.url()).within(500));
        for _ in 0..20 {
            assert_eq!(caller.ask(&Ask::prepare(good.url())).await, Reply::Ok);
        }
        assert_eq!(caller.reply(flooded).await, Reply::unknown(Failure::Timeout));
    });
}

#[test]
fn a_hang_ends_at_the_calls_timeout() {
    local(async {
        let server = Server::start(|mut peer| async move { peer.gone().await }).await;
        let mut caller = Caller::new();
        let begun = Instant::now();
        assert_eq!(caller.ask(&Ask::prepare(server.url()).within(200)).await, Reply::unknown(Failure::Timeout));
        assert!((200..2_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        assert_eq!(caller.transport.figures().connections, 0, "a connection that owes an answer is not used again");
    });
}

#[test]
fn classic_participants_are_taken_at_their_status() {
    local(async {
        let (endless_ok, _over) = endless("HTTP/1.1 200 OK\r\n\r\n", "yes yes yes ", Duration::ZERO).await;
        let base = format!("http://{}", endless_ok.address);
        let mut caller = Caller::new();
        let ask = |op| Ask::prepare(base.clone()).classic(op).within(2_000);
        assert_eq!(caller.ask(&ask(Op::Commit)).await, Reply::Ok);
        assert_eq!(caller.ask(&ask(Op::Rollback)).await, Reply::Ok);
        assert_eq!(caller.ask(&ask(Op::Prepare)).await, Reply::unknown(Failure::TooLarge), "a vote is read to its end");
        let paths: Vec<String> =
            endless_ok.requests.borrow().iter().map(|r| r.head.lines().next().unwrap_or_default().to_owned()).collect();
        assert_eq!(
            paths,
            ["commit", "rollback", "prepare"].map(|verb| format!("POST /transaction/order-17/{verb} HTTP/1.1"))
        );
        assert!(endless_ok.requests.borrow().iter().all(|r| r.body.is_empty() && r.head.contains("content-length: 0")));
    });
}

#[test]
fn nobody_is_called_who_is_not_listed() {
    local(async {
        let server = Server::answering(yes()).await;
        let mut caller = Caller::with(options(&["10.0.0.0/8", "stock"]));
        assert_eq!(caller.ask(&Ask::prepare(server.url())).await, Reply::unknown(Failure::NotAllowed));
        let by_name = format!("http://localhost:{}/", server.address.port());
        assert_eq!(caller.ask(&Ask::prepare(by_name)).await, Reply::unknown(Failure::NotAllowed));
        for odd in ["2130706433", "0x7f000001", "127.1"] {
            let url = format!("http://{odd}:{}/", server.address.port());
            let reply = Caller::new().ask(&Ask::prepare(url)).await;
            assert_eq!(reply, Reply::unknown(Failure::Connect), "{odd} is no endpoint");
        }
        assert_eq!(server.connections.get(), 0);
        let failures = caller.transport.figures().failures;
        assert!(failures.contains(&("not_allowed", 2)), "{failures:?}");
    });
}

#[test]
fn a_name_is_resolved() {
    local(async {
        let server = Server::answering(yes()).await;
        let mut caller = Caller::new();
        let url = format!("http://LocalHost:{}/tx", server.address.port());
        let numbers: Vec<u32> = (0..20).map(|_| caller.call(&Ask::prepare(url.clone()))).collect();
        for number in numbers {
            assert_eq!(caller.reply(number).await, Reply::Ok);
        }
        let host = format!("host: localhost:{}\r\n", server.address.port());
        assert!(server.requests.borrow().iter().all(|r| r.head.contains(&host)));
        let nowhere = Caller::with(options(&["*.invalid"])).ask(&Ask::prepare("http://nobody.invalid/")).await;
        assert_eq!(nowhere, Reply::unknown(Failure::Connect));
    });
}
