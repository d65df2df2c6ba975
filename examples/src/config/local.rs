//! The ports of an agent: `listen` and `listeners` of its file.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;
use tunnel_core::admit::Policy;
use tunnel_layers::deadline::DeadlineLayer;
use tunnel_transport::entry::Entry;

use super::{
    Surroundings,
    document::Document,
    error::Checker,
    gateway::parse_address,
    limits::Limits,
    listener::{FIRST, check_name},
    text_or::TextOr,
    timeouts::RawTimeouts,
    tls::{self, RawListen},
    units::Time,
};

/// A port beside an agent, whose requests go to the agent's gateways.
#[derive(Clone, Debug)]
pub struct Local {
    /// What it is called: the text of `name`, or `main`.
    pub name: String,
    /// Its address.
    pub listen: SocketAddr,
    /// Its limits, and its TLS.
    pub entry: Entry,
    /// How long the parts of an exchange may take.
    pub deadline: DeadlineLayer,
    /// What the file says of it: two ports that agree in this are the same.
    said: Value,
}

impl Local {
    /// Whether the file says the same of both.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        self.said == other.said
    }
}

/// One of `listeners:` of an agent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLocal {
    name: Spanned<String>,
    listen: Spanned<TextOr<RawListen>>,
    #[serde(default, deserialize_with = "tls::present")]
    timeouts: Option<RawTimeouts>,
}

/// What the file says of all of them.
pub(super) struct RawLocals<'a> {
    pub(super) listen: Option<&'a Spanned<TextOr<RawListen>>>,
    pub(super) listeners: &'a [Spanned<RawLocal>],
    pub(super) limits: Option<&'a Spanned<Limits>>,
    pub(super) timeouts: RawTimeouts,
    pub(super) lame_duck: Option<Time>,
    pub(super) drain: Option<Time>,
}

/// The keys of the file that concern every port.
const SHARED: [&str; 4] = ["limits", "timeouts", "lame_duck", "drain"];

impl RawLocals<'_> {
    pub(super) fn check(self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<Vec<Local>> {
        let entry = self.entry(checker);
        let named = self.listeners.iter().map(|Spanned { value, .. }| {
            let timeouts = value.timeouts.unwrap_or(self.timeouts);
            (&*value.name.value, &value.listen, timeouts)
        });
        let first = self.listen.map(|listen| (FIRST, listen, self.timeouts));
        let mut locals = Some(Vec::new());
        let mut addresses = HashSet::new();
        for (name, listen, timeouts) in first.into_iter().chain(named) {
            let (text, place) = listen.value.address(listen.referenced);
            let address = parse_address(text, place, checker);
            if address.is_some_and(|address| address.port() != 0 && !addresses.insert(address)) {
                checker.wrong(place, "another listener has this address already");
            }
            let port_tls = listen.value.tls(around, checker);
            let local = || {
                Some(Local {
                    name: name.to_owned(),
                    listen: address?,
                    entry: match port_tls? {
                        Some(tls) => tls.entry(entry.clone()),
                        None => entry.clone(),
                    },
                    deadline: DeadlineLayer::new().defaults(timeouts.defaults()),
                    said: Value::Null,
                })
            };
            locals = locals.zip(local()).map(|(mut locals, local)| {
                locals.push(local);
                locals
            });
        }
        let mut names = HashSet::from([FIRST]);
        for listener in self.listeners {
            check_name(&listener.value.name, &mut names, checker);
        }
        locals
    }

    /// What all ports take from a client.
    fn entry(&self, checker: &mut Checker<'_>) -> Entry {
        let (mut entry, mut policy) = (Entry::new(), Policy::new());
        if let Some(limits) = self.limits {
            if let Some(key) = limits.value.of_gateways() {
                let text = format!("`{key}` is a limit of gateways: take it out of the agent's file");
                checker.wrong(limits.referenced, text);
            }
            (entry, policy) = limits.value.apply(entry, policy, checker);
        }
        if let Some(time) = self.lame_duck {
            entry = entry.lame_duck(time.0);
        }
        if let Some(time) = self.drain {
            entry = entry.drain(time.0);
        }
        entry.extension(Arc::new(policy))
    }
}

/// The ports, with what the document says of each.
pub(super) fn noted(locals: Vec<Local>, document: &Document) -> Vec<Local> {
    let shared: Vec<Value> = SHARED.iter().map(|key| document.at(key).clone()).collect();
    let of = |name: &str| match name {
        FIRST => document.at("listen").clone(),
        name => {
            let mut listeners = document.at("listeners").as_array().into_iter().flatten();
            let listener = listeners.find(|listener| listener["name"] == name);
            listener.cloned().unwrap_or_default()
        }
    };
    let note = |local: Local| {
        let said = Value::Array(vec![of(&local.name), Value::Array(shared.clone())]);
        Local { said, ..local }
    };
    locals.into_iter().map(note).collect()
}
