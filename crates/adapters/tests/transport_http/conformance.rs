//! The transport over HTTP is one.
use crate::caller::{local, options};
use crate::server::{Server, answer, yes};
use unanim_adapters::transport::http::HttpTransport;
use unanim_node::conformance::transport::{Manner, Reaches, suite};

#[derive(Default)]
struct Http(Vec<Server>);

impl Reaches for Http {
    type Transport = HttpTransport;

    async fn transport(&mut self) -> HttpTransport {
        HttpTransport::new(options(&["loopback"])).expect("a transport")
    }

    async fn participant(&mut self, manner: Manner) -> String {
        let server = match manner {
            Manner::Yes => Server::answering(yes()).await,
            Manner::No => Server::answering(answer("409 Conflict", "")).await,
            Manner::Nonsense => Server::answering(answer("200 OK", "<html>Sign in</html>")).await,
            Manner::Silent => Server::start(|mut peer| async move { peer.gone().await }).await,
            Manner::HangsUp => Server::start(|mut peer| async move { drop(peer.read().await) }).await,
            Manner::YesAndGone => {
                let once = |mut peer: crate::server::Peer| async move {
                    if peer.read().await.is_some() {
                        peer.write(yes().as_bytes()).await;
                    }
                };
                Server::start(once).await
            }
            Manner::Absent => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
                return format!("http://{}/tx", listener.local_addr().expect("an address"));
            }
        };
        let url = server.url();
        self.0.push(server);
        url
    }
}

#[test]
fn conforms() {
    local(suite(Http::default()));
}
