//! The gateways that an agent was given, and where they are.

use std::{fmt, future::Future, hash::RandomState, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};
use tokio::time::timeout;

use super::AgentError;
use crate::srv::{self, Dns, SrvName};
#[cfg(feature = "tls")]
use crate::tls::{ClientTls, ClientTlsBuilder};

/// The most gateways that an agent has sessions with at one time.
pub(super) const MAX_GATEWAYS: usize = 8;

/// A gateway, as it was named.
pub(super) struct Target {
    /// As it was written.
    pub(super) named: Uri,
    /// The origin of the calls.
    pub(super) uri: Uri,
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    /// The name whose SRV records say where the gateways are.
    srv: Option<Box<str>>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ClientTls>,
}

/// One address of a gateway.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) target: Arc<Target>,
    pub(super) addr: SocketAddr,
}

/// What a resolver answers: boxed, because it is called seldom.
type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

type Resolve = dyn Fn(String, u16) -> Resolving + Send + Sync;

/// Who knows the addresses of a name.
#[derive(Clone)]
pub(super) enum Resolver {
    System,
    Asked(Arc<Resolve>),
}

/// Whom an agent asks for addresses.
#[derive(Clone)]
pub(super) struct Resolvers {
    pub(super) names: Resolver,
    pub(super) dns: Dns,
    /// For lots among servers that SRV records name: they fall alike in the life of an agent.
    pub(super) seed: RandomState,
}

impl Resolvers {
    pub(super) fn new() -> Self {
        Self {
            names: Resolver::System,
            dns: Dns::system(),
            seed: RandomState::new(),
        }
    }

    /// Addresses in the order in which they are wanted, and for how long they are right, if that is known.
    async fn lookup(&self, target: &Target) -> io::Result<(Vec<SocketAddr>, Option<Duration>)> {
        let Some(name) = &target.srv else {
            return Ok((self.names.lookup(&target.host, target.port).await?, None));
        };
        let answer = self.dns.look_up(name).await?;
        let servers = srv::by_priority(&answer.servers, &self.seed);
        let addresses = servers.into_iter().map(|server| server.address);
        Ok((addresses.collect(), Some(answer.ttl)))
    }
}

impl Resolver {
    pub(super) fn asked<F, Fut>(resolve: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self::Asked(Arc::new(move |host, port| Box::pin(resolve(host, port))))
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
            Self::Asked(resolve) => resolve(host.to_owned(), port).await,
        }
    }
}

impl Target {
    /// Reads an address such as `https://gateway.example:7000`.
    pub(super) fn parse(text: &str) -> Result<Self, AgentError> {
        let wrong = |why: &str| {
            AgentError::config(format!(
                "the gateway's address {text:?} {why}; it must look like https://gateway.example:7000 (or http:// without TLS)"
            ))
        };
        let named: Uri = text.parse().map_err(|_| wrong("is no URI"))?;
        let (srv, uri) = match SrvName::split(text).map_err(wrong)? {
            Some((srv, origin)) => (Some(srv.name), origin.parse().map_err(|_| wrong("is no URI"))?),
            None => (None, named.clone()),
        };
        let port = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => 80,
            Some(scheme) if *scheme == Scheme::HTTPS && cfg!(feature = "tls") => 443,
            Some(scheme) if *scheme == Scheme::HTTPS => {
                return Err(wrong("asks for TLS, for which this program was not built"));
            }
            _ => return Err(wrong("has no scheme, or an unknown one")),
        };
        if uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("has a path"));
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("has no host"))?;
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Ok(Self {
            host: literal.unwrap_or(host).to_owned(),
            port: uri.port_u16().unwrap_or(port),
            srv,
            #[cfg(feature = "tls")]
            tls: None,
            named,
            uri,
        })
    }

    /// Says how the gateway is verified, if its address says that it speaks TLS.
    #[cfg(feature = "tls")]
    pub(super) fn with_tls(mut self, asked: Option<ClientTlsBuilder>) -> Result<Self, AgentError> {
        if self.is_tls() {
            let tls = asked.unwrap_or_else(ClientTls::builder).build();
            self.tls = Some(tls.map_err(AgentError::tls)?);
        } else if asked.is_some() {
            return Err(AgentError::config(format!(
                "there are settings of TLS for {}, which has none: write https instead of http",
                self.named
            )));
        }
        Ok(self)
    }

    #[cfg(feature = "tls")]
    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Its address, if that is what it was named by.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        if self.srv.is_some() {
            return None;
        }
        let address = self.host.parse().ok()?;
        Some(SocketAddr::new(address, self.port))
    }

    /// All addresses that it has now, and for how long they are right, if that is known.
    pub(super) async fn resolve(
        &self,
        resolvers: &Resolvers,
        within: Duration,
    ) -> Result<(Vec<SocketAddr>, Option<Duration>), AgentError> {
        if let Some(address) = self.literal() {
            return Ok((vec![address], None));
        }
        let cannot = |why: &dyn fmt::Display| {
            AgentError::connect(format!("cannot find an address of {}: {why}", self.named))
        };
        match timeout(within, resolvers.lookup(self)).await {
            Ok(Ok((found, _))) if found.is_empty() => Err(cannot(&"the name has none")),
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(cannot(&error).with_source(error)),
            Err(_) => Err(cannot(&format_args!("no answer within {within:?}"))),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.named)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target.named)?;
        if self.target.literal().is_none() {
            write!(f, " ({})", self.addr)?;
        }
        Ok(())
    }
}
