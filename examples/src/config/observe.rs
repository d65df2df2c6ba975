//! What is measured and logged of exchanges: `metrics:` and `access_log:` of a gateway's or an agent's file.

use std::path::PathBuf;

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_layers::access_log::{AccessLogLayer, Format};

use super::{Surroundings, error::Checker, tls, units::Count};

/// The most names of agents or rules that may be labels.
const MAX_LABELS: u32 = 100_000;

/// What is measured and logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observe {
    /// What is measured; none if nothing is.
    pub metrics: Option<MetricsSettings>,
    /// What is logged of each exchange, if anything is.
    pub access_log: Option<AccessLogSettings>,
}

/// Bounds of what is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsSettings {
    /// The most agents with a label of their own; none for the layer's default.
    pub max_agents: Option<usize>,
    /// The most sets of rule, target and protocol with labels of their own; none for the layer's default.
    pub max_rules: Option<usize>,
}

/// What is logged of each exchange, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// Where the lines go.
    pub to: LogTo,
    /// What they look like.
    pub format: Format,
    /// Whether queries stand in them.
    pub query: bool,
    /// The headers of requests that stand in them.
    pub headers: Vec<String>,
}

/// Where lines of the access log go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// The log of the program, as events with the target `access`.
    Events,
    /// A file, behind what is in it.
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetrics {
    max_agents: Option<Spanned<Count>>,
    max_rules: Option<Spanned<Count>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccessLog {
    to: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "tls::present")]
    file: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
    #[serde(default)]
    query: bool,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
}

/// Checks both.
pub(super) fn check(
    metrics: Option<&RawMetrics>,
    access_log: Option<&RawAccessLog>,
    around: &Surroundings<'_>,
    checker: &mut Checker<'_>,
) -> Option<Observe> {
    let metrics = metrics.map(|metrics| metrics.check(checker));
    let access_log = access_log.map(|log| log.check(around, checker));
    Some(Observe {
        metrics: metrics.map_or(Some(None), |metrics| metrics.map(Some))?,
        access_log: access_log.map_or(Some(None), |log| log.map(Some))?,
    })
}

impl RawMetrics {
    fn check(&self, checker: &mut Checker<'_>) -> Option<MetricsSettings> {
        let mut bounded = |count: Option<&Spanned<Count>>| {
            let Some(count) = count else { return Some(None) };
            if count.value.0 > MAX_LABELS {
                let text = format!("that many labels would drown every database: write at most {MAX_LABELS}");
                checker.wrong(count.referenced, text);
                return None;
            }
            Some(Some(count.value.0 as usize))
        };
        let (agents, rules) = (
            bounded(self.max_agents.as_ref()),
            bounded(self.max_rules.as_ref()),
        );
        Some(MetricsSettings {
            max_agents: agents?,
            max_rules: rules?,
        })
    }
}

impl RawAccessLog {
    fn check(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<AccessLogSettings> {
        let (to, format) = (self.to(around, checker), self.format(checker));
        let mut right = true;
        for header in &self.headers {
            let refused = AccessLogLayer::new().headers([&*header.value]).err();
            if let Some(refused) = refused {
                checker.wrong(header.referenced, refused.to_string());
                right = false;
            }
        }
        let headers = self.headers.iter().map(|header| header.value.clone()).collect();
        Some(AccessLogSettings {
            to: to?,
            format: format?,
            query: self.query,
            headers: right.then_some(headers)?,
        })
    }

    fn to(&self, around: &Surroundings<'_>, checker: &mut Checker<'_>) -> Option<LogTo> {
        match (&self.to, &self.file) {
            (Some(to), Some(_)) => {
                let text = "there are `to` and `file`: write one of them";
                checker.wrong(to.referenced, text);
                None
            }
            (None, Some(file)) => Some(LogTo::File(around.directory.join(&file.value))),
            (None, None) => Some(LogTo::Stdout),
            (Some(to), None) => match &*to.value {
                "stdout" => Some(LogTo::Stdout),
                "stderr" => Some(LogTo::Stderr),
                "events" => Some(LogTo::Events),
                other => {
                    let text =
                        format!("`{other}` is nowhere: write stdout, stderr or events, or name a `file`");
                    checker.wrong(to.referenced, text);
                    None
                }
            },
        }
    }

    fn format(&self, checker: &mut Checker<'_>) -> Option<Format> {
        let Some(format) = &self.format else {
            return Some(Format::Json);
        };
        match &*format.value {
            "json" => Some(Format::Json),
            "common" => Some(Format::Common),
            other => {
                checker.wrong(
                    format.referenced,
                    format!("`{other}` is no format: write json or common"),
                );
                None
            }
        }
    }
}
