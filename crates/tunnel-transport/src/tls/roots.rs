//! The CAs that one side believes.

use rustls::RootCertStore;

use crate::tls::{Pem, TlsError, pem::Contents};

/// Adds every certificate of a PEM.
pub(super) fn add(store: &mut RootCertStore, pem: &Pem, contents: &Contents) -> Result<(), TlsError> {
    for (index, certificate) in contents.certificates(pem)?.into_iter().enumerate() {
        store.add(certificate).map_err(|error| {
            let message = format!("certificate {} in it cannot be a CA: {error}", index + 1);
            TlsError::of(pem.path(), message)
        })?;
    }
    Ok(())
}

/// The CAs of this system: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` if set, else of the operating system.
pub(super) fn of_system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Systems have some that nobody can parse.
    store.add_parsable_certificates(found.certs);
    if !store.is_empty() {
        return Ok(store);
    }
    let why = found.errors.first().map(|error| format!(" ({error})"));
    Err(TlsError::new(format!(
        "this system has no CAs{}: install its package of them (ca-certificates), or name a CA",
        why.unwrap_or_default()
    )))
}
