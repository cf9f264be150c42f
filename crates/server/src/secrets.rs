//! Files that hold secrets: what is read from them goes where it is used, and nowhere else.
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Reads `--token-file`.
pub(crate) fn token(path: &Path) -> Result<String, String> {
    let bad = |why: &str| format!("--token-file {}: {why}", path.display());
    let content = std::fs::read_to_string(path).map_err(|error| bad(&error.to_string()))?;
    let token = content.trim();
    if token.is_empty() {
        return Err(bad("the file is empty: it must hold the token"));
    }
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad("a token is one line of visible ASCII without spaces"));
    }
    let mode = std::fs::metadata(path).map(|m| m.permissions().mode()).unwrap_or_default();
    if mode & 0o004 != 0 {
        tracing::warn!("--token-file {}: every user of this machine can read it", path.display());
    }
    Ok(token.to_owned())
}

/// Reads `--tls-cert` and `--tls-key`.
pub(crate) fn tls(cert: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let bad = |flag: &str, path: &Path, why: String| format!("{flag} {}: {why}", path.display());
    let bad_cert = |why: String| bad("--tls-cert", cert, why);
    let chain = CertificateDer::pem_file_iter(cert).map_err(|why| bad_cert(why.to_string()))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|why| bad_cert(why.to_string()))?;
    if chain.is_empty() {
        return Err(bad_cert("holds no certificate".into()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|why| bad("--tls-key", key, why.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|why| bad_cert(why.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("token");
        let read = |content: &str| {
            std::fs::write(&path, content).expect("written");
            token(&path)
        };
        assert_eq!(read(" s3cret\n").as_deref(), Ok("s3cret"));
        for odd in ["", " \n", "two words", "é", "a\nb"] {
            let error = read(odd).expect_err(odd);
            assert!(error.starts_with("--token-file") && (odd.is_empty() || !error.contains("two")), "{error}");
        }
        assert!(token(&dir.path().join("nowhere")).is_err());
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cert");
        std::fs::write(&path, "nothing").expect("written");
        assert!(tls(&path, &path).err().is_some_and(|why| why.contains("--tls-cert")));
        assert!(tls(Path::new("/nowhere"), &path).err().is_some_and(|why| why.contains("--tls-cert /nowhere")));
    }
}
