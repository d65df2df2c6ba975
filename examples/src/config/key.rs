//! What limits are counted by.

use std::fmt;

use http::HeaderName;
use serde::{Deserialize, Deserializer, de};
use serde_saphyr::Spanned;
use tunnel_core::{Limits, Routed, limits::DEFAULT_NAME};
use tunnel_layers::key::{
    ByAddress, ByGroup, ByHeader, ByPrincipal, ByRoute, Everyone, Head, Key, KeyExtractor,
};

use super::{error::Checker, text_or::TextOr, yaml};

/// What a limit of a gateway is counted by.
#[derive(Clone, Debug)]
pub enum By {
    /// Nothing: the limit is for no request.
    Nobody,
    /// All requests together, but only those of rules that set a rate of their own.
    RulesWithRate,
    /// All requests together, but only those of rules that say how many may run at once.
    RulesWithPlaces,
    /// All requests together.
    Everyone,
    /// The other end's address.
    Address(ByAddress),
    /// Who calls.
    Principal,
    /// The rule.
    Route,
    /// The group of agents.
    Group,
    /// The value of a header.
    Header(ByHeader),
}

impl KeyExtractor for By {
    fn key(&self, head: &Head<'_>) -> Option<Key> {
        match self {
            Self::Nobody => None,
            Self::RulesWithRate => {
                limits(head)?.rate_of(DEFAULT_NAME)?;
                Everyone.key(head)
            }
            Self::RulesWithPlaces => {
                limits(head)?.concurrency_of(DEFAULT_NAME)?;
                Everyone.key(head)
            }
            Self::Everyone => Everyone.key(head),
            Self::Address(by) => by.key(head),
            Self::Principal => ByPrincipal.key(head),
            Self::Route => ByRoute.key(head),
            Self::Group => ByGroup.key(head),
            Self::Header(by) => by.key(head),
        }
    }

    fn is_for_nobody(&self) -> bool {
        matches!(self, Self::Nobody)
    }
}

fn limits<'a>(head: &Head<'a>) -> Option<&'a Limits> {
    head.extensions.get::<Routed>()?.limits.as_deref()
}

/// `key:` of a limit: a word, or a mapping that says more.
pub(super) type RawKey = TextOr<RawKeyOf>;

/// The keys that need more than a word.
pub(super) enum RawKeyOf {
    Header(Spanned<String>),
    Address(RawAddress),
}

/// How addresses count.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAddress {
    ipv6_prefix: Option<Spanned<u8>>,
    #[serde(default)]
    behind_proxies: u16,
}

/// The words that stand for a key.
const WORDS: [&str; 5] = ["address", "principal", "route", "group", "everyone"];

/// What `key:` stands for.
pub(super) fn check(raw: &Spanned<RawKey>, checker: &mut Checker<'_>) -> Option<By> {
    match &raw.value {
        TextOr::Text(word) => {
            let by = match word.as_str() {
                "address" => Ok(By::Address(ByAddress::new())),
                "principal" => Ok(By::Principal),
                "route" => Ok(By::Route),
                "group" => Ok(By::Group),
                "everyone" => Ok(By::Everyone),
                _ => Err(yaml::unknown("key of a limit", word, &WORDS)),
            };
            checker.take(raw.referenced, by)
        }
        TextOr::Map(RawKeyOf::Header(name)) => {
            let header = HeaderName::from_bytes(name.value.as_bytes())
                .map_err(|_| format!("`{}` is no header name: write one such as x-api-key", name.value));
            let header = checker.take(name.referenced, header)?;
            Some(By::Header(ByHeader::new(header)))
        }
        TextOr::Map(RawKeyOf::Address(address)) => address.check(checker).map(By::Address),
    }
}

impl RawAddress {
    pub(super) fn check(&self, checker: &mut Checker<'_>) -> Option<ByAddress> {
        let by = ByAddress::new().behind_proxies(usize::from(self.behind_proxies));
        match &self.ipv6_prefix {
            None => Some(by),
            Some(bits) if bits.value <= 128 => Some(by.ipv6_prefix(bits.value)),
            Some(bits) => {
                checker.wrong(
                    bits.referenced,
                    "an IPv6 address has 128 bits: write a number from 0 to 128",
                );
                None
            }
        }
    }
}

impl<'de> Deserialize<'de> for RawKeyOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = RawKeyOf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping such as {header: x-api-key}")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<RawKeyOf, A::Error> {
                let key: Option<String> = map.next_key()?;
                let known: &[&str] = &["header", "address"];
                let value = match key.as_deref() {
                    Some("header") => RawKeyOf::Header(map.next_value()?),
                    Some("address") => RawKeyOf::Address(map.next_value()?),
                    other => {
                        let other = other.unwrap_or_default();
                        return Err(de::Error::custom(yaml::unknown("key", other, known)));
                    }
                };
                match map.next_key::<String>()? {
                    None => Ok(value),
                    Some(_) => Err(de::Error::custom("only one key may stand here")),
                }
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}
