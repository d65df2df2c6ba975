//! An agent's file.

use std::{fmt, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};
use tunnel_core::{AgentId, GroupName, Settings};
use tunnel_transport::{Agent, AgentBuilder, gateway::MIN_TOKEN_BYTES};

use super::{
    Admin, Changes, ConfigError, Surroundings,
    admin::{self, RawAdmin},
    dns,
    document::Document,
    error::Checker,
    limits::Limits,
    local::{self, Local, RawLocal, RawLocals},
    observe::{self, Observe, RawAccessLog, RawMetrics},
    pushed::RawTaken,
    reload::RawReload,
    secret::TokenKeys,
    text_or::TextOr,
    timeouts::RawTimeouts,
    tls::{self, RawClientTls, RawListen},
    traces::{RawTraces, Traces},
    units::{Count, Secret, Time},
    upstream::RawUpstream,
    yaml,
};
use crate::{routing::Routing, upstreams::Upstreams};

/// The most exchanges at one time that the two ends agree on.
const MAX_EXCHANGES: u32 = 1_000_000;

/// Everything that an agent needs, checked. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The agent, not connected yet.
    pub agent: Agent,
    /// The gateways that it dials, for people.
    pub gateway: String,
    /// Its groups, for people.
    pub groups: Vec<String>,
    /// Who answers, by the agent's own file.
    pub upstreams: Upstreams,
    /// Who answers, with what the gateway has pushed.
    pub routing: Routing,
    /// Where those who are with the agent ask its gateways.
    pub locals: Vec<Local>,
    /// What is measured and logged.
    pub observe: Observe,
    /// Where traces go, if anywhere.
    pub traces: Option<Traces>,
    /// Where whoever operates it asks, if anywhere.
    pub admin: Option<Admin>,
    /// How often the file is looked at for changes; none if only a signal asks for it.
    pub reload: Option<Duration>,
    pub(super) document: Document,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgent {
    gateway: Option<Spanned<TextOr<RawGateway>>>,
    #[serde(default)]
    gateways: Vec<Spanned<TextOr<RawGateway>>>,
    lookup_interval: Option<Time>,
    #[serde(default)]
    dns: Vec<Spanned<String>>,
    id: Option<Spanned<String>>,
    groups: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    services: Vec<Spanned<String>>,
    #[serde(default)]
    hosts: Vec<Spanned<String>>,
    token: Option<Spanned<Secret>>,
    token_env: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    lanes: Option<Spanned<Count>>,
    weight: Option<Spanned<Count>>,
    zone: Option<Spanned<String>>,
    max_exchanges: Option<Spanned<Count>>,
    drain: Option<Time>,
    #[serde(default)]
    reload: RawReload,
    #[serde(default, deserialize_with = "tls::present")]
    pushed: Option<RawTaken>,
    upstream: Option<Spanned<RawUpstream>>,
    #[serde(default)]
    routes: Vec<Spanned<RawRoute>>,
    listen: Option<Spanned<TextOr<RawListen>>>,
    #[serde(default)]
    listeners: Vec<Spanned<RawLocal>>,
    limits: Option<Spanned<Limits>>,
    #[serde(default, deserialize_with = "tls::present")]
    timeouts: Option<RawTimeouts>,
    lame_duck: Option<Time>,
    #[serde(default, deserialize_with = "tls::present")]
    admin: Option<Spanned<RawAdmin>>,
    #[serde(default, deserialize_with = "tls::present")]
    traces: Option<Spanned<RawTraces>>,
    #[serde(default, deserialize_with = "tls::present")]
    metrics: Option<RawMetrics>,
    #[serde(default, deserialize_with = "tls::present")]
    access_log: Option<RawAccessLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    url: Spanned<String>,
    #[serde(default, deserialize_with = "tls::present")]
    tls: Option<Spanned<RawClientTls>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    host: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    upstream: Spanned<RawUpstream>,
}

const NO_GATEWAY: &str = "the key `gateway` is missing: write one such as `gateway: https://gateway.example.com:7000`, or several \
                          under `gateways`";

pub(super) fn parse(file: &str, text: &str, around: &Surroundings<'_>) -> Result<AgentConfig, ConfigError> {
    let raw: RawAgent = yaml::read(file, text)?;
    if raw.gateway.is_none() && raw.gateways.is_empty() {
        return Err(ConfigError::whole(file, NO_GATEWAY));
    }
    let mut checker = Checker::new(file, text);
    let config = raw.check(around, &mut checker).map(|config| {
        let document = Document::parse(text);
        AgentConfig {
            locals: local::noted(config.locals, &document),
            document,
            ..config
        }
    });
    checker.finish(config)
}

/// What an agent registers, or agrees on with its gateway: only a new registration changes it, and so a new start.
const FIXED: &[&str] = &[
    "gateway",
    "gateways",
    "lookup_interval",
    "dns",
    "id",
    "groups",
    "services",
    "hosts",
    "token",
    "token_env",
    "token_file",
    "lanes",
    "weight",
    "max_exchanges",
    "drain",
    "pushed",
    admin::FIXED,
    "metrics",
    "access_log",
    "traces",
];

impl AgentConfig {
    /// What is different in `new`.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Changes {
        self.document.changes(&new.document)
    }

    /// The keys that changed and cannot while an agent is registered.
    #[must_use]
    pub fn unchangeable(changes: &Changes) -> Vec<&str> {
        changes.within(FIXED, &admin::FREE)
    }

    /// Takes the upstreams of which the file still says the same from the configuration that was in use, with their connections.
    pub fn keep(&mut self, old: &Self) {
        let said = |config: &Self| vec![config.document.clone()];
        let (documents, old_documents) = (said(self), said(old));
        self.upstreams
            .keep(&specs(&documents), &old.upstreams, &specs(&old_documents));
    }
}

/// What documents say of each upstream: the default one first, as far as there is one, then those of the routes.
pub(super) fn specs(documents: &[Document]) -> Vec<&Value> {
    let default = documents.iter().map(|document| document.at("upstream"));
    let routes = documents.iter().flat_map(|document| {
        let routes = document.at("routes").as_array().into_iter().flatten();
        routes.map(|route| &route["upstream"])
    });
    default
        .filter(|spec| !spec.is_null())
        .take(1)
        .chain(routes)
        .collect()
}

/// A default upstream, and others for some hosts and paths.
pub(super) fn upstreams(
    default: Option<&Spanned<RawUpstream>>,
    routes: &[Spanned<RawRoute>],
    around: &Surroundings<'_>,
    checker: &mut Checker<'_>,
) -> Option<Upstreams> {
    let mut upstreams = match default {
        Some(default) => default
            .value
            .build(default.referenced, around, checker)
            .map(Upstreams::new),
        None => Some(Upstreams::default()),
    };
    for route in routes {
        let (place, route) = (route.referenced, &route.value);
        let upstream = route
            .upstream
            .value
            .build(route.upstream.referenced, around, checker);
        upstreams = upstreams.zip(upstream).and_then(|(upstreams, upstream)| {
            let (host, path) = (route.host.as_ref(), route.path.as_ref());
            let added = upstreams.route(
                host.map(|host| host.value.as_str()),
                path.map(|path| path.value.as_str()),
                upstream,
            );
            checker.take(route.place(place), added)
        });
    }
    upstreams
}

impl RawAgent {
    fn check(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<AgentConfig> {
        let gateway = self.check_gateways(around, checker);
        let names = self.check_names(checker);
        let token = self.token(around, checker);
        let lanes = bounded(self.lanes.as_ref(), 8, "lanes", checker);
        let weight = bounded(self.weight.as_ref(), 1_000, "weight", checker);
        let settings = self.settings(checker);
        let upstreams = self.upstreams(around, checker);
        let locals = RawLocals {
            listen: self.listen.as_ref(),
            listeners: &self.listeners,
            limits: self.limits.as_ref(),
            timeouts: self.timeouts.unwrap_or_default(),
            lame_duck: self.lame_duck,
            drain: self.drain,
        };
        let locals = locals.check(around, checker);
        let observe = observe::check(self.metrics.as_ref(), self.access_log.as_ref(), around, checker);
        let traces = RawTraces::check(self.traces.as_ref(), false, checker);
        let admin = RawAdmin::check(self.admin.as_ref(), around, checker);
        names?;

        let mut builder = gateway?.lanes(lanes?).weight(weight?).settings(settings?);
        if let Some(id) = &self.id {
            builder = builder.id(&id.value);
        }
        for group in &self.groups.value {
            builder = builder.group(&group.value);
        }
        for service in &self.services {
            let probe = Agent::builder("http://probe").group("probe");
            checker.take(
                service.referenced,
                probe.grpc_service_name(&service.value).build(),
            )?;
            builder = builder.grpc_service_name(&service.value);
        }
        for host in &self.hosts {
            let probe = Agent::builder("http://probe").group("probe");
            checker.take(host.referenced, probe.host(&host.value).build())?;
            builder = builder.host(&host.value);
        }
        if let Some(zone) = &self.zone {
            let probe = Agent::builder("http://probe").group("probe");
            checker.take(zone.referenced, probe.zone(&zone.value).build())?;
            builder = builder.zone(&zone.value);
        }
        builder = match (token?, &self.token_file) {
            // Read again and again, so that a token that is replaced in time costs no session.
            (Some(_), Some(file)) => builder.token_file(around.directory.join(&file.value)),
            (Some(token), None) => builder.token(token.0),
            (None, _) => builder,
        };
        if let Some(drain) = self.drain {
            builder = builder.drain_timeout(drain.0);
        }
        let upstreams = upstreams?;
        let routing = Routing::new(upstreams.clone());
        builder = self.taking(builder, &routing, around, checker)?;
        Some(AgentConfig {
            agent: checker.take(self.place(), builder.build())?,
            gateway: self
                .named()
                .map(|named| named.value.url().0)
                .collect::<Vec<_>>()
                .join(","),
            groups: self
                .groups
                .value
                .iter()
                .map(|group| group.value.clone())
                .collect(),
            upstreams,
            routing,
            locals: locals?,
            observe: observe?,
            admin: admin?,
            traces: traces?,
            reload: self.reload.interval(),
            document: Document::default(),
        })
    }

    fn settings(&self, checker: &mut Checker<'_>) -> Option<Settings> {
        let mut settings = Settings::default();
        if let Some(count) = &self.max_exchanges {
            settings.max_exchanges = bounded(Some(count), MAX_EXCHANGES, "max_exchanges", checker)?;
        }
        Some(settings)
    }

    /// The gateways, whichever key they stand under.
    fn named(&self) -> impl Iterator<Item = &Spanned<TextOr<RawGateway>>> {
        self.gateway.iter().chain(&self.gateways)
    }

    /// The place of what concerns all of them.
    fn place(&self) -> Location {
        self.named()
            .next()
            .map_or(Location::UNKNOWN, |named| named.referenced)
    }

    /// An agent that dials them, and has no group yet.
    fn check_gateways(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<AgentBuilder> {
        if let (Some(_), Some(other)) = (&self.gateway, self.gateways.first()) {
            let text = "there are `gateway` and `gateways`: write all of them under `gateways`";
            checker.wrong(other.referenced, text);
        }
        let mut builder = None;
        for named in self.named() {
            let (url, place) = named.value.url();
            let place = place.unwrap_or(named.referenced);
            let tls = match named.value.tls() {
                Some(tls) => Some(tls.value.check(tls.referenced, around, checker)?),
                None => None,
            };
            let add = |builder: Option<AgentBuilder>| match (builder, tls.clone()) {
                (None, None) => Agent::builder(url),
                (None, Some(tls)) => Agent::builder(url).tls(tls),
                (Some(builder), None) => builder.gateway(url),
                (Some(builder), Some(tls)) => builder.gateway_with_tls(url, tls),
            };
            // A builder that is right in all else tells what is wrong with the address.
            checker.take(place, add(None).group("probe").build())?;
            builder = Some(add(builder));
        }
        let builder = builder?.dns(dns::check(&self.dns, checker)?);
        Some(match self.lookup_interval {
            Some(interval) => builder.lookup_interval(interval.0),
            None => builder,
        })
    }

    fn check_names(&self, checker: &mut Checker<'_>) -> Option<()> {
        let mut right = Some(());
        if let Some(id) = &self.id {
            right = right.and(checker.take(id.referenced, id.value.parse::<AgentId>()).map(drop));
        }
        if self.groups.value.is_empty() {
            checker.wrong(
                self.groups.referenced,
                "an agent needs a group: write one such as `groups: [web]`",
            );
            right = None;
        }
        for group in &self.groups.value {
            let parsed = group.value.parse::<GroupName>();
            right = right.and(checker.take(group.referenced, parsed).map(drop));
        }
        right
    }

    /// The token; `Some(None)` for an agent of a gateway that is open.
    fn token(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<Option<Secret>> {
        let keys = TokenKeys {
            token: self.token.as_ref(),
            token_env: self.token_env.as_ref(),
            token_file: self.token_file.as_ref(),
        };
        if keys.is_empty() {
            return Some(None);
        }
        let (token, location) = keys.resolve("the agent", self.place(), around, checker)?;
        checker.take(location, check_token(&token))?;
        Some(Some(token))
    }

    fn upstreams(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<Upstreams> {
        let listens = self.listen.is_some() || !self.listeners.is_empty();
        if self.upstream.is_none() && self.pushed.is_none() && !listens {
            checker.wrong(
                Location::UNKNOWN,
                "the key `upstream` is missing: write `upstream:` with the key `url`, or `pushed:` to get them from the gateway",
            );
        }
        upstreams(self.upstream.as_ref(), &self.routes, around, checker)
    }

    /// An agent that takes what its gateway pushes, if it is to.
    fn taking(
        &self,
        builder: AgentBuilder,
        routing: &Routing,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<AgentBuilder> {
        let Some(pushed) = &self.pushed else {
            return Some(builder);
        };
        let (allow, routing) = (pushed.allow(checker)?, routing.clone());
        let builder = builder.on_config(move |config| Ok(routing.push(config, &allow)?));
        Some(match pushed.cache() {
            Some(path) => builder.config_cache(around.directory.join(path)),
            None => builder,
        })
    }
}

impl TextOr<RawGateway> {
    /// The gateway's address, and its place where it has one of its own.
    fn url(&self) -> (&str, Option<Location>) {
        match self {
            Self::Text(text) => (text, None),
            Self::Map(gateway) => (&gateway.url.value, Some(gateway.url.referenced)),
        }
    }

    fn tls(&self) -> Option<&Spanned<RawClientTls>> {
        match self {
            Self::Text(_) => None,
            Self::Map(gateway) => gateway.tls.as_ref(),
        }
    }
}

impl RawRoute {
    /// The place of what most likely is wrong: the path, or else the host.
    fn place(&self, route: Location) -> Location {
        self.path
            .as_ref()
            .or(self.host.as_ref())
            .map_or(route, |key| key.referenced)
    }
}

/// What every gateway would refuse.
fn check_token(token: &Secret) -> Result<(), String> {
    if token.0.len() < MIN_TOKEN_BYTES {
        return Err(format!(
            "the token has fewer than {MIN_TOKEN_BYTES} bytes: make one with `openssl rand -hex 32`"
        ));
    }
    if !token.0.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the token has characters other than visible ASCII".to_owned());
    }
    Ok(())
}

/// A number from 1 (which it is by default) to `most`.
fn bounded(count: Option<&Spanned<Count>>, most: u32, key: &str, checker: &mut Checker<'_>) -> Option<u32> {
    let Some(count) = count else { return Some(1) };
    let value = count.value.0;
    if value <= most {
        return Some(value);
    }
    checker.wrong(
        count.referenced,
        format!("`{key}: {value}` is too much: write 1 to {most}"),
    );
    None
}

/// One line: what runs, for `--check`.
impl fmt::Display for AgentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.groups.join(" ");
        write!(
            f,
            "gateway {}, groups {groups}, upstreams {}",
            self.gateway,
            self.upstreams.count()
        )?;
        for (index, local) in self.locals.iter().enumerate() {
            write!(
                f,
                "{}{}",
                if index == 0 { ", listen " } else { " " },
                local.listen
            )?;
        }
        Ok(())
    }
}
