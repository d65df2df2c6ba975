use std::{fmt, io, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion, client::WebPkiServerVerifier,
    sign::SingleCertAndKey,
};
use rustls_pki_types::ServerName;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::{
    net::Socket,
    tls::{
        Alpn, Identity, Pem, TlsError, alpn,
        pem::Contents,
        provider,
        reload::{DEFAULT_INTERVAL, Reloading, Source},
        roots,
        sniff::Sniff,
        versions,
    },
};

/// How one side that dials verifies the other, and what it shows of itself. Clones are the same.
///
/// The other side's certificate is always verified: it leads to a CA that is believed, is valid now, and has the name. Once a
/// connection was made, the files are read again from time to time; what has changed holds for the next connection. Files
/// that are wrong change nothing, and are logged.
#[derive(Clone)]
pub struct ClientTls(Arc<Reloading<ClientSource>>);

impl ClientTls {
    /// Starts to describe it. As it is then, it believes the CAs of the system.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder {
            cas: Vec::new(),
            system_roots: false,
            identity: None,
            server_name: None,
            versions: versions::ALL,
            interval: DEFAULT_INTERVAL,
        }
    }

    /// Reads the files now, and says whether they had changed. The next connections use them. The CAs of the system are not
    /// read again.
    ///
    /// Blocks while files are read.
    ///
    /// # Errors
    ///
    /// What is wrong, and in which file. Then everything stays as it was.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.0.reload()
    }

    /// Does the handshake with the server of this name or address. Must be called on a runtime; dropping the future gives the
    /// connection up.
    pub(crate) async fn connect<T: Socket>(
        &self,
        host: &str,
        offered: Alpn,
        socket: T,
    ) -> io::Result<TlsStream<Sniff<T>>> {
        self.0.watch();
        let name = match &self.0.source().server_name {
            Some(name) => name.clone(),
            // An address of IPv6 stands in brackets in a URI.
            None => {
                ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?
            }
        };
        let connector = TlsConnector::from(self.0.current());
        let connector = connector.with_alpn(offered.names());
        let stream = connector.connect(name, Sniff::at_client(socket)).await?;
        if offered == Alpn::Http2 && !alpn::is_http2(stream.get_ref().1.alpn_protocol()) {
            return Err(io::Error::other("the server does not offer HTTP/2 by ALPN"));
        }
        Ok(TlsStream::Client(stream))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().fmt(f)
    }
}

/// A client's TLS that is being described.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before `build`"]
pub struct ClientTlsBuilder {
    cas: Vec<Pem>,
    system_roots: bool,
    identity: Option<Identity>,
    server_name: Option<String>,
    versions: &'static [&'static SupportedProtocolVersion],
    interval: Duration,
}

impl ClientTlsBuilder {
    /// Believes the CAs in this PEM, instead of those of the system.
    pub fn ca(mut self, ca: Pem) -> Self {
        self.cas.push(ca);
        self
    }

    /// Believes the CAs of the system, beside those that are [given](Self::ca).
    pub fn system_roots(mut self) -> Self {
        self.system_roots = true;
        self
    }

    /// Shows this certificate to servers that ask for one.
    pub fn client_certificate(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The name (or IP address) that is asked for and that the server's certificate must have, instead of the host that is
    /// dialled.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Refuses servers that have only TLS 1.2.
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
    /// What is wrong, and in which file: it cannot be read, is no PEM, lacks what is needed; the key does not belong to its
    /// certificate; the server's name is none; the system has no CAs.
    pub fn build(self) -> Result<ClientTls, TlsError> {
        let server_name = match self.server_name {
            None => None,
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| {
                TlsError::new(format!(
                    "{name:?} is no name of a server: write one such as app.example.com"
                ))
            })?),
        };
        let system = match self.cas.is_empty() || self.system_roots {
            true => roots::of_system()?,
            false => RootCertStore::empty(),
        };
        let source = ClientSource {
            cas: self.cas,
            system,
            identity: self.identity,
            server_name,
            versions: self.versions,
        };
        Reloading::load(source, self.interval).map(ClientTls)
    }
}

/// What a client's configuration is made of.
struct ClientSource {
    cas: Vec<Pem>,
    system: RootCertStore,
    identity: Option<Identity>,
    server_name: Option<ServerName<'static>>,
    versions: &'static [&'static SupportedProtocolVersion],
}

impl Source for ClientSource {
    type Config = ClientConfig;

    fn pems(&self) -> Vec<&Pem> {
        let identity = self.identity.iter().flat_map(Identity::pems);
        self.cas.iter().chain(identity).collect()
    }

    fn build(&self, contents: &Contents) -> Result<ClientConfig, TlsError> {
        let provider = provider();
        let internal = |error: &dyn fmt::Display| TlsError::new(error.to_string());
        let mut store = self.system.clone();
        for pem in &self.cas {
            roots::add(&mut store, pem, contents)?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
            .build()
            .map_err(|error| internal(&error))?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions)
            .map_err(|error| internal(&error))?
            .with_webpki_verifier(verifier);
        let Some(identity) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let certified = identity.load_for_use(contents, &provider)?.certified;
        let shown = SingleCertAndKey::from(Arc::unwrap_or_clone(certified));
        Ok(builder.with_client_cert_resolver(Arc::new(shown)))
    }
}

impl fmt::Debug for ClientSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("cas", &self.cas)
            .field("identity", &self.identity)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
