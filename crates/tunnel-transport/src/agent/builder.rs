//! How an agent is described.

use std::{fmt, future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tonic::server::NamedService;
use tunnel_core::{AgentId, BoxError, CreditBudget, GroupName, InstanceId, Settings, flow::DEFAULT_BUDGET};

use super::{
    Agent, AgentError, AgentToken, Backoff, Shared,
    board::Board,
    config::{Apply, Configs},
    target::{MAX_GATEWAYS, Resolver, Resolvers, Target},
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
/// How long a name's addresses are taken to be what they are.
const DEFAULT_LOOKUP_INTERVAL: Duration = Duration::from_secs(30);
/// The least time between two looks at a name.
const MIN_LOOKUP_INTERVAL: Duration = Duration::from_millis(100);
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

/// A gateway, as it was given.
#[derive(Clone)]
struct Named {
    address: String,
    /// Its own; else that of the agent.
    #[cfg(feature = "tls")]
    tls: Option<ClientTlsBuilder>,
}

/// An agent that is being described.
#[derive(Clone)]
#[must_use = "a builder does nothing before `build`"]
pub struct AgentBuilder {
    gateways: Vec<Named>,
    resolvers: Resolvers,
    lookup_interval: Duration,
    id: Option<String>,
    groups: Vec<String>,
    services: Vec<String>,
    hosts: Vec<String>,
    zone: Option<String>,
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
    pub(super) on_config: Option<Apply>,
    pub(super) config_cache: Option<PathBuf>,
}

impl AgentBuilder {
    pub(super) fn new(gateway: String) -> Self {
        Self {
            gateways: vec![Named::new(gateway)],
            resolvers: Resolvers::new(),
            lookup_interval: DEFAULT_LOOKUP_INTERVAL,
            id: None,
            groups: Vec::new(),
            services: Vec::new(),
            hosts: Vec::new(),
            zone: None,
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
            on_config: None,
            config_cache: None,
        }
    }

    /// Adds another gateway. The agent has a session with each, so that no gateway is without it, and none is missed when it goes.
    ///
    /// All must know the agent's token, and allow its groups.
    pub fn gateway(mut self, gateway: impl Into<String>) -> Self {
        self.gateways.push(Named::new(gateway.into()));
        self
    }

    /// Adds another gateway, which is verified in its own way, and not as [`tls`](Self::tls) says.
    #[cfg(feature = "tls")]
    pub fn gateway_with_tls(mut self, gateway: impl Into<String>, tls: ClientTlsBuilder) -> Self {
        self.gateways.push(Named {
            tls: Some(tls),
            ..Named::new(gateway.into())
        });
        self
    }

    /// Who tells the addresses of a gateway's name, which is called with it and the port; by default the system, with what DNS
    /// and its own files have for that name. The first 8 addresses count.
    ///
    /// It is asked at the start, every [`lookup_interval`](Self::lookup_interval), and when a connection was lost. While it fails, the
    /// addresses stay as they were. A gateway whose address it does not tell any more keeps its session, until that is lost.
    pub fn resolver<F, Fut>(mut self, resolve: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.resolvers.names = Resolver::asked(resolve);
        self
    }

    /// Who is asked for the SRV records of gateways such as `srv+https://_tunnel._tcp.example.com` (default the servers that the system
    /// asks).
    ///
    /// Every server that they name is a gateway, and the agent has a session with each, up to 8 of all, because one without agents
    /// could not stand in for another. Priorities and weights say which ones where there are more (RFC 2782). A gateway's certificate
    /// must be for the name without `_service._proto.` before it. The records are asked for again when their time is over, but at
    /// most once a second, or when [`lookup_interval`](Self::lookup_interval) is over.
    #[cfg(feature = "srv")]
    pub fn dns(mut self, dns: crate::Dns) -> Self {
        self.resolvers.dns = dns;
        self
    }

    /// How often the names of gateways are looked up, at least 100 ms; every 30 s by default.
    pub fn lookup_interval(mut self, interval: Duration) -> Self {
        self.lookup_interval = interval.max(MIN_LOOKUP_INTERVAL);
        self
    }

    /// How the gateways are verified and what the agent shows of itself, for addresses with `https`. By default a gateway's
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

    /// Where this agent is: 1 to 128 bytes, such as `eu-1`. A gateway may prefer the agents of its own zone.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
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
    /// [`AgentToken::DEFAULT_INTERVAL`]; see [`token_source`](Self::token_source). What kind of file system it is on is asked now, the file
    /// need not be there yet.
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

    /// The delays between tries to connect; by default from 500 ms to 8 s, with full jitter.
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
    /// Names are looked up first, by the [`resolver`](Self::resolver): the function is called with an address.
    ///
    /// ```
    /// use tokio::net::TcpStream;
    /// use tunnel_transport::{Agent, net::Dialer};
    ///
    /// // Whatever the address of the gateway is, it is reached by a relay on this machine.
    /// let relay = Dialer::new(|_address, _port| TcpStream::connect(("127.0.0.1", 9000)));
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
        let gateways = self.targets()?;
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
        if let Some(zone) = &self.zone
            && !(1..=128).contains(&zone.len())
        {
            return Err(AgentError::config("the name of a zone has 1 to 128 bytes"));
        }
        let token = self.token.build()?;
        Ok(Agent(Arc::new(Shared {
            gateways,
            resolvers: self.resolvers,
            lookup_interval: self.lookup_interval,
            id,
            instance,
            groups,
            services: self.services,
            hosts,
            zone: self.zone,
            token,
            weight: self.weight,
            lanes: self.lanes,
            settings: self.settings,
            budget: CreditBudget::new(self.budget),
            tally: tunnel_core::Tally::new(),
            backoff: self.backoff,
            connect_timeout: self.connect_timeout,
            dialer: self.dialer,
            drain: self.drain,
            board: Arc::new(Board::new()),
            uplinks: Default::default(),
            configs: Configs::new(self.on_config, self.config_cache),
        })))
    }

    fn targets(&self) -> Result<Vec<Arc<Target>>, AgentError> {
        if self.gateways.len() > MAX_GATEWAYS {
            return Err(AgentError::config("an agent has at most 8 gateways"));
        }
        let targets = self.gateways.iter().map(|named| Target::parse(&named.address));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        #[cfg(feature = "tls")]
        let targets = self.secure(targets)?;
        Ok(targets.into_iter().map(Arc::new).collect())
    }

    #[cfg(feature = "tls")]
    fn secure(&self, targets: Vec<Target>) -> Result<Vec<Target>, AgentError> {
        // What is said for all is for those that speak TLS, if there are any.
        let has_tls = targets.iter().any(Target::is_tls);
        let secure = |(target, named): (Target, &Named)| {
            let ours = self.tls.clone().filter(|_| target.is_tls() || !has_tls);
            target.with_tls(named.tls.clone().or(ours))
        };
        targets.into_iter().zip(&self.gateways).map(secure).collect()
    }
}

impl Named {
    fn new(address: String) -> Self {
        Self {
            address,
            #[cfg(feature = "tls")]
            tls: None,
        }
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
            .field(
                "gateways",
                &self
                    .gateways
                    .iter()
                    .map(|named| &named.address)
                    .collect::<Vec<_>>(),
            )
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
    fn gateways_are_few_and_each_is_checked() {
        let builder = || AgentBuilder::new("http://g".to_owned()).group("g");
        let eight = (1..MAX_GATEWAYS).fold(builder(), |builder, _| builder.gateway("http://h"));
        assert!(eight.clone().build().is_ok());
        assert!(error(eight.gateway("http://i")).contains("at most 8 gateways"));
        assert!(error(builder().gateway("h")).contains("\"h\""));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn what_is_said_of_tls_is_for_the_gateways_that_have_it() {
        let builder = || AgentBuilder::new("http://g".to_owned()).group("g");
        let text = error(builder().tls(ClientTls::builder()));
        assert!(text.contains("write https instead of http"), "{text}");
        let mixed = builder().gateway("https://h").tls(ClientTls::builder());
        assert!(mixed.build().is_ok());
        let text = error(builder().gateway_with_tls("http://h", ClientTls::builder()));
        assert!(text.contains("http://h"), "{text}");
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
