//! How an agent is described.

use std::{fmt, future::Future, path::PathBuf, sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};
use tokio::sync::watch;
use tonic::server::NamedService;
use tunnel_core::{AgentId, BoxError, CreditBudget, GroupName, InstanceId, Settings, flow::DEFAULT_BUDGET};

use super::{
    Agent, AgentError, AgentToken, Backoff, Shared, Status,
    token::{TokenSource, bearer},
};
#[cfg(feature = "tls")]
use crate::tls::{ClientTls, ClientTlsBuilder, Identity, Pem};
use crate::{
    host_name::{HOST_RULE, host_name},
    net::Dialer,
    runtime::random,
    service_name::is_service_name,
};

/// How long dialling, and each step of opening a session, may take.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long exchanges may go on when the agent stops.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);
/// The most lanes of a session.
const MAX_LANES: u32 = 8;
/// The most gRPC services, and hosts, that an agent registers.
const MAX_SERVICES: usize = 1_000;

/// The token, as it was given.
#[derive(Clone)]
enum Token {
    Text(String),
    Source(TokenSource),
}

/// An agent that is being described.
#[derive(Clone)]
#[must_use = "a builder does nothing before `build`"]
pub struct AgentBuilder {
    gateway: String,
    id: Option<String>,
    groups: Vec<String>,
    services: Vec<String>,
    hosts: Vec<String>,
    token: Token,
    weight: u32,
    lanes: u32,
    settings: Settings,
    budget: usize,
    backoff: Backoff,
    connect_timeout: Duration,
    dialer: Option<Dialer>,
    drain: Duration,
    #[cfg(feature = "tls")]
    tls: Option<ClientTlsBuilder>,
}

impl AgentBuilder {
    pub(super) fn new(gateway: String) -> Self {
        Self {
            gateway,
            id: None,
            groups: Vec::new(),
            services: Vec::new(),
            hosts: Vec::new(),
            token: Token::Source(TokenSource::None),
            weight: 1,
            lanes: 1,
            settings: Settings::default(),
            budget: DEFAULT_BUDGET,
            backoff: Backoff::DEFAULT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            dialer: None,
            drain: DEFAULT_DRAIN,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// How the gateway is verified and what the agent shows of itself, for an address with `https`. By default the gateway's
    /// certificate must lead to a CA of the system.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTlsBuilder) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The gateway's certificate must lead to a CA in this PEM, and not to one of the system; short for
    /// [`tls`](Self::tls) with [`ca`](ClientTlsBuilder::ca).
    #[cfg(feature = "tls")]
    pub fn ca(mut self, ca: Pem) -> Self {
        self.tls = Some(self.tls.unwrap_or_else(ClientTls::builder).ca(ca));
        self
    }

    /// The certificate that the agent shows to the gateway; short for [`tls`](Self::tls) with
    /// [`client_certificate`](ClientTlsBuilder::client_certificate).
    #[cfg(feature = "tls")]
    pub fn client_certificate(mut self, identity: Identity) -> Self {
        let tls = self.tls.unwrap_or_else(ClientTls::builder);
        self.tls = Some(tls.client_certificate(identity));
        self
    }

    /// The agent's name: 1 to 253 of the characters `a-z A-Z 0-9 - _ .`. Random by default.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds a group that this agent serves; at least one is needed.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Registers the name of this gRPC service with the gateway: where its routing asks for it, calls of the service that
    /// no rule matches go to the first group of this agent. Serve it, too, as tonic's `Routes` for instance; nothing is
    /// done with it here.
    ///
    /// A service is one group's: that of the agent that registered it first. Whoever may register the group may register
    /// services for it.
    pub fn grpc_service<S: NamedService>(self, service: &S) -> Self {
        let _ = service;
        self.grpc_service_name(S::NAME)
    }

    /// Registers a gRPC service, as [`grpc_service`](Self::grpc_service) does, by its full name, such as
    /// `billing.v1.Invoices`: for a service behind an [`Upstream`](crate::Upstream). 1 to 253 of the characters
    /// `a-z A-Z 0-9 _ .`; at most 1,000 services.
    pub fn grpc_service_name(mut self, name: impl Into<String>) -> Self {
        self.services.push(name.into());
        self
    }

    /// Registers a host that this agent serves in each of its groups: where a rule of the gateway asks for it, requests for the host go
    /// only to agents that have registered it. A name in ASCII, such as `www.example.com`, without port; its case means nothing. At
    /// most 1,000 hosts.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// The token that the gateway knows.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Token::Text(token.into());
        self
    }

    /// The token that this function gives: it is asked for each session, and again while the session lives, so that the gateway
    /// has the newest one, and the session outlives the first. The name that the gateway knows the agent by has to stay the same.
    ///
    /// While it fails, no session is opened, and one that is open goes on. Its errors are logged.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tunnel_transport::{Agent, AgentToken};
    ///
    /// let agent = Agent::builder("https://gateway.example:7000").group("web").token_source(|| async {
    ///     // Here stands a call to whoever issues tokens.
    ///     let token = "a-token-of-five-minutes";
    ///     Ok(AgentToken::new(token).refresh_after(Duration::from_secs(240)))
    /// });
    /// ```
    pub fn token_source<F, Fut>(mut self, source: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<AgentToken, BoxError>> + Send + 'static,
    {
        self.token = Token::Source(TokenSource::asked(source));
        self
    }

    /// The token that stands alone in this file, which is read for each session, and again every
    /// [`AgentToken::DEFAULT_INTERVAL`]; see [`token_source`](Self::token_source).
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token = Token::Source(TokenSource::file(path.into()));
        self
    }

    /// The token out of the environment variable `TUNNEL_TOKEN`, if that is set.
    pub fn token_from_env(mut self) -> Self {
        if let Ok(token) = std::env::var("TUNNEL_TOKEN") {
            self.token = Token::Text(token);
        }
        self
    }

    /// The agent's share of new exchanges, relative to the others of its groups: 1 to 1,000, by default 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight.clamp(1, 1_000);
        self
    }

    /// The `Proxy` streams of a session: 1 to 8, by default 1. More pay only with more cores.
    pub fn lanes(mut self, lanes: u32) -> Self {
        self.lanes = lanes.clamp(1, MAX_LANES);
        self
    }

    /// What this end takes from the gateway. Values beyond their bounds are brought into them.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings.clamped();
        self
    }

    /// The credit that the gateway is granted over all exchanges, in bytes; 256 MiB by default.
    pub fn credit_budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The delays between tries to connect; by default from 200 ms to 8 s, with full jitter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long dialling, and each step of opening a session, may take; 10 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Dials by this function instead of TCP; TLS, where the address asks for it, runs over what it gives.
    ///
    /// ```
    /// use tokio::net::TcpStream;
    /// use tunnel_transport::{Agent, net::Dialer};
    ///
    /// // Whatever the name of the gateway means here, it is reached by a relay on this machine.
    /// let relay = Dialer::new(|_host, _port| TcpStream::connect(("127.0.0.1", 9000)));
    /// let agent = Agent::builder("https://gateway.example:7000").group("web").dialer(relay);
    /// ```
    pub fn dialer(mut self, dialer: Dialer) -> Self {
        self.dialer = Some(dialer);
        self
    }

    /// How long exchanges may go on when the agent stops; 30 s by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain = timeout;
        self
    }

    /// The agent.
    ///
    /// # Errors
    ///
    /// The address, a name or the token cannot be used; the text says which, and what would be right.
    pub fn build(self) -> Result<Agent, AgentError> {
        let (gateway, address) = parse_gateway(&self.gateway)?;
        #[cfg(feature = "tls")]
        let tls = client_tls(self.tls, &gateway)?;
        let instance = InstanceId::from_random(random());
        let id = self.id.unwrap_or_else(|| format!("agent-{instance}"));
        let id: AgentId = id
            .parse()
            .map_err(|error| AgentError::config(format!("the agent's id: {error}")))?;
        if self.groups.is_empty() {
            return Err(AgentError::config(
                "an agent needs at least one group: name it with `group`",
            ));
        }
        let group = |name: &String| {
            name.parse::<GroupName>()
                .map_err(|error| AgentError::config(format!("the agent's group: {error}")))
        };
        let groups = self.groups.iter().map(group).collect::<Result<_, _>>()?;
        if let Some(name) = self.services.iter().find(|name| !is_service_name(name)) {
            return Err(AgentError::config(format!(
                "{name:?} is no gRPC service: use 1 to 253 of the characters a-z, A-Z, 0-9, '_' and '.'"
            )));
        }
        if self.services.len() > MAX_SERVICES {
            return Err(AgentError::config(
                "an agent registers at most 1,000 gRPC services",
            ));
        }
        let hosts = hosts(&self.hosts)?;
        let token = self.token.build()?;
        Ok(Agent(Arc::new(Shared {
            gateway,
            address,
            #[cfg(feature = "tls")]
            tls,
            id,
            instance,
            groups,
            services: self.services,
            hosts,
            token,
            weight: self.weight,
            lanes: self.lanes,
            settings: self.settings,
            budget: CreditBudget::new(self.budget),
            backoff: self.backoff,
            connect_timeout: self.connect_timeout,
            dialer: self.dialer,
            drain: self.drain,
            status: watch::Sender::new(Status::Connecting),
        })))
    }
}

fn hosts(texts: &[String]) -> Result<Vec<String>, AgentError> {
    if texts.len() > MAX_SERVICES {
        return Err(AgentError::config("an agent registers at most 1,000 hosts"));
    }
    let host = |text: &String| {
        let wrong = || AgentError::config(format!("{text:?} is no host: {HOST_RULE}"));
        host_name(text).ok_or_else(wrong)
    };
    texts.iter().map(host).collect()
}

/// How the gateway is verified, if its address says that it speaks TLS.
#[cfg(feature = "tls")]
fn client_tls(asked: Option<ClientTlsBuilder>, gateway: &Uri) -> Result<Option<ClientTls>, AgentError> {
    match asked {
        asked if gateway.scheme() == Some(&Scheme::HTTPS) => {
            let tls = asked.unwrap_or_else(ClientTls::builder).build();
            tls.map(Some).map_err(AgentError::tls)
        }
        None => Ok(None),
        Some(_) => Err(AgentError::config(format!(
            "there are settings of TLS for {gateway}, which has none: write https instead of http"
        ))),
    }
}

/// The origin of the calls, and what to dial.
fn parse_gateway(text: &str) -> Result<(Uri, String), AgentError> {
    let wrong = |why: &str| {
        AgentError::config(format!(
            "the gateway's address {text:?} {why}; it must look like https://gateway.example:7000 (or http:// without TLS)"
        ))
    };
    let uri: Uri = text.parse().map_err(|_| wrong("is no URI"))?;
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
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| wrong("has no host"))?;
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(port));
    Ok((uri, address))
}

impl Token {
    fn build(self) -> Result<TokenSource, AgentError> {
        let text = match self {
            Self::Source(source) => return Ok(source),
            Self::Text(text) => text,
        };
        let value = bearer(&text)
            .ok_or_else(|| AgentError::config("the token has characters other than visible ASCII"))?;
        Ok(TokenSource::Fixed(value))
    }
}

impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder")
            .field("gateway", &self.gateway)
            .field("id", &self.id)
            .field("groups", &self.groups)
            .field("services", &self.services)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(builder: AgentBuilder) -> String {
        let error = builder.build().unwrap_err();
        assert!(error.is_config());
        error.to_string()
    }

    #[test]
    fn a_wrong_address_says_what_would_be_right() {
        for address in [
            "",
            "gateway:7000",
            "ftp://gateway",
            "http://",
            "http://g/path",
            "http://a b",
        ] {
            let text = error(AgentBuilder::new(address.to_owned()).group("g"));
            assert!(text.contains("https://gateway.example:7000"), "{text}");
        }
        assert!(
            AgentBuilder::new("http://[::1]:7000".to_owned())
                .group("g")
                .build()
                .is_ok()
        );
    }

    #[test]
    fn names_are_needed_and_checked() {
        let builder = || AgentBuilder::new("http://g".to_owned());
        assert!(error(builder()).contains("at least one group"));
        assert!(error(builder().group("a b")).contains("group"));
        assert!(error(builder().group("g").id("")).contains("id"));
        assert!(error(builder().group("g").token("a\nb")).contains("token"));
        assert!(error(builder().group("g").grpc_service_name("a/b")).contains("no gRPC service"));
        assert!(error(builder().group("g").host("a:80")).contains("no host"));
        let many = (0..=MAX_SERVICES).fold(builder().group("g"), |builder, _| builder.host("a"));
        assert!(error(many).contains("at most"));
        let many = (0..=MAX_SERVICES).fold(builder().group("g"), |builder, _| builder.grpc_service_name("a"));
        assert!(error(many).contains("at most"));
    }

    #[test]
    fn the_token_is_not_printed() {
        let builder = AgentBuilder::new("http://g".to_owned())
            .group("g")
            .token("hush-hush-hush");
        assert!(!format!("{builder:?}").contains("hush"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("hush"));
    }
}
