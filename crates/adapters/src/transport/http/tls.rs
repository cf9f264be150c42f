//! Whom `https` participants must be vouched for by.
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a `--ca-file` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--ca-file {path}: {why}", path = path.display())]
pub struct BadCaFile {
    /// Which.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// The certificates that count: those of `--ca-file` and no others, or else the platform's. The platform's are read
/// when the first `https` participant is called: most installations have none, and reading them takes milliseconds.
pub(super) struct Trust(OnceCell<Option<Arc<ClientConfig>>>);

impl Trust {
    /// Trusts the file's certificates, or the platform's without one.
    pub(super) fn new(ca: Option<&Path>) -> Result<Trust, BadCaFile> {
        let Some(path) = ca else { return Ok(Trust(OnceCell::new())) };
        let bad = |why: String| BadCaFile { path: path.to_owned(), why };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|why| bad(why.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate.map_err(|why| bad(why.to_string()))?).map_err(|why| bad(why.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("holds no certificate".into()));
        }
        let config = config(roots).map_err(|why| bad(why.to_string()))?;
        Ok(Trust(OnceCell::from(Some(config))))
    }

    /// How a connection is made; none where that is impossible here.
    pub(super) fn config(&self) -> Option<Arc<ClientConfig>> {
        self.0.get_or_init(platform).clone()
    }
}

fn platform() -> Option<Arc<ClientConfig>> {
    let found = rustls_native_certs::load_native_certs();
    found.errors.iter().for_each(|why| tracing::warn!(%why, "the platform's certificates"));
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        tracing::warn!("the platform trusts no certificate; name those of https participants with --ca-file");
    }
    config(roots).inspect_err(|why| tracing::error!(%why, "no TLS")).ok()
}

fn config(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
