//! What a name resolved to is looked at, whatever the list says of the name.
use super::super::tls::Trust;
use super::super::{HttpOptions, request::Renderer};
use super::*;
use crate::transport::AllowList;
use std::net::TcpListener;
use tokio::task::LocalSet;
use uuid::Uuid;

const NAME: &str = "stock.example";

fn pool(allow: &[&str]) -> Rc<Pool> {
    let mut options = HttpOptions::new("http://127.0.0.1:8080", Uuid::nil(), [7; 32]);
    let entries: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
    options.allow = AllowList::parse(&entries).expect("a list");
    let renderer = Renderer::new(&options.public_url, options.store_uuid, &options.secret);
    Rc::new(Pool::new(options, renderer, Trust::new(None).expect("no file")))
}

/// Connects to the name, which resolves to these addresses.
async fn led_to(allow: &[&str], port: u16, addresses: &[&str]) -> Result<(), Failure> {
    let pool = pool(allow);
    let spot = pool.spot(&format!("http://{NAME}:{port}/")).expect("an endpoint");
    let to = addresses.iter().map(|a| SocketAddr::new(a.parse().expect("an address"), port)).collect();
    let soon = Instant::now() + Duration::from_secs(10);
    *spot.origin.lookup.borrow_mut() = Lookup::Known(soon, to);
    connect(&pool, &spot.origin, soon).await.map(|_| ())
}

#[tokio::test]
async fn a_listed_name_that_leads_to_a_forbidden_address_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("nonblocking");
    let port = listener.local_addr().expect("an address").port();
    let by_name: &[&str] = &["*.example", "0.0.0.0/0", "::/0"];
    for address in [
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "224.0.0.1",
    ] {
        assert_eq!(led_to(by_name, port, &[address]).await, Err(Failure::NotAllowed), "{address}");
    }
    assert_eq!(led_to(by_name, port, &["169.254.169.254", "127.0.0.1"]).await, Err(Failure::NotAllowed));
    assert_eq!(led_to(&["loopback"], port, &["127.0.0.1"]).await, Err(Failure::NotAllowed), "the name is not listed");
    assert!(listener.accept().is_err(), "somebody connected");
    assert_eq!(led_to(&["*.example", "loopback"], port, &["127.0.0.1"]).await, Ok(()));
    assert_eq!(
        led_to(&["*.example", "127.0.0.0/8"], port, &["169.254.169.254", "127.0.0.1"]).await,
        Ok(()),
        "the other one"
    );
    assert!(listener.accept().is_ok());
}

#[tokio::test]
async fn a_name_without_addresses_is_no_connection() {
    assert_eq!(led_to(&["*.example"], 80, &[]).await, Err(Failure::Connect));
}

#[tokio::test]
async fn an_origin_that_cannot_be_reached_is_left_alone_for_a_moment() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let pool = pool(&["loopback"]);
    let origin = &pool.spot(&format!("http://127.0.0.1:{port}/")).expect("an endpoint").origin.clone();
    let soon = Instant::now() + Duration::from_secs(10);
    let reached = async || connect(&pool, origin, soon).await.map(|_| ());
    assert_eq!(reached().await, Err(Failure::Connect));
    assert!(origin.left_alone_until.get().is_some_and(|until| until <= Instant::now() + LEFT_ALONE_FOR));

    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    listener.set_nonblocking(true).expect("nonblocking");
    origin.left_alone_until.set(Some(soon));
    assert_eq!(reached().await, Err(Failure::Connect));
    assert!(listener.accept().is_err(), "somebody connected");
    origin.left_alone_until.set(Some(Instant::now()));
    assert_eq!(reached().await, Ok(()));
}

#[tokio::test]
async fn a_call_that_ran_out_of_time_says_nothing_of_the_origin() {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    // Once its queue is full, it answers no handshake.
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        queued.push(stream.expect("a place in the queue"));
    }
    let pool = pool(&["loopback"]);
    let origin = &pool.spot(&format!("http://{address}/")).expect("an endpoint").origin.clone();
    let soon = Instant::now() + Duration::from_millis(5);
    assert!(connect(&pool, origin, soon).await.is_err());
    // Also where this is noticed before the call's own time is up.
    assert!(reach(&pool, origin, soon).await.is_err());
    assert!(origin.left_alone_until.get().is_none());

    tokio::task::LocalSet::new()
        .run_until(async {
            tokio::task::spawn_local(async move { while listener.accept().await.is_ok() {} });
            let later = Instant::now() + Duration::from_secs(10);
            assert_eq!(connect(&pool, origin, later).await.map(|_| ()), Ok(()));
        })
        .await;
}

#[tokio::test]
async fn one_look_up_serves_all_who_wait_for_it() {
    LocalSet::new()
        .run_until(async {
            let pool = pool(&["localhost"]);
            let spot = pool.spot("http://localhost:9/").expect("an endpoint");
            let done = begin(&spot.origin);
            let waiters: Vec<_> = (0..10)
                .map(|_| {
                    let origin = spot.origin.clone();
                    tokio::task::spawn_local(async move { resolve(&origin).await })
                })
                .collect();
            for waiter in waiters {
                assert!(waiter.await.expect("an answer").iter().all(|a| a.ip().is_loopback() && a.port() == 9));
            }
            assert_eq!(Rc::strong_count(&done), 1, "nobody began another");
            assert!(matches!(&*spot.origin.lookup.borrow(), Lookup::Known(until, _) if *until > Instant::now()));
        })
        .await;
}
