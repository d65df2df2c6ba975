//! The ports for outside traffic, each with rules of its own.

use std::{collections::HashSet, net::SocketAddr};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_layers::{deadline::DeadlineLayer, route::RulesWithUpstreams};
use tunnel_transport::entry::Entry;

use super::{
    Surroundings,
    auth::Known,
    error::Checker,
    gateway::parse_address,
    rules::{self, GroupUse, RawRule},
    text_or::TextOr,
    timeouts::RawTimeouts,
    tls::{self, RawListen},
};

/// What the port of `listen` and `rules` is called, if it is not the only one.
pub(super) const FIRST: &str = "main";

/// A port for outside traffic.
#[derive(Clone, Debug)]
pub struct Listener {
    /// What it is called: the text of `name`, or `main`.
    pub name: String,
    /// Its address.
    pub listen: SocketAddr,
    /// Its limits, and its TLS.
    pub entry: Entry,
    /// Whether traffic comes by TLS.
    pub has_tls: bool,
    /// Where requests go.
    pub rules: RulesWithUpstreams,
    /// How long the parts of an exchange may take, where their rule says nothing.
    pub deadline: DeadlineLayer,
}

/// One of `listeners:`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListener {
    name: Spanned<String>,
    listen: Spanned<TextOr<RawListen>>,
    #[serde(default, deserialize_with = "tls::present")]
    timeouts: Option<RawTimeouts>,
    rules: Spanned<Vec<Spanned<RawRule>>>,
}

/// What the file says of a port, wherever that stands.
#[derive(Clone, Copy)]
pub(super) struct Port<'a> {
    name: &'a str,
    listen: &'a Spanned<TextOr<RawListen>>,
    rules: &'a Spanned<Vec<Spanned<RawRule>>>,
    timeouts: RawTimeouts,
}

/// What the rules of all ports may refer to.
pub(super) struct Context<'a> {
    pub(super) around: &'a Surroundings<'a>,
    /// The names of the rate limits.
    pub(super) limits: Vec<&'a str>,
    /// The names of the upstreams.
    pub(super) upstreams: Vec<&'a str>,
    /// Whether agents may serve what no rule matches.
    pub(super) routes_services: bool,
    /// The port that agents have, and its place.
    pub(super) agents_listen: Option<(SocketAddr, Location)>,
}

/// The ports of a file: that of `listen` and `rules`, and those of `listeners`.
pub(super) fn ports<'a>(
    listen: Option<&'a Spanned<TextOr<RawListen>>>,
    rules: Option<&'a Spanned<Vec<Spanned<RawRule>>>>,
    timeouts: RawTimeouts,
    listeners: &'a [Spanned<RawListener>],
    checker: &mut Checker<'_>,
) -> Vec<Port<'a>> {
    let mut ports = Vec::with_capacity(listeners.len() + 1);
    match (listen, rules) {
        (Some(listen), Some(rules)) => ports.push(Port {
            name: FIRST,
            listen,
            rules,
            timeouts,
        }),
        (None, None) if !listeners.is_empty() => {}
        (None, None) => checker.wrong(
            Location::UNKNOWN,
            "nothing can come in: add `listen: 127.0.0.1:8080` and `rules`, or `listeners`",
        ),
        (Some(listen), None) => checker.wrong(
            listen.referenced,
            "`rules` is missing for this port: write one such as `rules: [{id: all, group: web}]`",
        ),
        (None, Some(rules)) => checker.wrong(
            rules.referenced,
            "`listen` is missing for these rules: write one such as `listen: 127.0.0.1:8080`",
        ),
    }
    ports.extend(listeners.iter().map(|listener| Port {
        name: &listener.value.name.value,
        listen: &listener.value.listen,
        rules: &listener.value.rules,
        timeouts: listener.value.timeouts.unwrap_or(timeouts),
    }));
    check_names(listeners, checker);
    ports
}

fn check_names(listeners: &[Spanned<RawListener>], checker: &mut Checker<'_>) {
    let mut names = HashSet::from([FIRST]);
    for listener in listeners {
        check_name(&listener.value.name, &mut names, checker);
    }
}

/// Whether the name of a port can be one, and is not among those that are taken.
pub(super) fn check_name<'a>(
    name: &'a Spanned<String>,
    taken: &mut HashSet<&'a str>,
    checker: &mut Checker<'_>,
) {
    let text = &name.value;
    let is_right = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_right {
        checker.wrong(name.referenced, "a name has 1 to 128 visible characters of ASCII");
    } else if !taken.insert(text) {
        let message = format!("another listener is called `{text}`: give each its own name");
        checker.wrong(name.referenced, message);
    }
}

/// Checks all ports, and says which groups their rules name.
pub(super) fn check(
    ports: &[Port<'_>],
    entry: &Entry,
    context: &Context<'_>,
    known: &mut Known,
    checker: &mut Checker<'_>,
) -> (Option<Vec<Listener>>, Vec<GroupUse>) {
    let mut listeners = Some(Vec::with_capacity(ports.len()));
    let mut uses = Vec::new();
    let mut taken = HashSet::new();
    for port in ports {
        let (checked, used) = port.check(entry.clone(), context, known, checker);
        uses.extend(used);
        if let Some(listener) = &checked {
            port.check_taken(listener.listen, context, &mut taken, checker);
        }
        listeners = listeners.zip(checked).map(|(mut listeners, listener)| {
            listeners.push(listener);
            listeners
        });
    }
    (listeners, uses)
}

impl<'a> Port<'a> {
    pub(super) fn rules(&self) -> impl Iterator<Item = &'a Spanned<RawRule>> + use<'a> {
        self.rules.value.iter()
    }

    pub(super) fn asks_for_certificates(&self) -> bool {
        self.listen.value.asks_for_certificates()
    }

    fn check(
        &self,
        entry: Entry,
        context: &Context<'_>,
        known: &mut Known,
        checker: &mut Checker<'_>,
    ) -> (Option<Listener>, Vec<GroupUse>) {
        let (listen, place) = self.listen.value.address(self.listen.referenced);
        let listen = parse_address(listen, place, checker);
        let tls = self.listen.value.tls(context.around, checker);
        if self.rules.value.is_empty() && !context.routes_services {
            let message = "there are no rules, so every request would be answered 404: add one such as \
                           `- {id: all, group: web}`";
            checker.wrong(self.rules.referenced, message);
        }
        let (rules, uses) = rules::check(
            &self.rules.value,
            &context.limits,
            &context.upstreams,
            known,
            checker,
        );
        let listener = || {
            let tls = tls?;
            let has_tls = tls.is_some();
            Some(Listener {
                name: self.name.to_owned(),
                listen: listen?,
                entry: match tls {
                    Some(tls) => tls.entry(entry),
                    None => entry,
                },
                has_tls,
                rules: rules?,
                deadline: DeadlineLayer::new().defaults(self.timeouts.defaults()),
            })
        };
        (listener(), uses)
    }

    /// Whether somebody else has the address.
    fn check_taken(
        &self,
        listen: SocketAddr,
        context: &Context<'_>,
        taken: &mut HashSet<SocketAddr>,
        checker: &mut Checker<'_>,
    ) {
        if listen.port() == 0 {
            return;
        }
        if let Some((agents, place)) = context.agents_listen
            && agents == listen
        {
            let message = "outside traffic has this address already: give agents a port of their own";
            checker.wrong(place, message);
        }
        if !taken.insert(listen) {
            let (_, place) = self.listen.value.address(self.listen.referenced);
            checker.wrong(place, "another listener has this address already");
        }
    }
}
