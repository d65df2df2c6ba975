use std::{fmt, sync::Arc};

use rustls_pki_types::{CertificateDer, UnixTime};
use tokio_rustls::TlsStream;

use crate::tls::{ServerTls, TlsError};

/// The certificates that a client has shown in its handshake, its own one first. A connection may live for weeks, so they can be
/// verified again: by what the port's files say now.
#[derive(Clone)]
pub(crate) struct Shown {
    chain: Arc<[CertificateDer<'static>]>,
    tls: ServerTls,
}

impl Shown {
    /// None if the client showed none.
    pub(crate) fn of<T>(stream: &TlsStream<T>, tls: &ServerTls) -> Option<Self> {
        let chain = stream.get_ref().1.peer_certificates()?;
        Some(Self {
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
            tls: tls.clone(),
        })
    }

    /// Verifies them as a handshake would now.
    ///
    /// # Errors
    ///
    /// Why there would be no connection: the certificate has expired, or leads to none of the CAs any more.
    pub(crate) fn verify(&self) -> Result<(), TlsError> {
        let (Some((own, others)), Some(verifier)) = (self.chain.split_first(), self.tls.verifier()) else {
            return Ok(());
        };
        let verified = verifier.verify_client_cert(own, others, UnixTime::now());
        verified
            .map(drop)
            .map_err(|error| TlsError::new(error.to_string()))
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}
