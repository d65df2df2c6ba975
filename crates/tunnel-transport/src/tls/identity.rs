use std::{sync::Arc, time::SystemTime};

use rustls::{Error, InconsistentKeys, crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::DnsName;

use crate::tls::{
    Pem, TlsError,
    pem::Contents,
    x509::{self, Details},
};

/// A certificate with its chain, and the private key of it: what one side of a connection shows of itself.
///
/// The certificate comes first in its PEM, then those that lead to the CA. Both may stand in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    certificate: Pem,
    key: Pem,
    names: Option<Vec<String>>,
}

impl Identity {
    /// This certificate and this key.
    #[must_use]
    pub fn new(certificate: Pem, key: Pem) -> Self {
        Self {
            certificate,
            key,
            names: None,
        }
    }

    /// The certificate and the key in these files.
    pub fn files(certificate: impl Into<std::path::PathBuf>, key: impl Into<std::path::PathBuf>) -> Self {
        Self::new(Pem::file(certificate), Pem::file(key))
    }

    /// A server shows it to clients that ask for one of these names: exact ones, or `*.` and a name, which stands for exactly one
    /// label. By default they are the names in the certificate.
    #[must_use]
    pub fn for_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Reads both, and finds out whether they can be used.
    ///
    /// Blocks while files are read.
    ///
    /// # Errors
    ///
    /// What is wrong, and in which file.
    pub fn check(&self) -> Result<(), TlsError> {
        let contents = Contents::read(&self.pems())?;
        self.load(&contents, &crate::tls::provider()).map(drop)
    }

    pub(super) fn pems(&self) -> [&Pem; 2] {
        [&self.certificate, &self.key]
    }

    fn load(&self, contents: &Contents, provider: &CryptoProvider) -> Result<Loaded, TlsError> {
        let chain = contents.certificates(&self.certificate)?;
        let key = contents.key(&self.key)?;
        let wrong = |message: &str| TlsError::of(self.certificate.path(), message);
        let details = x509::details(&chain[0])
            .map_err(|error| wrong(&format!("the first certificate in it cannot be read: {error}")))?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| self.explain(&error))?;
        Ok(Loaded {
            certified: Arc::new(certified),
            names: self.names(&details)?,
            not_before: details.not_before,
            not_after: details.not_after,
        })
    }

    fn explain(&self, error: &Error) -> TlsError {
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let certificate = match self.certificate.path() {
                    Some(path) => format!("the first certificate in {}", path.display()),
                    None => "the first certificate".to_owned(),
                };
                let message = format!("the private key does not belong to {certificate}");
                TlsError::of(self.key.path(), message)
            }
            Error::InvalidCertificate(error) => {
                let message = format!("the first certificate in it cannot be used: {error:?}");
                TlsError::of(self.certificate.path(), message)
            }
            error => TlsError::of(
                self.key.path(),
                format!("the private key in it cannot be used: {error}"),
            ),
        }
    }

    /// The names for which a server shows it, in lower case.
    fn names(&self, details: &Details) -> Result<Vec<String>, TlsError> {
        let Some(names) = &self.names else {
            return Ok(details.dns_names.iter().map(|name| name.to_lowercase()).collect());
        };
        for name in names {
            if DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_err() {
                let right = "write one such as app.example.com or *.example.com";
                return Err(TlsError::new(format!("{name:?} is no name of a server: {right}")));
            }
        }
        Ok(names.iter().map(|name| name.to_lowercase()).collect())
    }

    /// What was loaded, for use. One that is not valid now is used all the same, and logged: the clock may be wrong, and who
    /// connects decides.
    pub(super) fn load_for_use(
        &self,
        contents: &Contents,
        provider: &CryptoProvider,
    ) -> Result<Loaded, TlsError> {
        let loaded = self.load(contents, provider)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let file = self.certificate.path();
        if loaded.not_after < now {
            tracing::warn!(?file, "a certificate has expired; who verifies it will refuse it");
        } else if loaded.not_before > now {
            tracing::warn!(
                ?file,
                "a certificate is not valid yet; who verifies it will refuse it"
            );
        }
        Ok(loaded)
    }
}

/// What was loaded.
pub(super) struct Loaded {
    pub(super) certified: Arc<CertifiedKey>,
    /// In lower case.
    pub(super) names: Vec<String>,
    not_before: i64,
    not_after: i64,
}
