//! A participant of a few lines, made of a script per connection: whatever it writes is what goes out.
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_local};

/// Listens until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Connections that were accepted.
    pub(crate) connections: Rc<Cell<usize>>,
    /// What was asked, oldest first.
    pub(crate) requests: Rc<RefCell<Vec<Request>>>,
    listening: JoinHandle<()>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One accepted connection.
pub(crate) struct Peer {
    stream: TcpStream,
    requests: Rc<RefCell<Vec<Request>>>,
    unread: Vec<u8>,
}

impl Server {
    /// Runs the script on every connection; it is closed when the script ends.
    pub(crate) async fn start<F: Future<Output = ()> + 'static>(script: impl Fn(Peer) -> F + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (connections, requests) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let listening = spawn_local({
            let (connections, requests) = (connections.clone(), requests.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.set(connections.get() + 1);
                    stream.set_nodelay(true).expect("no delay");
                    let peer = Peer { stream, requests: requests.clone(), unread: Vec::new() };
                    spawn_local(script(peer));
                }
            }
        });
        Server { address, connections, requests, listening }
    }

    /// Answers every request with these bytes, over as many connections as are made.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Server {
        let answer: Rc<[u8]> = answer.into().into();
        Server::start(move |mut peer| {
            let answer = answer.clone();
            async move { while peer.read().await.is_some() && peer.write(&answer).await {} }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/tx", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Peer {
    /// The next request; none when the caller is gone.
    pub(crate) async fn read(&mut self) -> Option<Request> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).expect("ASCII");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |n| n.parse().expect("a length"));
        while self.unread.len() < length {
            self.fill().await?;
        }
        let body = String::from_utf8(self.unread.drain(..length).collect()).expect("UTF-8");
        let request = Request { head, body };
        self.requests.borrow_mut().push(request.clone());
        Some(request)
    }

    async fn fill(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.unread).await.unwrap_or(0);
        (read > 0).then_some(())
    }

    /// Whether the bytes could be written.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Until the caller closes.
    pub(crate) async fn gone(&mut self) {
        while self.fill().await.is_some() {}
    }
}

/// An answer that HTTP likes.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n{body}", body.len())
}

/// Yes.
pub(crate) fn yes() -> String {
    answer("200 OK", "{\"result\":\"ok\"}")
}
