//! What a rule of a gateway's file says about gRPC.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{Location, Spanned};
use tunnel_layers::route::{Rule, Rules};

use super::error::Checker;

/// `true` for every call, or keys that say which.
pub(super) enum RawGrpc {
    Any,
    Keys(Keys),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    service: Option<Spanned<String>>,
    service_prefix: Option<Spanned<String>>,
    #[serde(default)]
    methods: Vec<Spanned<String>>,
}

impl RawGrpc {
    /// Adds the matchers to a rule that has no others yet, one after the other, so that a wrong one is found at its line.
    pub(super) fn apply(&self, rule: Rule, location: Location, checker: &mut Checker<'_>) -> Option<Rule> {
        match self {
            Self::Any => Some(rule.grpc()),
            Self::Keys(keys) if keys.are_empty() => {
                checker.wrong(
                    location,
                    "nothing says which calls: write `grpc: true` for every call, or one of `service`, `service_prefix` and `methods`",
                );
                None
            }
            Self::Keys(keys) => keys.apply(rule, checker),
        }
    }
}

impl Keys {
    const fn are_empty(&self) -> bool {
        self.service.is_none() && self.service_prefix.is_none() && self.methods.is_empty()
    }

    fn apply(&self, mut rule: Rule, checker: &mut Checker<'_>) -> Option<Rule> {
        if let Some(service) = &self.service {
            rule = checker.take(service.referenced, matched(rule.grpc_service(&service.value)))?;
        }
        if let Some(package) = &self.service_prefix {
            rule = checker.take(
                package.referenced,
                matched(rule.grpc_service_prefix(&package.value)),
            )?;
        }
        for method in &self.methods {
            rule = checker.take(method.referenced, matched(rule.grpc_method(&method.value)))?;
        }
        Some(rule)
    }
}

/// The rule, if what it says about gRPC is right. What else may be wrong in it is told elsewhere.
fn matched(rule: Rule) -> Result<Rule, String> {
    match Rules::compile([rule.clone()]) {
        Err(error) if error.field() == "grpc" => Err(error.to_string()),
        _ => Ok(rule),
    }
}

impl<'de> Deserialize<'de> for RawGrpc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = RawGrpc;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true (for every call) or a mapping such as {service: acme.billing.v1.Invoices}")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<RawGrpc, E> {
        match value {
            true => Ok(RawGrpc::Any),
            false => Err(E::invalid_value(de::Unexpected::Bool(false), &self)),
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawGrpc, A::Error> {
        Keys::deserialize(de::value::MapAccessDeserializer::new(map)).map(RawGrpc::Keys)
    }
}
