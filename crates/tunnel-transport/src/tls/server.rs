use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::Ticketer,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::tls::{
    Alpn, Identity, Pem, TlsError,
    pem::Contents,
    provider,
    reload::{DEFAULT_INTERVAL, Reloading, Source},
    roots,
    sni::BySni,
    versions,
};

/// TLS of a port: certificates, and whether clients show some. Clones are the same; several ports may share it.
///
/// While a port is served, the files are read again from time to time; what has changed holds for connections that come
/// after it, and those that are open stay. Files that are wrong change nothing, and are logged.
#[derive(Clone)]
pub struct ServerTls(Arc<Reloading<ServerSource>>);

impl ServerTls {
    /// Starts to describe a server. It needs a certificate.
    pub fn builder() -> ServerTlsBuilder {
        ServerTlsBuilder {
            identities: Vec::new(),
            client_certificates: None,
            versions: versions::ALL,
            interval: DEFAULT_INTERVAL,
        }
    }

    /// Reads the files now, and says whether they had changed. New connections use them at once.
    ///
    /// Blocks while files are read.
    ///
    /// # Errors
    ///
    /// What is wrong, and in which file. Then everything stays as it was.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.0.reload()
    }

    /// Reads the files from time to time from now on, on this runtime.
    pub(crate) fn watch(&self) {
        self.0.watch();
    }

    /// What verifies the certificates of clients now; none if they are not asked for any.
    pub(super) fn verifier(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        self.0.current().verifier.clone()
    }

    /// For a port that offers HTTP/2 only, or HTTP/1.1 as well.
    pub(crate) fn config(&self, alpn: Alpn) -> Arc<ServerConfig> {
        let current = self.0.current();
        match alpn {
            Alpn::Http2 => current.http2.clone(),
            Alpn::Http1 | Alpn::Either => current.either.clone(),
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().fmt(f)
    }
}

/// A server's TLS that is being described.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before `build`"]
pub struct ServerTlsBuilder {
    identities: Vec<Identity>,
    client_certificates: Option<ClientCertificates>,
    versions: &'static [&'static SupportedProtocolVersion],
    interval: Duration,
}

#[derive(Clone, Debug)]
struct ClientCertificates {
    cas: Vec<Pem>,
    required: bool,
}

impl ServerTlsBuilder {
    /// Adds a certificate. A client gets the one that has the name for which it asks (SNI), exactly or by a wildcard; one that asks
    /// for no name or an unknown one gets the first. Of several with the same name it gets the first whose key it can verify.
    pub fn certificate(mut self, identity: Identity) -> Self {
        self.identities.push(identity);
        self
    }

    /// Clients must show a certificate that leads to one of these CAs; without one there is no connection.
    ///
    /// Each connection does a whole handshake then, so that an expired certificate or a CA that was taken out counts from
    /// the next connection on.
    pub fn require_client_certificates(self, cas: impl IntoIterator<Item = Pem>) -> Self {
        self.client_certificates(cas, true)
    }

    /// Clients may show a certificate; if they do, it must lead to one of these CAs. Otherwise as
    /// [`require_client_certificates`](Self::require_client_certificates).
    pub fn request_client_certificates(self, cas: impl IntoIterator<Item = Pem>) -> Self {
        self.client_certificates(cas, false)
    }

    fn client_certificates(mut self, cas: impl IntoIterator<Item = Pem>, required: bool) -> Self {
        let cas = cas.into_iter().collect();
        self.client_certificates = Some(ClientCertificates { cas, required });
        self
    }

    /// Refuses TLS 1.2; by default it is taken beside TLS 1.3.
    pub fn tls13_only(mut self) -> Self {
        self.versions = versions::ONLY_1_3;
        self
    }

    /// How often the files are read to see whether they have changed (default 2 s, at least 10 ms).
    pub fn reload_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// What is wrong, and in which file: it cannot be read, is no PEM, lacks what is needed; a key does not belong to its
    /// certificate; there is no certificate, or no CA.
    pub fn build(self) -> Result<ServerTls, TlsError> {
        if self.identities.is_empty() {
            return Err(TlsError::new("a server needs a certificate"));
        }
        let source = ServerSource {
            identities: self.identities,
            client_certificates: self.client_certificates,
            versions: self.versions,
        };
        Reloading::load(source, self.interval).map(ServerTls)
    }
}

/// What a server's configuration is made of.
struct ServerSource {
    identities: Vec<Identity>,
    client_certificates: Option<ClientCertificates>,
    versions: &'static [&'static SupportedProtocolVersion],
}

/// The configurations of the ports, which differ in what they offer by ALPN.
struct Configs {
    http2: Arc<ServerConfig>,
    either: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Source for ServerSource {
    type Config = Configs;

    fn pems(&self) -> Vec<&Pem> {
        let cas = self.client_certificates.iter().flat_map(|clients| &clients.cas);
        self.identities
            .iter()
            .flat_map(Identity::pems)
            .chain(cas)
            .collect()
    }

    fn build(&self, contents: &Contents) -> Result<Configs, TlsError> {
        let provider = provider();
        let mut certificates = BySni::default();
        for identity in &self.identities {
            certificates.add(identity.load_for_use(contents, &provider)?);
        }
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .map_err(|error| TlsError::new(error.to_string()))?;
        let clients = self.client_certificates.as_ref();
        let verifier = clients.map(|clients| clients.verifier(contents)).transpose()?;
        let mut config = match &verifier {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
        }
        .with_cert_resolver(Arc::new(certificates));
        // Everything about resumption is new with each configuration, so that no session outlives the files of its time.
        if verifier.is_some() {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = Ticketer::new().map_err(|error| TlsError::new(error.to_string()))?;
        }
        let for_port = |alpn: Alpn| {
            let mut config = config.clone();
            config.alpn_protocols = alpn.names();
            Arc::new(config)
        };
        Ok(Configs {
            http2: for_port(Alpn::Http2),
            either: for_port(Alpn::Either),
            verifier,
        })
    }
}

impl ClientCertificates {
    fn verifier(&self, contents: &Contents) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut store = RootCertStore::empty();
        for pem in &self.cas {
            roots::add(&mut store, pem, contents)?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider());
        let builder = if self.required {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        builder.build().map_err(|_| {
            TlsError::new("clients cannot be asked for certificates without a CA that those lead to")
        })
    }
}

impl fmt::Debug for ServerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("identities", &self.identities)
            .field("client_certificates", &self.client_certificates)
            .finish_non_exhaustive()
    }
}
