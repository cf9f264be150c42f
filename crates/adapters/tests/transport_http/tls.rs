//! `https` participants: whose certificate counts, and for whom.
use crate::caller::{Ask, Caller, local, options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use unanim_adapters::transport::http::HttpTransport;
use unanim_engine::{Failure, Reply};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file");
        Authority { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A participant with a certificate for these names; says yes to everything, and whom it was asked for by SNI.
    async fn participant(&self, names: &[&str]) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::task::spawn_local(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let sni = stream.get_ref().1.server_name().unwrap_or("nobody").to_owned();
                    let body = format!("{{\"result\":\"failed\",\"detail\":\"{sni}\"}}");
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    let mut bytes = [0; 4096];
                    while stream.read(&mut bytes).await.is_ok_and(|n| n > 0) {
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }
}

fn trusting(authority: &Authority) -> Caller {
    let mut options = options(&["loopback"]);
    options.ca = Some(authority.file());
    Caller::with(options)
}

fn refused(words: &str) -> Reply {
    Reply::Refused(Some(words.into()))
}

#[test]
fn who_is_vouched_for_is_called_over_a_connection_that_is_kept() {
    local(async {
        let authority = Authority::new();
        let participant = authority.participant(&["localhost", "127.0.0.1"]).await;
        let mut caller = trusting(&authority);
        for _ in 0..10 {
            let by_name = format!("https://localhost:{}/tx", participant.port());
            assert_eq!(caller.ask(&Ask::prepare(by_name)).await, refused("localhost"));
            assert_eq!(caller.ask(&Ask::prepare(format!("https://{participant}/tx"))).await, refused("nobody"));
        }
        assert_eq!(caller.transport.figures().connections_opened, 2);
    });
}

#[test]
fn who_is_not_vouched_for_is_not_called() {
    local(async {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let participant = authority.participant(&["stock.example", "127.0.0.1"]).await;
        let by_name = format!("https://localhost:{}/tx", participant.port());
        let connect = Reply::unknown(Failure::Connect);
        assert_eq!(trusting(&authority).ask(&Ask::prepare(by_name)).await, connect, "another name");
        let by_address = Ask::prepare(format!("https://{participant}/tx"));
        assert_eq!(trusting(&stranger).ask(&by_address).await, connect, "another authority");
        assert_eq!(Caller::new().ask(&by_address).await, connect, "the platform does not know it");
        let in_the_clear = Ask::prepare(format!("http://{participant}/tx")).within(2_000);
        assert!(matches!(trusting(&authority).ask(&in_the_clear).await, Reply::Unknown { .. }));
    });
}

#[test]
fn a_plain_server_behind_https_is_no_connection() {
    local(async {
        let server = crate::server::Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let silent = crate::server::Server::start(|mut peer| async move { peer.gone().await }).await;
        let mut caller = trusting(&Authority::new());
        let url = |server: &crate::server::Server| Ask::prepare(format!("https://{}/tx", server.address)).within(300);
        assert!(matches!(caller.ask(&url(&server)).await, Reply::Unknown { .. }));
        assert_eq!(caller.ask(&url(&silent)).await, Reply::unknown(Failure::Timeout));
    });
}

#[test]
fn a_ca_file_that_is_none_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let with = |name: &str, content: Option<&str>| {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).expect("a file");
        }
        let mut options = options(&["loopback"]);
        options.ca = Some(path);
        HttpTransport::new(options).map(|_| ()).map_err(|why| why.to_string())
    };
    for (name, content) in [
        ("missing.pem", None),
        ("empty.pem", Some("")),
        ("text.pem", Some("no certificate\n")),
        ("broken.pem", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
    ] {
        let why = with(name, content).expect_err(name);
        assert!(why.contains("--ca-file") && why.contains(name), "{why}");
    }
}
