//! Which requests have to come to the same agent again.

use std::fmt;

use http::HeaderName;
use serde::{Deserialize, Deserializer, de};
use serde_saphyr::Spanned;
use tunnel_layers::key::{ByAddress, HashKey};

use super::{error::Checker, key::RawAddress, text_or::TextOr, yaml};

/// `hash:` of a balancing: `address`, or a mapping that says more.
pub(super) type RawHash = TextOr<RawHashOf>;

/// The keys that need more than a word.
pub(super) enum RawHashOf {
    Header(Spanned<String>),
    Cookie(Spanned<String>),
    Address(RawAddress),
}

pub(super) fn check(raw: &Spanned<RawHash>, checker: &mut Checker<'_>) -> Option<HashKey> {
    match &raw.value {
        TextOr::Text(word) if word == "address" => Some(HashKey::address(ByAddress::new())),
        TextOr::Text(word) => {
            let message = yaml::unknown("key", word, &["address", "{header: NAME}", "{cookie: NAME}"]);
            checker.wrong(raw.referenced, message);
            None
        }
        TextOr::Map(RawHashOf::Header(name)) => {
            let header = HeaderName::from_bytes(name.value.as_bytes())
                .map_err(|_| format!("`{}` is no header name: write one such as x-tenant", name.value));
            checker.take(name.referenced, header).map(HashKey::header)
        }
        TextOr::Map(RawHashOf::Cookie(name)) => {
            // A token (RFC 6265, section 4.1.1), as the names of headers are.
            let right = HeaderName::from_bytes(name.value.as_bytes()).map(drop);
            let right =
                right.map_err(|_| format!("`{}` is no cookie's name: write one such as sid", name.value));
            checker.take(name.referenced, right)?;
            Some(HashKey::cookie(&name.value))
        }
        TextOr::Map(RawHashOf::Address(address)) => address.check(checker).map(HashKey::address),
    }
}

impl<'de> Deserialize<'de> for RawHashOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = RawHashOf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping such as {header: x-tenant}")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<RawHashOf, A::Error> {
                let key: Option<String> = map.next_key()?;
                let value = match key.as_deref() {
                    Some("header") => RawHashOf::Header(map.next_value()?),
                    Some("cookie") => RawHashOf::Cookie(map.next_value()?),
                    Some("address") => RawHashOf::Address(map.next_value()?),
                    other => {
                        let known = ["header", "cookie", "address"];
                        let message = yaml::unknown("key", other.unwrap_or_default(), &known);
                        return Err(de::Error::custom(message));
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
