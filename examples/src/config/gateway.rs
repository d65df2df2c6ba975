//! A gateway's file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::{
    GroupName, Member,
    admit::{IpPrefix, Policy},
};
use tunnel_layers::{
    balance::{LeastPending, Pick, RoundRobin},
    deadline::DeadlineLayer,
    grpc_web::Cors,
    route::Rules,
    upgrade::UpgradeLayer,
};
use tunnel_transport::{
    AgentTokens, AllowedGroups, Gateway,
    entry::Entry,
    gateway::{AgentAuth, OpenToAnyAgent},
};

use super::{
    Changes, ConfigError, Guards, Surroundings,
    auth::{self, AgentsAuth, Both, Known, RawAgentsAuth, RawAuth},
    concurrency::RawConcurrency,
    document::Document,
    error::Checker,
    groups::RawGroups,
    grpc_web::RawGrpcWeb,
    heartbeat::RawHeartbeat,
    limits::{Limits, PortLimits},
    pushed::{self, RawPushed},
    rates::{self, RawRate},
    reload::RawReload,
    rules::{self, GroupUse, RawRule},
    secret::TokenKeys,
    text_or::TextOr,
    timeouts::RawTimeouts,
    tls::{self, PortTls, RawListen, RawServerTls},
    units::{Secret, Time},
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
    /// Where outside traffic comes in.
    pub listen: SocketAddr,
    /// Where agents come in.
    pub agents_listen: SocketAddr,
    /// The gateway itself: who may connect, and how much.
    pub gateway: Gateway,
    /// TLS of the port for agents; none if they come without.
    pub agents_tls: Option<PortTls>,
    /// The limits of the port for agents.
    pub agents_limits: PortLimits,
    /// The limits of the port for outside traffic, and its TLS.
    pub entry: Entry,
    /// Whether outside traffic comes by TLS.
    pub has_tls: bool,
    /// The limits of heads, and the peers whose forwarding headers are believed.
    pub policy: Policy,
    /// How long it is a lame duck before.
    pub lame_duck: Duration,
    /// How long exchanges may go on when the gateway stops.
    pub drain: Duration,
    /// How an agent is chosen.
    pub balance: Balance,
    /// Where requests go.
    pub rules: Rules,
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
    /// What is pushed to the agents of some groups.
    pub pushed: Vec<(GroupName, String)>,
    /// How often the file is looked at for changes; none if only a signal asks for it.
    pub reload: Option<Duration>,
    pub(super) document: Document,
}

/// Who may connect as an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches the port.
    Open,
    /// Who shows one of so many tokens.
    Tokens(usize),
    /// Who shows one of so many tokens, or credentials that the gateway's `auth` knows.
    Credentials(usize),
}

/// How an agent of a group is chosen.
#[derive(Clone, Debug)]
pub enum Balance {
    /// One after the other.
    RoundRobin(RoundRobin),
    /// The less busy of two.
    LeastPending(LeastPending),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    listen: Spanned<TextOr<RawListen>>,
    agents: Spanned<RawAgents>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    reload: RawReload,
    lame_duck: Option<Time>,
    drain: Option<Time>,
    #[serde(default)]
    trusted_peers: Vec<Spanned<String>>,
    #[serde(default)]
    balance: RawBalance,
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
    rules: Spanned<Vec<Spanned<RawRule>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgents {
    listen: Spanned<String>,
    #[serde(default, deserialize_with = "tls::present")]
    tls: Option<Spanned<RawServerTls>>,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    tokens: Vec<Spanned<RawToken>>,
    #[serde(default, deserialize_with = "tls::present")]
    auth: Option<Spanned<RawAgentsAuth>>,
    recheck: Option<Time>,
    heartbeat: Option<Spanned<RawHeartbeat>>,
    #[serde(default)]
    route_services: bool,
    #[serde(default)]
    push: BTreeMap<String, Spanned<RawPushed>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    name: Spanned<String>,
    token: Option<Spanned<Secret>>,
    token_env: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    groups: Spanned<RawGroups>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawBalance {
    RoundRobin,
    #[default]
    LeastPending,
}

pub(super) fn parse(file: &str, text: &str, around: &Surroundings<'_>) -> Result<GatewayConfig, ConfigError> {
    let raw: RawGateway = yaml::read(file, text)?;
    let mut checker = Checker::new(file, text);
    let document = Document::parse(text);
    let config = raw.check(around, &mut checker).and_then(|config| {
        let groups: Vec<_> = config.pushed.iter().map(|(group, _)| group.clone()).collect();
        let texts = pushed::texts(&groups, &document);
        Some(GatewayConfig {
            pushed: checker.take(raw.agents.referenced, texts)?,
            document,
            ..config
        })
    });
    checker.finish(config)
}

/// What a running gateway cannot change: its ports and how they are opened, and what its sessions agreed on when they began.
const FIXED: &[&str] = &[
    "listen",
    "agents.listen",
    "agents.tls",
    "agents.recheck",
    "agents.heartbeat",
    "limits",
    "lame_duck",
    "drain",
];

/// What may change though it stands below one of these.
const FREE: &[&str] = &["limits.uri_bytes"];

impl GatewayConfig {
    /// What is different in `new`.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Changes {
        self.document.changes(&new.document)
    }

    /// The keys that changed and cannot while a gateway runs.
    #[must_use]
    pub fn unchangeable(changes: &Changes) -> Vec<&str> {
        changes.within(FIXED, FREE)
    }

    /// Takes what counts, and what is remembered, from the configuration that was in use, wherever the file still says the same of
    /// it: each of `rate_limits` by its name, `concurrency`, `balance`, and `auth` if no file that either reads has changed.
    pub fn keep(&mut self, old: &Self, same_files: bool) {
        let agrees = |key| self.document.agrees(&old.document, key);
        if agrees("auth") && same_files {
            self.guards.auth = old.guards.auth.clone();
        }
        if agrees("concurrency") {
            self.guards.concurrency = old.guards.concurrency.clone();
        }
        if agrees("balance") {
            self.balance = old.balance.clone();
        }
        rates::keep(
            (&mut self.guards, self.document.at("rate_limits")),
            (&old.guards, old.document.at("rate_limits")),
        );
    }
}

impl RawGateway {
    fn check(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<GatewayConfig> {
        let agents = &self.agents.value;
        let (listen, place) = self.listen.value.address(self.listen.referenced);
        let listen = parse_address(listen, place, checker);
        let tls = self.listen.value.tls(around, checker);
        let agents_listen = parse_address(&agents.listen.value, agents.listen.referenced, checker);
        let agents_tls = tls::check_port(agents.tls.as_ref(), around, checker);
        if listen.is_some_and(|listen| listen.port() != 0 && Some(listen) == agents_listen) {
            let message = "outside traffic has this address already: give agents a port of their own";
            checker.wrong(agents.listen.referenced, message);
        }
        let trusted: Option<Vec<IpPrefix>> = self
            .trusted_peers
            .iter()
            .map(|peer| checker.take(peer.referenced, peer.value.parse()))
            .collect();
        let mut known = match &self.auth {
            Some(auth) => auth.value.known(around, checker),
            None => Known::default(),
        };
        let tokens = self.tokens(around, checker);
        let agents_auth = agents
            .auth
            .as_ref()
            .map(|auth| auth::agents(auth, &mut known, checker));
        let (rules, uses) = self.rules(&mut known, checker);
        if !agents.open {
            self.check_uses(agents_auth.as_ref(), &uses, checker);
        }
        let guards = self.guards(&mut known, checker);
        known.finish(
            self.listen.value.asks_for_certificates() || agents.asks_for_certificates(),
            checker,
        );
        let (entry, policy) = self.limits.apply(Entry::new(), Policy::new(), checker);
        let agents_limits = self.limits.agents();
        let cors = self.grpc_web.as_ref().map(|web| web.value.check(checker));
        let pushed = pushed::check(&agents.push, around, checker);
        let drain = self.drain.map_or(DEFAULT_DRAIN, |time| time.0);
        let lame_duck = self.lame_duck.map_or(DEFAULT_LAME_DUCK, |time| time.0);
        let heartbeat = agents
            .heartbeat
            .as_ref()
            .map(|heartbeat| heartbeat.value.check(heartbeat.referenced, checker));
        let (agent_auth, access): (Arc<dyn AgentAuth>, _) = match (tokens?, agents_auth) {
            (Some(tokens), Some(auth)) => (
                Arc::new(Both(tokens, auth?)),
                Access::Credentials(agents.tokens.len()),
            ),
            (Some(tokens), None) => (Arc::new(tokens), Access::Tokens(agents.tokens.len())),
            (None, _) => (Arc::new(OpenToAnyAgent), Access::Open),
        };
        let gateway = Gateway::builder().agent_auth(agent_auth.clone());
        let gateway = match agents.recheck {
            Some(time) => gateway.recheck_agents(time.0),
            None => gateway,
        };
        let gateway = match heartbeat {
            Some(heartbeat) => gateway.heartbeat(heartbeat?),
            None => gateway,
        };
        let tls = tls?;
        let has_tls = tls.is_some();
        let entry = match tls {
            Some(tls) => tls.entry(entry),
            None => entry,
        };
        Some(GatewayConfig {
            listen: listen?,
            agents_listen: agents_listen?,
            agents_tls: agents_tls?,
            agents_limits,
            gateway: self.limits.apply_to_gateway(gateway).build(),
            entry: entry.lame_duck(lame_duck).drain(drain),
            has_tls,
            policy: policy.trusted_peers(trusted?),
            lame_duck,
            drain,
            balance: self.balance.into(),
            rules: rules?,
            route_services: agents.route_services,
            cors: cors.map_or(Some(None), |cors| cors.map(Some))?,
            upgrade: self.websocket.layer(),
            guards: guards?,
            has_auth: self.auth.is_some(),
            access,
            agent_auth,
            // What they say is in the document.
            pushed: pushed?.into_iter().map(|group| (group, String::new())).collect(),
            reload: self.reload.interval(),
            document: Document::default(),
        })
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

    /// The tokens; `Some(None)` for a gateway that is open.
    fn tokens(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<Option<AgentTokens>> {
        let agents = &self.agents.value;
        match (agents.open, agents.tokens.as_slice()) {
            (true, []) if agents.auth.is_none() => return Some(None),
            (true, [..]) => {
                let message = "agents need no token where `open: true` stands: keep one of `open`, and `tokens` or `auth`";
                checker.wrong(self.agents.referenced, message);
                return None;
            }
            (false, []) if agents.auth.is_none() => {
                let message = "no agent could connect: add `tokens:` with at least one token, or `open: true` if only \
                               trusted programs can reach this port";
                checker.wrong(self.agents.referenced, message);
                return None;
            }
            (false, [..]) => {}
        }
        let mut tokens = Some(AgentTokens::new());
        for raw in &agents.tokens {
            let added = raw
                .value
                .add(raw, tokens.clone().unwrap_or_default(), around, checker);
            tokens = tokens.and(added);
        }
        tokens.map(Some)
    }

    fn rules(&self, known: &mut Known, checker: &mut Checker<'_>) -> (Option<Rules>, Vec<GroupUse>) {
        if self.rules.value.is_empty() && !self.agents.value.route_services {
            let message = "there are no rules, so every request would be answered 404: add one such as \
                           `- {id: all, group: web}`";
            checker.wrong(self.rules.referenced, message);
        }
        let limits = self.rate_limits.as_ref().map(|limits| limits.value.as_slice());
        let limits: Vec<_> = limits
            .unwrap_or_default()
            .iter()
            .map(|limit| limit.value.name())
            .collect();
        rules::check(&self.rules.value, &limits, known, checker)
    }

    /// Every group that rules name must be one that some agent may register.
    fn check_uses(&self, auth: Option<&Option<AgentsAuth>>, uses: &[GroupUse], checker: &mut Checker<'_>) {
        let mut known = BTreeSet::new();
        match auth.map(|auth| auth.as_ref().and_then(|auth| auth.groups.as_ref())) {
            None => {}
            Some(Some(AllowedGroups::Only(groups))) => known.extend(groups.iter().map(GroupName::as_str)),
            // The credentials say it, or nobody knows yet.
            Some(Some(AllowedGroups::All) | None) => return,
        }
        for token in &self.agents.value.tokens {
            match &token.value.groups.value {
                RawGroups::All => return,
                RawGroups::Only(groups) => known.extend(groups.iter().map(|group| group.value.as_str())),
            }
        }
        if known.is_empty() {
            return;
        }
        let listed = known
            .iter()
            .map(|group| format!("`{group}`"))
            .collect::<Vec<_>>()
            .join(", ");
        for used in uses.iter().filter(|used| !known.contains(used.group.as_str())) {
            let message = format!(
                "no token lets an agent register the group `{}` of the rule `{}`: tokens have the groups {listed}",
                used.group, used.rule
            );
            checker.wrong(used.location, message);
        }
    }
}

impl RawAgents {
    fn asks_for_certificates(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.value.asks_for_certificates())
    }
}

impl RawToken {
    fn add(
        &self,
        place: &Spanned<Self>,
        tokens: AgentTokens,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<AgentTokens> {
        let keys = TokenKeys {
            token: self.token.as_ref(),
            token_env: self.token_env.as_ref(),
            token_file: self.token_file.as_ref(),
        };
        let owner = format!("the token `{}`", self.name.value);
        let secret = keys.resolve(&owner, place.referenced, around, checker);
        let groups = self.groups.value.check(&self.groups, checker);
        let (secret, location) = secret?;
        checker.take(location, tokens.token(&self.name.value, &secret.0, groups?))
    }
}

fn parse_address(text: &str, place: Location, checker: &mut Checker<'_>) -> Option<SocketAddr> {
    let address = text.parse().map_err(|_| {
        format!("`{text}` is no address to listen on: write IP:PORT, such as 127.0.0.1:8080 or [::]:8080")
    });
    checker.take(place, address)
}

impl From<RawBalance> for Balance {
    fn from(raw: RawBalance) -> Self {
        match raw {
            RawBalance::RoundRobin => Self::RoundRobin(RoundRobin::new()),
            RawBalance::LeastPending => Self::LeastPending(LeastPending::new()),
        }
    }
}

impl Pick for Balance {
    fn pick(&self, candidates: &[&Member]) -> usize {
        match self {
            Self::RoundRobin(strategy) => strategy.pick(candidates),
            Self::LeastPending(strategy) => strategy.pick(candidates),
        }
    }
}

/// One line: what runs, for `--check`.
impl fmt::Display for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules.len();
        let listen = tls::describe(self.listen, self.has_tls);
        let agents = tls::describe(self.agents_listen, self.agents_tls.is_some());
        write!(f, "listen {listen}, agents {agents}")?;
        match self.access {
            Access::Open => f.write_str(", open to any agent")?,
            Access::Tokens(tokens) => write!(f, ", tokens {tokens}")?,
            Access::Credentials(0) => f.write_str(" by auth")?,
            Access::Credentials(tokens) => write!(f, " by auth, tokens {tokens}")?,
        }
        if self.has_auth {
            f.write_str(", auth")?;
        }
        write!(f, ", rules {rules}")
    }
}
