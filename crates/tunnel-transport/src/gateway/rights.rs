//! What an agent may register.

use std::collections::BTreeSet;

use tunnel_core::GroupName;

use crate::host_name::host_pattern;

/// The groups that an agent may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedGroups {
    /// Every group.
    All,
    /// These groups.
    Only(BTreeSet<GroupName>),
}

impl AllowedGroups {
    /// Whether `group` is one of them.
    #[must_use]
    pub fn allows(&self, group: &GroupName) -> bool {
        match self {
            Self::All => true,
            Self::Only(groups) => groups.contains(group),
        }
    }
}

/// The gRPC services that an agent may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedServices {
    /// Every service.
    All,
    /// These, by their full names, and where `.*` ends the name, all of the package and those below: `acme.billing.*`.
    Only(BTreeSet<Box<str>>),
}

impl AllowedServices {
    /// Whether `service`, a full name, is one of them.
    #[must_use]
    pub fn allows(&self, service: &str) -> bool {
        let Self::Only(names) = self else {
            return true;
        };
        let in_package = |name: &str| {
            name.strip_suffix('*')
                .is_some_and(|package| package.ends_with('.') && service.starts_with(package))
        };
        names.contains(service) || names.iter().any(|name| in_package(name))
    }
}

/// The hosts that an agent may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Every host.
    All,
    /// These, in lower case, and where `*.` begins the name, every name below what follows (and not that itself):
    /// `*.customer.example`. [`only`](Self::only) makes them.
    Only(BTreeSet<Box<str>>),
}

impl AllowedHosts {
    /// These names and patterns; what is neither is left out.
    pub fn only(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let patterns = patterns.into_iter();
        Self::Only(
            patterns
                .filter_map(|pattern| host_pattern(pattern.as_ref()).map(Into::into))
                .collect(),
        )
    }

    /// Whether this is a name or a pattern that [`only`](Self::only) does not leave out.
    #[must_use]
    pub fn is_pattern(text: &str) -> bool {
        host_pattern(text).is_some()
    }

    /// Whether `host`, in lower case and without a dot at its end, is one of them.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        let Self::Only(names) = self else {
            return true;
        };
        let is_below = |name: &str| {
            name.strip_prefix('*').is_some_and(|suffix| {
                suffix.starts_with('.') && host.len() > suffix.len() && host.ends_with(suffix)
            })
        };
        names.contains(host) || names.iter().any(|name| is_below(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_allowed_by_name_or_package() {
        let only = AllowedServices::Only(
            [
                "acme.Billing".into(),
                "acme.v1.*".into(),
                "*".into(),
                "odd*".into(),
            ]
            .into(),
        );
        for (service, allowed) in [
            ("acme.Billing", true),
            ("acme.Billings", false),
            ("acme.v1.Orders", true),
            ("acme.v1.internal.Orders", true),
            ("acme.v1", false),
            ("acme.v10.Orders", false),
            ("odder.Orders", false),
        ] {
            assert_eq!(only.allows(service), allowed, "{service}");
        }
        assert!(AllowedServices::All.allows("any"));
    }

    #[test]
    fn hosts_are_allowed_by_name_or_below_one() {
        let only = AllowedHosts::only(["A.example", "*.Customer.example.", "*", "", "a b"]);
        for (host, allowed) in [
            ("a.example", true),
            ("b.a.example", false),
            ("x.customer.example", true),
            ("y.x.customer.example", true),
            ("customer.example", false),
            (".customer.example", false),
            ("xcustomer.example", false),
            ("other.example", false),
        ] {
            assert_eq!(only.allows(host), allowed, "{host}");
        }
        assert!(AllowedHosts::All.allows("any"));
        assert!(!AllowedHosts::only(["*"]).allows("any"));
        assert!(AllowedHosts::is_pattern("*.a.example") && !AllowedHosts::is_pattern("*"));
    }
}
