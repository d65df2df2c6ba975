//! What a gateway's file says for its agents, and what they make of it.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;
use tunnel_core::GroupName;
use tunnel_transport::{
    gateway::MAX_CONFIG_BYTES,
    upstream::{AllowList, AllowedUpstream},
};

use super::{
    ConfigError, Surroundings,
    agent::{self, RawRoute},
    document::Document,
    error::Checker,
    upstream::RawUpstream,
    yaml,
};
use crate::upstreams::Upstreams;

/// What stands before each group's part of a text.
const BORDER: &str = "---";

/// The configuration for the agents of one group.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPushed {
    #[serde(default)]
    own_rules: OwnRules,
    upstream: Option<Spanned<RawUpstream>>,
    #[serde(default)]
    routes: Vec<Spanned<RawRoute>>,
}

/// What becomes of the rules that an agent's own file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OwnRules {
    /// They are asked first.
    #[default]
    Win,
    /// They are not asked.
    Forbidden,
}

/// `pushed` of an agent's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTaken {
    allow: Vec<Spanned<String>>,
    cache: Option<String>,
}

/// What a gateway has pushed, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pushed {
    pub(crate) upstreams: Upstreams,
    /// Whether the agent's own rules are not asked.
    pub(crate) own_is_forbidden: bool,
    documents: Vec<Document>,
}

impl Pushed {
    /// Of the text that an agent was sent. Upstreams may be where `allow` says, and name no files of the agent's machine.
    pub(crate) fn parse(text: &str, allow: &AllowList) -> Result<Self, ConfigError> {
        let around = Surroundings {
            env: &|_| None,
            directory: Path::new(""),
            files: None,
            allow: Some(allow),
        };
        let mut all = Self::default();
        for (index, text) in parts(text).into_iter().enumerate() {
            let name = format!("pushed configuration {}", index + 1);
            let raw: RawPushed = yaml::read(&name, &text)?;
            let mut checker = Checker::new(&name, &text);
            let upstreams = raw.upstreams(&around, &mut checker);
            let upstreams = checker.finish(upstreams)?;
            all.upstreams = all.upstreams.over(&upstreams);
            all.own_is_forbidden |= raw.own_rules == OwnRules::Forbidden;
            all.documents.push(Document::parse(&text));
        }
        Ok(all)
    }

    /// Takes the upstreams of which `old` says the same, with their connections.
    pub(crate) fn keep(&mut self, old: &Self) {
        let specs = agent::specs(&self.documents);
        let old_specs = agent::specs(&old.documents);
        self.upstreams.keep(&specs, &old.upstreams, &old_specs);
    }
}

impl RawPushed {
    fn upstreams(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<Upstreams> {
        agent::upstreams(self.upstream.as_ref(), &self.routes, around, checker)
    }
}

/// The parts of a text, without their borders.
fn parts(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in text.lines() {
        match parts.last_mut() {
            _ if line.trim_end() == BORDER => parts.push(String::new()),
            None => parts.push(format!("{line}\n")),
            Some(part) => {
                part.push_str(line);
                part.push('\n');
            }
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// What a gateway pushes to the agents of each group: checked, as far as a gateway can, and as it is sent.
pub(super) fn check(
    raw: &BTreeMap<String, Spanned<RawPushed>>,
    around: &Surroundings<'_>,
    checker: &mut Checker<'_>,
) -> Option<Vec<GroupName>> {
    let everywhere = ["0.0.0.0/0", "::/0", "unix:/*"];
    // These are entries.
    let everywhere = AllowList::parse(everywhere).unwrap_or_default();
    let around = Surroundings {
        allow: Some(&everywhere),
        ..*around
    };
    let check = |(name, pushed): (&String, &Spanned<RawPushed>)| {
        let group = checker.take(pushed.referenced, name.parse::<GroupName>());
        let upstreams = pushed.value.upstreams(&around, checker);
        group.filter(|_| upstreams.is_some())
    };
    raw.iter().map(check).collect()
}

/// The same, as it is sent: JSON, which is YAML.
///
/// # Errors
///
/// One is too large.
pub(super) fn texts(groups: &[GroupName], document: &Document) -> Result<Vec<(GroupName, String)>, String> {
    let text = |group: &GroupName| {
        let value = document.at("agents.push").get(group.as_str());
        let text = serde_json::to_string_pretty(value.unwrap_or(&Value::Null)).unwrap_or_default();
        match text.len() + BORDER.len() < MAX_CONFIG_BYTES {
            true => Ok((group.clone(), text)),
            false => Err(format!(
                "what the agents of `{group}` are to be sent has {} bytes: at most {MAX_CONFIG_BYTES} can be sent",
                text.len()
            )),
        }
    };
    groups.iter().map(text).collect()
}

impl RawTaken {
    /// Where pushed upstreams may be.
    pub(super) fn allow(&self, checker: &mut Checker<'_>) -> Option<AllowList> {
        let entry = |text: &Spanned<String>| {
            let parsed = text.value.parse::<AllowedUpstream>();
            checker.take(text.referenced, parsed)
        };
        self.allow.iter().map(entry).collect()
    }

    /// Where the last one is kept.
    pub(super) fn cache(&self) -> Option<&str> {
        self.cache.as_deref()
    }
}
