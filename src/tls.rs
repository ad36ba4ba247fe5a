//! Which certificates are trusted: built-in roots, the system's store, files of the operator. It opens no connection.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {0}: {1}")]
    Unreadable(String, std::io::Error),
    #[error("{0} holds no {1} in PEM format")]
    Missing(String, &'static str),
    #[error("{0} holds a {1} that cannot be parsed: {2}")]
    Unparsable(String, &'static str, String),
    #[error("the client certificate and its key do not fit: {0}")]
    Mismatch(Error),
}

/// What a client demands of a server's certificate.
#[derive(Debug, Clone)]
pub enum Verification {
    /// Nothing: it only encrypts.
    None,
    /// A chain to one of these roots, for any name; `pinned` are trusted themselves.
    Chain { roots: RootCertStore, pinned: Vec<CertificateDer<'static>> },
    /// The same, and the server's name.
    Name { roots: RootCertStore, pinned: Vec<CertificateDer<'static>> },
}

pub type ClientIdentity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificates of a PEM file; at least one.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let all: Result<Vec<CertificateDer<'static>>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| TlsError::Unparsable(shown(path), "certificate", error.to_string()))?;
    // A trust anchor that rustls cannot parse would be skipped without a word.
    for certificate in &all {
        let parsed = RootCertStore::empty().add(certificate.clone());
        parsed.map_err(|error| TlsError::Unparsable(shown(path), "certificate", error.to_string()))?;
    }
    if all.is_empty() { Err(TlsError::Missing(shown(path), "certificate")) } else { Ok(all) }
}

/// The first private key of a PEM file.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::Missing(shown(path), "private key"),
        error => TlsError::Unparsable(shown(path), "private key", error.to_string()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Unreadable(shown(path), error))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The system's store, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
pub fn system_certificates() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "cannot read a part of the system's trusted certificates");
    }
    // A store may hold certificates that rustls cannot parse; one of them must not spoil the others.
    found.certs.into_iter().filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok()).collect()
}

/// The built-in public roots and those of the system.
pub fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(system_certificates());
    roots
}

/// For a client that verifies the name against these roots.
pub fn verified_by(roots: RootCertStore) -> ClientConfig {
    builder().with_root_certificates(roots).with_no_client_auth()
}

pub fn client_config(verification: Verification, identity: Option<ClientIdentity>) -> Result<ClientConfig, TlsError> {
    let verifier = Arc::new(Verifier::new(verification)?);
    let builder = builder().dangerous().with_custom_certificate_verifier(verifier);
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(TlsError::Mismatch),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports TLS 1.2 and 1.3")
}

/// Verifies as libpq's sslmode says.
#[derive(Debug)]
struct Verifier {
    provider: CryptoProvider,
    /// `None` accepts every certificate.
    chain: Option<Arc<WebPkiServerVerifier>>,
    pinned: Vec<CertificateDer<'static>>,
    checks_name: bool,
}

impl Verifier {
    fn new(verification: Verification) -> Result<Self, TlsError> {
        let provider = ring::default_provider();
        let (roots, pinned, checks_name) = match verification {
            Verification::None => return Ok(Self { provider, chain: None, pinned: Vec::new(), checks_name: false }),
            Verification::Chain { roots, pinned } => (roots, pinned, false),
            Verification::Name { roots, pinned } => (roots, pinned, true),
        };
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider.clone())).build();
        let chain = chain.map_err(|error| TlsError::Missing("the list of roots".to_owned(), no_roots(&error)))?;
        Ok(Self { provider, chain: Some(chain), pinned, checks_name })
    }
}

fn no_roots(_: &rustls::client::VerifierBuilderError) -> &'static str {
    "trusted certificate"
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // A self-signed server's certificate is its own root. rustls takes no CA certificate for a server's.
        if self.pinned.iter().any(|pinned| pinned.as_ref() == end_entity.as_ref()) {
            if self.checks_name {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        // The name is checked last, after the chain.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.chain {
            Some(chain) => chain.verify_tls12_signature(message, cert, dss),
            // Whoever may show any certificate gains nothing by a signature of it.
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.chain {
            Some(chain) => chain.verify_tls13_signature(message, cert, dss),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
