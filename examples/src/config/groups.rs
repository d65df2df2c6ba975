//! The groups that agents may register.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::Spanned;
use tunnel_core::GroupName;
use tunnel_transport::AllowedGroups;

use super::error::Checker;

/// `"*"`, or a list.
pub(super) enum RawGroups {
    All,
    Only(Vec<Spanned<String>>),
}

impl RawGroups {
    pub(super) fn check(&self, place: &Spanned<Self>, checker: &mut Checker<'_>) -> Option<AllowedGroups> {
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
