//! A gateway's file.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::{
    GroupName,
    admit::{IpPrefix, Policy},
};
use tunnel_layers::{deadline::DeadlineLayer, grpc_web::Cors, upgrade::UpgradeLayer};
use tunnel_transport::{
    Gateway,
    admin::RuleInfo,
    entry::Entry,
    gateway::{AgentAuth, OpenToAnyAgent},
    upstream::NamedUpstreams,
};

use super::{
    Admin, Changes, ConfigError, Guards, NamedTokens, Surroundings,
    admin::{self, RawAdmin},
    agents::{RawAgents, no_agents},
    auth::{self, Known, RawAuth},
    balance::{self, Balance, RawBalance},
    calls::{Calls, RawCalls},
    concurrency::RawConcurrency,
    document::Document,
    error::Checker,
    grpc_web::RawGrpcWeb,
    limits::{Limits, PortLimits},
    listener::{self, Context, Listener, Port, RawListener},
    observe::{self, Observe, RawAccessLog, RawMetrics},
    pairs::Pairs,
    pushed,
    rates::{self, RawRate},
    reload::RawReload,
    rule_info,
    rules::{self, RawRule},
    text_or::TextOr,
    timeouts::RawTimeouts,
    tls::{self, PortTls, RawListen},
    traces::{RawTraces, Traces},
    units::Time,
    upstream::RawUpstream,
    websocket::WebSocket,
    yaml,
};

/// How long a gateway that was told to stop still takes connections, so that balancers see that it is not ready any more.
const DEFAULT_LAME_DUCK: Duration = Duration::from_secs(5);

/// How long exchanges may go on when the gateway stops.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// Everything that a gateway needs, checked. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where outside traffic comes in, at least one.
    pub listeners: Vec<Listener>,
    /// The upstreams that the gateway reaches itself.
    pub upstreams: NamedUpstreams,
    /// Where agents come in, if there are any.
    pub agents_listen: Option<SocketAddr>,
    /// The gateway itself: who may connect, and how much.
    pub gateway: Gateway,
    /// TLS of the port for agents; none if they come without.
    pub agents_tls: Option<PortTls>,
    /// The limits of the port for agents.
    pub agents_limits: PortLimits,
    /// The limits of heads, and the peers whose forwarding headers are believed.
    pub policy: Policy,
    /// How long it is a lame duck before.
    pub lame_duck: Duration,
    /// How long exchanges may go on when the gateway stops.
    pub drain: Duration,
    /// How an agent is chosen.
    pub balance: Balance,
    /// Whether calls that no rule matches go to the agents that registered their service.
    pub route_services: bool,
    /// Which pages may call by gRPC-Web; none means those of the same site.
    pub cors: Option<Cors>,
    /// What WebSockets and other upgrades may do.
    pub upgrade: UpgradeLayer,
    /// Who may call, how often, how many at once, for how long.
    pub guards: Guards,
    /// Whether callers are asked who they are.
    pub has_auth: bool,
    /// Whether agents need credentials.
    pub access: Access,
    /// Who may connect as an agent: what `gateway` was built with.
    pub agent_auth: Arc<dyn AgentAuth>,
    /// What agents may ask, if they may ask anything.
    pub calls: Option<Calls>,
    /// What is measured and logged.
    pub observe: Observe,
    /// Where traces go, if anywhere.
    pub traces: Option<Traces>,
    /// What is pushed to the agents of some groups.
    pub pushed: Vec<(GroupName, String)>,
    /// Where whoever operates it asks, if anywhere.
    pub admin: Option<Admin>,
    /// The tokens that have names.
    pub tokens: NamedTokens,
    /// How often the file is looked at for changes; none if only a signal asks for it.
    pub reload: Option<Duration>,
    pub(super) document: Document,
}

/// Who may connect as an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody: there is no port for agents.
    Closed,
    /// Everybody who reaches the port.
    Open,
    /// Who shows one of so many tokens.
    Tokens(usize),
    /// Who shows one of so many tokens, or credentials that the gateway's `auth` knows.
    Credentials(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    listen: Option<Spanned<TextOr<RawListen>>>,
    #[serde(default)]
    listeners: Vec<Spanned<RawListener>>,
    #[serde(default)]
    upstreams: Pairs<Spanned<RawUpstream>>,
    #[serde(default, deserialize_with = "tls::present")]
    agents: Option<Spanned<RawAgents>>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    reload: RawReload,
    lame_duck: Option<Time>,
    drain: Option<Time>,
    #[serde(default)]
    trusted_peers: Vec<Spanned<String>>,
    balance: Option<Spanned<RawBalance>>,
    grpc_web: Option<Spanned<RawGrpcWeb>>,
    #[serde(default)]
    websocket: WebSocket,
    #[serde(default, deserialize_with = "tls::present")]
    auth: Option<Spanned<RawAuth>>,
    #[serde(default, deserialize_with = "tls::present")]
    rate_limits: Option<Spanned<Vec<Spanned<RawRate>>>>,
    #[serde(default, deserialize_with = "tls::present")]
    concurrency: Option<RawConcurrency>,
    #[serde(default, deserialize_with = "tls::present")]
    timeouts: Option<RawTimeouts>,
    #[serde(default, deserialize_with = "tls::present")]
    traces: Option<Spanned<RawTraces>>,
    #[serde(default, deserialize_with = "tls::present")]
    admin: Option<Spanned<RawAdmin>>,
    #[serde(default, deserialize_with = "tls::present")]
    metrics: Option<RawMetrics>,
    #[serde(default, deserialize_with = "tls::present")]
    access_log: Option<RawAccessLog>,
    rules: Option<Spanned<Vec<Spanned<RawRule>>>>,
}

pub(super) fn parse(file: &str, text: &str, around: &Surroundings<'_>) -> Result<GatewayConfig, ConfigError> {
    let raw: RawGateway = yaml::read(file, text)?;
    let mut checker = Checker::new(file, text);
    let document = Document::parse(text);
    let config = raw.check(around, &mut checker).and_then(|config| {
        let groups: Vec<_> = config.pushed.iter().map(|(group, _)| group.clone()).collect();
        let texts = pushed::texts(&groups, &document);
        Some(GatewayConfig {
            pushed: checker.take(
                raw.agents
                    .as_ref()
                    .map_or(Location::UNKNOWN, |agents| agents.referenced),
                texts,
            )?,
            document,
            ..config
        })
    });
    checker.finish(config)
}

/// What a running gateway cannot change: its ports and how they are opened, and what its sessions agreed on when they began.
const FIXED: &[&str] = &[
    "listen",
    "listeners",
    "agents.listen",
    "agents.tls",
    "agents.recheck",
    "agents.heartbeat",
    "limits",
    "lame_duck",
    "drain",
    "metrics",
    "access_log",
    "traces",
    admin::FIXED,
];

/// What may change though it stands below one of these.
const FREE: &[&str] = &[
    "limits.uri_bytes",
    "limits.max_hops",
    "listeners[].rules",
    "listeners[].timeouts",
];

impl GatewayConfig {
    /// What is different in `new`.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Changes {
        self.document.changes(&new.document)
    }

    /// The keys that changed and cannot while a gateway runs.
    #[must_use]
    pub fn unchangeable(changes: &Changes) -> Vec<&str> {
        changes.within(FIXED, &[FREE, &admin::FREE].concat())
    }

    /// The guards of what agents ask, which count together with those of what comes from outside; another caller lets in.
    #[must_use]
    pub fn guards_of(&self, calls: &Calls) -> Guards {
        Guards {
            auth: calls.auth.clone(),
            deadline: calls.deadline.unwrap_or(self.guards.deadline),
            ..self.guards.clone()
        }
    }

    /// The rules of all ports and of what agents ask, for people, in the order of the file.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleInfo> {
        rule_info::rules(&self.document)
    }

    /// Takes what counts, and what is remembered, from the configuration that was in use, wherever the file still says the same of
    /// it: each of `rate_limits` by its name, `concurrency`, `balance`, and `auth` if no file that either reads has changed.
    pub fn keep(&mut self, old: &Self, same_files: bool) {
        let agrees = |key| self.document.agrees(&old.document, key);
        if agrees("auth") && same_files {
            self.guards.auth = old.guards.auth.clone();
            if let (Some(calls), Some(old)) = (&mut self.calls, &old.calls) {
                calls.auth = old.auth.clone();
            }
        }
        self.tokens.keep(&old.tokens, agrees("auth") && same_files);
        if agrees("concurrency") {
            self.guards.concurrency = old.guards.concurrency.clone();
        }
        if agrees("balance") {
            self.balance = old.balance.clone();
        }
        for (name, upstream) in old.upstreams.iter() {
            let key = |config: &Self| config.document.at("upstreams").get(name).cloned();
            if self.upstreams.get(name).is_some() && key(self) == key(old) {
                self.upstreams = std::mem::take(&mut self.upstreams).with(name, upstream.clone());
            }
        }
        self.upstreams.keep_drains(&old.upstreams);
        rates::keep(
            (&mut self.guards, self.document.at("rate_limits")),
            (&old.guards, old.document.at("rate_limits")),
        );
    }
}

impl RawGateway {
    fn check(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<GatewayConfig> {
        let agents = self.agents.as_ref();
        let agents_listen = agents.map(|agents| {
            let listen = &agents.value.listen;
            parse_address(&listen.value, listen.referenced, checker)
        });
        let agents_tls = agents.map(|agents| tls::check_port(agents.value.tls.as_ref(), around, checker));
        let trusted: Option<Vec<IpPrefix>> = self
            .trusted_peers
            .iter()
            .map(|peer| checker.take(peer.referenced, peer.value.parse()))
            .collect();
        let mut known = match &self.auth {
            Some(auth) => auth.value.known(around, checker),
            None => Known::default(),
        };
        let agent_auth = match agents {
            Some(agents) => agents
                .value
                .access(agents.referenced, &mut known, around, checker),
            None => Some((
                Arc::new(OpenToAnyAgent) as Arc<dyn AgentAuth>,
                Access::Closed,
                None,
            )),
        };
        let upstreams = self.upstreams(around, checker);
        let (entry, policy) = self.limits.apply(Entry::new(), Policy::new(), checker);
        let drain = self.drain.map_or(DEFAULT_DRAIN, |time| time.0);
        let lame_duck = self.lame_duck.map_or(DEFAULT_LAME_DUCK, |time| time.0);
        let entry = entry.lame_duck(lame_duck).drain(drain);
        let ports = listener::ports(
            self.listen.as_ref(),
            self.rules.as_ref(),
            self.timeouts.unwrap_or_default(),
            &self.listeners,
            checker,
        );
        let context = Context {
            around,
            limits: self.rate_names(),
            upstreams: self
                .upstreams
                .0
                .iter()
                .map(|(name, _)| name.value.as_str())
                .collect(),
            routes_services: agents.is_some_and(|agents| agents.value.route_services),
            agents_listen: agents
                .zip(agents_listen.flatten())
                .map(|(agents, address)| (address, agents.value.listen.referenced)),
        };
        let (listeners, mut uses) = listener::check(&ports, &entry, &context, &mut known, checker);
        let raw_calls = agents.and_then(|agents| agents.value.calls.as_ref());
        let call_rules = raw_calls.map(|calls| {
            let (limits, upstreams) = (&context.limits, &context.upstreams);
            let (rules, used) = rules::check(&calls.rules.value, limits, upstreams, &mut known, checker);
            uses.extend(used);
            rules
        });
        match (agents, &agent_auth) {
            (Some(agents), Some((_, access, groups))) if *access != Access::Open => {
                agents.value.check_uses(groups.as_ref(), &uses, checker);
            }
            (None, _) => no_agents(&uses, checker),
            _ => {}
        }
        let guards = self.guards(&mut known, checker);
        let of_calls = || raw_calls.into_iter().flat_map(|calls| &calls.rules.value);
        rules::check_ids(ports.iter().flat_map(Port::rules).chain(of_calls()), checker);
        let calls = call_rules.map(|rules| {
            let auth = match &self.auth {
                Some(auth) => auth.value.layer_for_agents(&known, checker),
                None => Some(auth::any_agent()),
            };
            let (rules, auth) = rules.zip(auth)?;
            let deadline = raw_calls.and_then(RawCalls::deadline);
            Some(Calls {
                rules,
                auth,
                deadline,
            })
        });
        let of_rules = ports.iter().flat_map(Port::rules).chain(of_calls());
        let of_rules = of_rules.filter_map(|rule| rule.value.balancing());
        let balance = balance::check(self.balance.as_ref(), of_rules, checker);
        known.finish(
            ports.iter().any(Port::asks_for_certificates)
                || agents.is_some_and(|agents| agents.value.asks_for_certificates()),
            checker,
        );
        let agents_limits = self.limits.agents();
        let cors = self.grpc_web.as_ref().map(|web| web.value.check(checker));
        let pushed = match agents {
            Some(agents) => pushed::check(&agents.value.push, around, checker),
            None => Some(Vec::new()),
        };
        let admin = RawAdmin::check(self.admin.as_ref(), around, checker);
        let observe = observe::check(self.metrics.as_ref(), self.access_log.as_ref(), around, checker);
        let traces = RawTraces::check(self.traces.as_ref(), true, checker);
        let heartbeat = agents
            .and_then(|agents| agents.value.heartbeat.as_ref())
            .map(|heartbeat| heartbeat.value.check(heartbeat.referenced, checker));
        let (agent_auth, access, _) = agent_auth?;
        let gateway = Gateway::builder().agent_auth(agent_auth.clone());
        let gateway = match agents.and_then(|agents| agents.value.recheck) {
            Some(time) => gateway.recheck_agents(time.0),
            None => gateway,
        };
        let gateway = match heartbeat {
            Some(heartbeat) => gateway.heartbeat(heartbeat?),
            None => gateway,
        };
        Some(GatewayConfig {
            listeners: listeners?,
            upstreams: upstreams?,
            agents_listen: agents_listen.map_or(Some(None), |listen| listen.map(Some))?,
            agents_tls: agents_tls.unwrap_or(Some(None))?,
            agents_limits,
            gateway: self.limits.apply_to_gateway(gateway).build(),
            policy: policy.trusted_peers(trusted?),
            lame_duck,
            drain,
            balance: balance?,
            route_services: context.routes_services,
            cors: cors.map_or(Some(None), |cors| cors.map(Some))?,
            upgrade: self.websocket.layer(),
            guards: guards?,
            has_auth: self.auth.is_some(),
            access,
            agent_auth,
            calls: calls.map_or(Some(None), |calls| calls.map(Some))?,
            observe: observe?,
            traces: traces?,
            admin: admin?,
            tokens: checker.tokens().clone(),
            // What they say is in the document.
            pushed: pushed?.into_iter().map(|group| (group, String::new())).collect(),
            reload: self.reload.interval(),
            document: Document::default(),
        })
    }

    /// The upstreams of the gateway itself.
    fn upstreams(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<NamedUpstreams> {
        let mut upstreams = Some(NamedUpstreams::new());
        for (name, raw) in &self.upstreams.0 {
            let upstream = raw.value.build(raw.referenced, around, checker);
            upstreams = upstreams
                .zip(upstream)
                .map(|(upstreams, upstream)| upstreams.with(&name.value, upstream));
        }
        upstreams
    }

    /// The names of the rate limits.
    fn rate_names(&self) -> Vec<&str> {
        let limits = self.rate_limits.as_ref().map(|limits| limits.value.as_slice());
        let limits = limits.unwrap_or_default();
        limits.iter().map(|limit| limit.value.name()).collect()
    }

    /// Who may call, how often, how many at once, for how long.
    fn guards(&self, known: &mut Known, checker: &mut Checker<'_>) -> Option<Guards> {
        let auth = match &self.auth {
            Some(auth) => auth.value.layer(known, checker),
            None => auth::nobody(),
        };
        let rates = rates::check(self.rate_limits.as_ref(), checker);
        let concurrency = match &self.concurrency {
            Some(concurrency) => concurrency.check(checker),
            None => RawConcurrency::default().check(checker),
        };
        let rates = rates?;
        Some(Guards {
            before_auth: rates.outer,
            auth: auth?,
            rates: rates.inner,
            concurrency: concurrency?,
            deadline: DeadlineLayer::new().defaults(self.timeouts.unwrap_or_default().defaults()),
        })
    }
}

pub(super) fn parse_address(text: &str, place: Location, checker: &mut Checker<'_>) -> Option<SocketAddr> {
    let address = text.parse().map_err(|_| {
        format!("`{text}` is no address to listen on: write IP:PORT, such as 127.0.0.1:8080 or [::]:8080")
    });
    checker.take(place, address)
}

/// One line: what runs, for `--check`.
impl fmt::Display for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, listener) in self.listeners.iter().enumerate() {
            let separator = if index == 0 { "listen " } else { ", " };
            f.write_str(separator)?;
            f.write_str(&tls::describe(listener.listen, listener.has_tls))?;
        }
        if let Some(listen) = self.agents_listen {
            write!(f, ", agents {}", tls::describe(listen, self.agents_tls.is_some()))?;
        }
        match self.access {
            Access::Closed => {}
            Access::Open => f.write_str(", open to any agent")?,
            Access::Tokens(tokens) => write!(f, ", tokens {tokens}")?,
            Access::Credentials(0) => f.write_str(" by auth")?,
            Access::Credentials(tokens) => write!(f, " by auth, tokens {tokens}")?,
        }
        if self.has_auth {
            f.write_str(", auth")?;
        }
        if !self.upstreams.is_empty() {
            write!(f, ", upstreams {}", self.upstreams.len())?;
        }
        if let Some(calls) = &self.calls {
            write!(f, ", rules for agents {}", calls.rules.len())?;
        }
        let rules: usize = self.listeners.iter().map(|listener| listener.rules.len()).sum();
        write!(f, ", rules {rules}")
    }
}
