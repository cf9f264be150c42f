//! The plain HTTP client beneath: one request, one whole reply, within a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// A transaction of ten thousand branches is shown in a few megabytes.
const BODY_MAX: usize = 64 << 20;
/// A machine that is gone says nothing: the next address must have its turn.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where systems keep their CA certificates, in one file.
const SYSTEM_CA_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A reply, read to its end.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection: the request never left, and the same one may be sent again.
    #[error("{0}")]
    Unreachable(String),
    /// It may have been received: only an idempotent request may be sent again.
    #[error("{0}")]
    Lost(String),
    /// Sending it again changes nothing.
    #[error("{0}")]
    Invalid(String),
}

/// Pooled connections over http and https; clones share the pool.
#[derive(Clone, Debug)]
pub struct Http {
    inner: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    token: Option<HeaderValue>,
}

impl Http {
    /// Trusts the certificates in `ca_file` (PEM), else those of the system.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, Failure> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::Invalid(error.to_string()))?
            .with_root_certificates(roots(ca_file)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let inner = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { inner, token: None })
    }

    /// Sends this bearer token with every request.
    pub fn with_token(mut self, token: Option<String>) -> Result<Self, Failure> {
        let header = token.map(|token| format!("Bearer {token}").parse::<HeaderValue>()).transpose();
        self.token =
            header.map_err(|_| Failure::Invalid("the token has characters that no header can carry".into()))?;
        if let Some(token) = &mut self.token {
            token.set_sensitive(true);
        }
        Ok(self)
    }

    /// A GET.
    pub async fn get(&self, url: &str, timeout: Duration) -> Result<Reply, Failure> {
        self.send(Method::GET, url, Bytes::new(), timeout).await
    }

    /// One request; a POST's body is called JSON.
    pub async fn send(&self, method: Method, url: &str, body: Bytes, timeout: Duration) -> Result<Reply, Failure> {
        let mut headers = HeaderMap::new();
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let exchange = async { whole(self.open(method, url, headers, body).await?).await };
        let late = |_| Failure::Lost(format!("no answer within {:.1} s", timeout.as_secs_f64()));
        tokio::time::timeout(timeout, exchange).await.map_err(late)?
    }

    /// A reply whose body is still to come.
    pub(crate) async fn open(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let request = Request::builder().method(method).uri(url).body(Full::new(body));
        let mut request = request.map_err(|error| Failure::Invalid(format!("{url:?} is no URL: {error}")))?;
        *request.headers_mut() = headers;
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        self.inner.request(request).await.map_err(|error| {
            let why = innermost(&error);
            if error.is_connect() { Failure::Unreachable(why) } else { Failure::Lost(why) }
        })
    }
}

/// The reply, once its body is there.
pub(crate) async fn whole(answer: Response<Incoming>) -> Result<Reply, Failure> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await;
    let body = body.map_err(|error| Failure::Lost(format!("the answer broke off: {error}")))?;
    Ok(Reply { status: head.status, headers: head.headers, body: body.to_bytes() })
}

/// hyper's errors say "client error (Connect)"; the reason is at the end of their chain.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn roots(ca_file: Option<&Path>) -> Result<Arc<rustls::RootCertStore>, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    let system = || {
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        named.into_iter().chain(SYSTEM_CA_FILES.map(PathBuf::from)).find(|path| path.exists())
    };
    match ca_file {
        Some(path) => {
            let told = |why: &dyn std::fmt::Display| {
                Failure::Invalid(format!("cannot read CA certificates from {}: {why}", path.display()))
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| told(&error))? {
                roots.add(certificate.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
            }
            if roots.is_empty() {
                return Err(Failure::Invalid(format!("{} holds no certificate", path.display())));
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
