//! The plain HTTP client of the commands: one request, one whole reply, within a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper::http::request;
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// A transaction of ten thousand branches is shown in a few megabytes.
const BODY_MAX: usize = 64 << 20;

/// Where systems keep their CA certificates, in one file.
const SYSTEM_CA_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A reply, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection: the request never left, and the same one may be sent again.
    Unreachable(anyhow::Error),
    /// It may have been received: only an idempotent request may be sent again.
    Lost(anyhow::Error),
    /// Sending it again changes nothing.
    Invalid(anyhow::Error),
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(error) | Failure::Lost(error) | Failure::Invalid(error) => error,
        }
    }
}

/// Pooled connections over http and https; clones share the pool.
#[derive(Clone)]
pub(crate) struct Client {
    inner: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    token: Option<hyper::header::HeaderValue>,
}

impl Client {
    /// Trusts the certificates in `ca_file`, else those of the system.
    pub(crate) fn new(ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots(ca_file)?).with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self {
            inner: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector),
            token: None,
        })
    }

    /// Sends this bearer token with every request.
    pub(crate) fn with_token(mut self, token: Option<String>) -> anyhow::Result<Self> {
        let header = token.map(|token| format!("Bearer {token}").parse::<hyper::header::HeaderValue>()).transpose();
        self.token = header.context("the token has characters that no header can carry")?;
        if let Some(token) = &mut self.token {
            token.set_sensitive(true);
        }
        Ok(self)
    }

    /// Whether a token goes with the requests.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// A GET.
    pub(crate) async fn get(&self, url: &str, timeout: Duration) -> Result<Reply, Failure> {
        self.send(Method::GET, url, Bytes::new(), timeout).await
    }

    /// A POST of JSON.
    pub(crate) async fn post(&self, url: &str, body: Bytes, timeout: Duration) -> Result<Reply, Failure> {
        self.send(Method::POST, url, body, timeout).await
    }

    /// A DELETE.
    pub(crate) async fn delete(&self, url: &str, timeout: Duration) -> Result<Reply, Failure> {
        self.send(Method::DELETE, url, Bytes::new(), timeout).await
    }

    /// A GET whose body goes on for as long as the server likes: what is there of it is up to the reader.
    pub(crate) async fn open(
        &self,
        url: &str,
        last_event_id: Option<&str>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = self.request(&Method::GET, url).header(ACCEPT, "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        in_time(timeout, self.exchange(url, request, Bytes::new())).await
    }

    async fn send(&self, method: Method, url: &str, body: Bytes, timeout: Duration) -> Result<Reply, Failure> {
        let mut request = self.request(&method, url);
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        in_time(timeout, async { whole(self.exchange(url, request, body).await?).await }).await
    }

    fn request(&self, method: &Method, url: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(url);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        }
    }

    async fn exchange(&self, url: &str, request: request::Builder, body: Bytes) -> Result<Response<Incoming>, Failure> {
        let request = request.body(Full::new(body)).with_context(|| format!("{url:?} is no URL"));
        self.inner.request(request.map_err(Failure::Invalid)?).await.map_err(|error| {
            let reached = !error.is_connect();
            let error = anyhow!(innermost(&error));
            if reached { Failure::Lost(error) } else { Failure::Unreachable(error) }
        })
    }
}

/// Reads an answer to its end.
pub(crate) async fn whole(answer: Response<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await;
    let body = body.map_err(|error| Failure::Lost(anyhow!("the answer broke off: {error}")))?;
    Ok(Reply { status: head.status, headers: head.headers, body: body.to_bytes() })
}

async fn in_time<T>(timeout: Duration, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(timeout, answer)
        .await
        .map_err(|_| Failure::Lost(anyhow!("no answer within {}", humantime::format_duration(timeout))))?
}

/// hyper's errors say "client error (Connect)"; the reason is at the end of their chain.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn roots(ca_file: Option<&Path>) -> anyhow::Result<Arc<rustls::RootCertStore>> {
    let mut roots = rustls::RootCertStore::empty();
    let system = || {
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        named.into_iter().chain(SYSTEM_CA_FILES.map(PathBuf::from)).find(|path| path.exists())
    };
    match ca_file {
        Some(path) => {
            let context = || format!("cannot read CA certificates from {}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).with_context(context)? {
                roots.add(certificate.with_context(context)?).with_context(context)?;
            }
            if roots.is_empty() {
                bail!("{} holds no certificate", path.display());
            }
        }
        // Some bundles hold a certificate that cannot be used; it takes nothing from the others.
        None => {
            if let Some(certificates) = system().and_then(|path| CertificateDer::pem_file_iter(path).ok()) {
                roots.add_parsable_certificates(certificates.flatten());
            }
        }
    }
    Ok(Arc::new(roots))
}
