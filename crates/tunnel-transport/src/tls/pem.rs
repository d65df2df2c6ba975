use std::{
    collections::BTreeMap,
    fmt, fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error, PemObject},
};

use crate::tls::TlsError;

/// The largest file that is read, in bytes: a bundle of all public CAs has a quarter of that.
const MAX_BYTES: u64 = 1024 * 1024;

/// Certificates or a key in PEM (RFC 7468): a file, or bytes. `Debug` shows the path, never the bytes.
///
/// A file is read again when it changes; bytes stay as they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Source);

#[derive(Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

impl Pem {
    /// What stands in this file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// What stands in these bytes.
    pub fn bytes(pem: impl AsRef<[u8]>) -> Self {
        Self(Source::Bytes(pem.as_ref().into()))
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::File(path) => Some(path),
            Source::Bytes(_) => None,
        }
    }

    fn wrong(&self, message: impl Into<String>) -> TlsError {
        TlsError::of(self.path(), message)
    }

    fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
        let wrong = |message| TlsError::of(Some(path), message);
        let unreadable = |error| wrong(format!("the file cannot be read: {error}"));
        let length = fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_BYTES {
            return Err(wrong(
                "the file has more than 1 MiB; no PEM is so large".to_owned(),
            ));
        }
        fs::read(path).map_err(unreadable)
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::File(path) => f.debug_tuple("Pem").field(path).finish(),
            Source::Bytes(bytes) => write!(f, "Pem({} bytes)", bytes.len()),
        }
    }
}

/// What stood in some files when they were read.
pub(super) struct Contents(BTreeMap<PathBuf, Vec<u8>>);

impl Contents {
    /// Reads every file once.
    pub(super) fn read(pems: &[&Pem]) -> Result<Self, TlsError> {
        let mut files = BTreeMap::new();
        for path in pems.iter().filter_map(|pem| pem.path()) {
            if !files.contains_key(path) {
                files.insert(path.to_owned(), Pem::read(path)?);
            }
        }
        Ok(Self(files))
    }

    /// Whether there is nothing that could change.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number that tells other contents apart.
    pub(super) fn fingerprint(&self, state: &RandomState) -> u64 {
        state.hash_one(&self.0)
    }

    /// The certificates, at least one.
    pub(super) fn certificates(&self, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = self.of(pem);
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| pem.wrong(explain(&error)))?;
        if !certificates.is_empty() {
            return Ok(certificates);
        }
        Err(pem.wrong(match PrivateKeyDer::from_pem_slice(bytes) {
            Ok(_) => "there is a private key and no certificate in it: the key stands in the place of the certificate",
            Err(_) => "there is no certificate in it: `-----BEGIN CERTIFICATE-----` is missing",
        }))
    }

    /// The first private key.
    pub(super) fn key(&self, pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
        let bytes = self.of(pem);
        PrivateKeyDer::from_pem_slice(bytes).map_err(|error| {
            pem.wrong(match error {
                Error::NoItemsFound if is_encrypted(bytes) => {
                    "the private key is encrypted: decrypt it with `openssl pkey -in FILE -out FILE`"
                        .to_owned()
                }
                Error::NoItemsFound => {
                    "there is no private key in it: PKCS #8, PKCS #1 and SEC1 are known".to_owned()
                }
                error => explain(&error),
            })
        })
    }

    fn of<'a>(&'a self, pem: &'a Pem) -> &'a [u8] {
        match &pem.0 {
            Source::File(path) => self.0.get(path).map_or(&[], Vec::as_slice),
            Source::Bytes(bytes) => bytes,
        }
    }
}

fn is_encrypted(bytes: &[u8]) -> bool {
    let marker = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    bytes.windows(marker.len()).any(|window| window == marker)
}

/// The reader's words would repeat lines of the file.
fn explain(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { .. } => "it is no PEM: a section has no END line",
        Error::IllegalSectionStart { .. } => "it is no PEM: a BEGIN line is broken",
        Error::Base64Decode(_) => "it is no PEM: a section is no valid base64",
        _ => "it is no PEM",
    }
    .to_owned()
}
