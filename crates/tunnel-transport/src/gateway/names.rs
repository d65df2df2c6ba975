//! What an agent wants to register, and whether its credentials let it.

use std::{collections::BTreeSet, sync::Arc};

use tunnel_core::GroupName;

use super::{AgentIdentity, control::Refusal};
use crate::{
    generated::{self as pb, error_message::Code},
    host_name::{HOST_RULE, host_name},
    service_name::is_service_name,
};

/// The most groups, services, hosts and labels that an agent may name.
const MAX_NAMES: usize = 1_000;

/// The label that says where an agent is.
const ZONE: &str = "zone";

/// The longest name of a zone, in bytes.
const MAX_ZONE_BYTES: usize = 128;

/// What an agent registers, each name once.
pub(super) struct Names {
    pub(super) groups: Vec<GroupName>,
    pub(super) services: Vec<Arc<str>>,
    pub(super) hosts: Vec<Arc<str>>,
    pub(super) zone: Option<Arc<str>>,
}

impl Names {
    /// What it asks for, if it may have all of it.
    pub(super) fn of(open: &pb::StreamOpen, identity: &AgentIdentity) -> Result<Self, Refusal> {
        Ok(Self {
            groups: groups(open, identity)?,
            services: allowed_services(open, identity)?,
            hosts: allowed_hosts(open, identity)?,
            zone: zone(open)?,
        })
    }
}

/// The groups that the agent asks for, all of which it must be allowed.
fn groups(open: &pb::StreamOpen, identity: &AgentIdentity) -> Result<Vec<GroupName>, Refusal> {
    if open.groups.is_empty() || open.groups.len() > MAX_NAMES || open.labels.len() > MAX_NAMES {
        return Err(Refusal::new(
            Code::Invalid,
            "stream_open must name 1 to 1,000 groups, and at most 1,000 labels",
        ));
    }
    let mut groups = Vec::with_capacity(open.groups.len());
    for name in &open.groups {
        let group = parse::<GroupName>("groups", name)?;
        if !identity.groups.allows(&group) {
            let text = format!(
                "the credentials {:?} may not register the group {name:?}",
                identity.name
            );
            return Err(Refusal::new(Code::GroupNotAllowed, text));
        }
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// Where the agent says that it is, by its label `zone`.
fn zone(open: &pb::StreamOpen) -> Result<Option<Arc<str>>, Refusal> {
    match open.labels.get(ZONE).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(zone) if zone.len() <= MAX_ZONE_BYTES => Ok(Some(zone.into())),
        Some(_) => Err(Refusal::new(
            Code::Invalid,
            "the label `zone` is longer than 128 bytes",
        )),
    }
}

/// The gRPC services that the agent brings, all of which it must be allowed.
fn allowed_services(open: &pb::StreamOpen, identity: &AgentIdentity) -> Result<Vec<Arc<str>>, Refusal> {
    let services = services(open)?;
    match services.iter().find(|name| !identity.services.allows(name)) {
        Some(name) => {
            let text = format!(
                "the credentials {:?} may not register the service {name:?}",
                identity.name
            );
            Err(Refusal::new(Code::GroupNotAllowed, text))
        }
        None => Ok(services),
    }
}

/// The hosts that the agent serves, all of which it must be allowed.
fn allowed_hosts(open: &pb::StreamOpen, identity: &AgentIdentity) -> Result<Vec<Arc<str>>, Refusal> {
    let hosts = hosts(open)?;
    match hosts.iter().find(|host| !identity.hosts.allows(host)) {
        Some(host) => {
            let text = format!(
                "the credentials {:?} may not register the host {host:?}: allow it in their rights at the gateway, or take it \
                 out of the agent's hosts",
                identity.name
            );
            Err(Refusal::new(Code::GroupNotAllowed, text))
        }
        None => Ok(hosts),
    }
}

/// The hosts that the agent serves, each once, in the form in which requests name them.
fn hosts(open: &pb::StreamOpen) -> Result<Vec<Arc<str>>, Refusal> {
    if open.hosts.len() > MAX_NAMES {
        let text = "stream_open must name at most 1,000 hosts";
        return Err(Refusal::new(Code::Invalid, text));
    }
    let each_once: Result<BTreeSet<String>, _> = open.hosts.iter().map(|host| parse_host(host)).collect();
    Ok(each_once?.into_iter().map(Arc::from).collect())
}

fn parse_host(text: &str) -> Result<String, Refusal> {
    host_name(text).ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        Refusal::new(
            Code::Invalid,
            format!("stream_open.hosts: {text:?} is no host: {HOST_RULE}"),
        )
    })
}

/// The gRPC services that the agent brings, each once.
fn services(open: &pb::StreamOpen) -> Result<Vec<Arc<str>>, Refusal> {
    if open.services.len() > MAX_NAMES {
        let text = "stream_open must name at most 1,000 services";
        return Err(Refusal::new(Code::Invalid, text));
    }
    if let Some(name) = open.services.iter().find(|name| !is_service_name(name)) {
        let name: String = name.chars().take(64).collect();
        let text = format!(
            "stream_open.services: {name:?} is no service: use 1 to 253 of the characters a-z, A-Z, 0-9, '_' and '.'"
        );
        return Err(Refusal::new(Code::Invalid, text));
    }
    let each_once: BTreeSet<&str> = open.services.iter().map(String::as_str).collect();
    Ok(each_once.into_iter().map(Arc::from).collect())
}

/// A name in this field.
pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &str,
    text: &str,
) -> Result<T, Refusal> {
    text.parse()
        .map_err(|error| Refusal::new(Code::Invalid, format!("stream_open.{field}: {error}")))
}
