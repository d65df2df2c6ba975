//! A gateway's file.

use std::{collections::BTreeSet, fmt, net::SocketAddr, time::Duration};

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{Location, Spanned};
use tunnel_core::{
    GroupName, Member,
    admit::{IpPrefix, Policy},
};
use tunnel_layers::{
    balance::{LeastPending, Pick, RoundRobin},
    grpc_web::Cors,
    route::Rules,
    upgrade::UpgradeLayer,
};
use tunnel_transport::{AgentTokens, AllowedGroups, Gateway, entry::Entry};

use super::{
    ConfigError, Surroundings,
    error::Checker,
    limits::{Limits, PortLimits},
    rules::{self, GroupUse, RawRule},
    secret::TokenKeys,
    text_or::TextOr,
    tls::{self, PortTls, RawListen, RawServerTls},
    units::{Secret, Time},
    websocket::WebSocket,
    yaml,
};

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
    /// Whether agents need a token.
    pub access: Access,
}

/// Who may connect as an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches the port.
    Open,
    /// Who shows one of so many tokens.
    Tokens(usize),
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
    drain: Option<Time>,
    #[serde(default)]
    trusted_peers: Vec<Spanned<String>>,
    #[serde(default)]
    balance: RawBalance,
    grpc_web: Option<Spanned<RawGrpcWeb>>,
    #[serde(default)]
    websocket: WebSocket,
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
    #[serde(default)]
    route_services: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGrpcWeb {
    origins: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    credentials: bool,
    max_age: Option<Time>,
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

enum RawGroups {
    All,
    Only(Vec<Spanned<String>>),
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
    let config = raw.check(around, &mut checker);
    checker.finish(config)
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
        let tokens = self.tokens(around, checker);
        let (rules, uses) = self.rules(checker);
        if !agents.open {
            self.check_uses(&uses, checker);
        }
        let (entry, policy) = self.limits.apply(Entry::new(), Policy::new(), checker);
        let agents_limits = self.limits.agents();
        let cors = self.grpc_web.as_ref().map(|web| web.value.check(checker));
        let drain = self.drain.map_or(DEFAULT_DRAIN, |time| time.0);
        let (gateway, access) = match tokens? {
            Some(tokens) => (
                Gateway::builder().agent_auth(tokens),
                Access::Tokens(agents.tokens.len()),
            ),
            None => (Gateway::builder().open_to_any_agent(), Access::Open),
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
            entry: entry.drain(drain),
            has_tls,
            policy: policy.trusted_peers(trusted?),
            drain,
            balance: self.balance.into(),
            rules: rules?,
            route_services: agents.route_services,
            cors: cors.map_or(Some(None), |cors| cors.map(Some))?,
            upgrade: self.websocket.layer(),
            access,
        })
    }

    /// The tokens; `Some(None)` for a gateway that is open.
    fn tokens(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<Option<AgentTokens>> {
        let agents = &self.agents.value;
        match (agents.open, agents.tokens.as_slice()) {
            (true, []) => return Some(None),
            (true, [..]) => {
                let message =
                    "agents need no token where `open: true` stands: keep one of `open` and `tokens`";
                checker.wrong(self.agents.referenced, message);
                return None;
            }
            (false, []) => {
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

    fn rules(&self, checker: &mut Checker<'_>) -> (Option<Rules>, Vec<GroupUse>) {
        if self.rules.value.is_empty() && !self.agents.value.route_services {
            let message = "there are no rules, so every request would be answered 404: add one such as \
                           `- {id: all, group: web}`";
            checker.wrong(self.rules.referenced, message);
        }
        rules::check(&self.rules.value, checker)
    }

    /// Every group that rules name must be one that some agent may register.
    fn check_uses(&self, uses: &[GroupUse], checker: &mut Checker<'_>) {
        let mut known = BTreeSet::new();
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

impl RawGrpcWeb {
    fn check(&self, checker: &mut Checker<'_>) -> Option<Cors> {
        let origins = &self.origins.value;
        let is_any = |origin: &Spanned<String>| origin.value == "*";
        if origins.is_empty() {
            let message = "no page could call: name one such as `origins: [https://app.example.com]`, or leave \
                           `grpc_web` out if only pages of the same site call";
            checker.wrong(self.origins.referenced, message);
            return None;
        }
        if origins.iter().any(is_any) && (origins.len() > 1 || self.credentials) {
            let message = "`*` stands for every page: it stands alone, and never with `credentials: true`";
            checker.wrong(self.origins.referenced, message);
            return None;
        }
        let cors = if is_any(&origins[0]) {
            Cors::any_origin()
        } else {
            let names = origins.iter().map(|origin| origin.value.as_str());
            let cors = if self.credentials {
                Cors::origins_with_credentials(names)
            } else {
                Cors::origins(names)
            };
            checker.take(self.origins.referenced, cors)?
        };
        Some(match self.max_age {
            Some(age) => cors.max_age(age.0),
            None => cors,
        })
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

impl RawGroups {
    fn check(&self, place: &Spanned<Self>, checker: &mut Checker<'_>) -> Option<AllowedGroups> {
        let groups = match self {
            Self::All => return Some(AllowedGroups::All),
            Self::Only(groups) => groups,
        };
        if groups.is_empty() {
            checker.wrong(
                place.referenced,
                "a token needs a group: write one such as `groups: [web]`, or \"*\" for all",
            );
        }
        let groups: Option<BTreeSet<GroupName>> = groups
            .iter()
            .map(|group| checker.take(group.referenced, group.value.parse()))
            .collect();
        groups.map(AllowedGroups::Only)
    }
}

fn parse_address(text: &str, place: Location, checker: &mut Checker<'_>) -> Option<SocketAddr> {
    let address = text.parse().map_err(|_| {
        format!("`{text}` is no address to listen on: write IP:PORT, such as 127.0.0.1:8080 or [::]:8080")
    });
    checker.take(place, address)
}

impl<'de> Deserialize<'de> for RawGroups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = RawGroups;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list such as [web, api], or \"*\" for all groups,")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawGroups, E> {
                if text == "*" {
                    return Ok(RawGroups::All);
                }
                Err(E::custom(format!(
                    "`{text}` is no list of groups: write [{text}], or \"*\" for all groups"
                )))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<RawGroups, A::Error> {
                let mut groups = Vec::new();
                while let Some(group) = list.next_element()? {
                    groups.push(group);
                }
                Ok(RawGroups::Only(groups))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
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
        }
        write!(f, ", rules {rules}")
    }
}
