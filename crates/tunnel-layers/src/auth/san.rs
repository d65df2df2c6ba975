//! Which names of certificates are taken.

use std::{fmt, str::FromStr};

use tunnel_core::{admit::IpPrefix, auth::SubjectAltName};

use super::AuthConfigError;

/// Which subject alternative names are taken: a kind, a colon and a name.
///
/// | written | matches |
/// | --- | --- |
/// | `dns:a.example` | this name, in upper or lower case |
/// | `dns:*.example` | names with exactly one label more (RFC 9525, section 6.3) |
/// | `uri:spiffe://prod/web` | this URI, byte for byte |
/// | `uri:spiffe://prod/*` | URIs that begin so and go on, where no segment is empty, `.` or `..` |
/// | `email:a@b.example` | this address, its domain in upper or lower case |
/// | `email:*@b.example` | every address of this domain |
/// | `ip:192.0.2.0/24` | addresses of this range, or one address |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanPattern(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Dns(Box<str>),
    /// With the leading dot.
    DnsBelow(Box<str>),
    Uri(Box<str>),
    /// With the slash at the end.
    UriBelow(Box<str>),
    Email(Box<str>, Box<str>),
    EmailOf(Box<str>),
    Ip(IpPrefix),
}

impl SanPattern {
    pub(super) fn matches(&self, name: &SubjectAltName) -> bool {
        match (&self.0, name) {
            (Kind::Dns(want), SubjectAltName::Dns(name)) => want.eq_ignore_ascii_case(name),
            (Kind::DnsBelow(want), SubjectAltName::Dns(name)) => is_one_below(name, want),
            (Kind::Uri(want), SubjectAltName::Uri(uri)) => want == uri,
            (Kind::UriBelow(want), SubjectAltName::Uri(uri)) => {
                uri.strip_prefix(&**want).is_some_and(is_plain_path)
            }
            (Kind::Email(user, want), SubjectAltName::Email(address)) => address
                .rsplit_once('@')
                .is_some_and(|(name, domain)| **user == *name && want.eq_ignore_ascii_case(domain)),
            (Kind::EmailOf(want), SubjectAltName::Email(address)) => address
                .rsplit_once('@')
                .is_some_and(|(name, domain)| !name.is_empty() && want.eq_ignore_ascii_case(domain)),
            (Kind::Ip(prefix), SubjectAltName::Ip(addr)) => prefix.contains(*addr),
            _ => false,
        }
    }
}

/// `below` begins with a dot.
fn is_one_below(name: &str, below: &str) -> bool {
    let Some(len) = name.len().checked_sub(below.len()) else {
        return false;
    };
    // Both are ASCII, or else the bytes differ.
    let (label, rest) = name.as_bytes().split_at(len);
    rest.eq_ignore_ascii_case(below.as_bytes()) && !label.is_empty() && !label.contains(&b'.')
}

/// Nothing that somebody could resolve to another place.
fn is_plain_path(rest: &str) -> bool {
    !rest.contains(['?', '#', '%', '\\'])
        && rest.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

impl FromStr for SanPattern {
    type Err = AuthConfigError;

    fn from_str(text: &str) -> Result<Self, AuthConfigError> {
        let kind = match text.split_once(':') {
            Some(("dns", name)) => dns(name),
            Some(("uri", uri)) => uri_pattern(uri),
            Some(("email", address)) => email(address),
            Some(("ip", prefix)) => prefix.parse().ok().map(Kind::Ip),
            _ => None,
        };
        kind.map(Self).ok_or_else(|| {
            let problem = format!(
                "{text:?} is none: write dns:NAME, dns:*.NAME, uri:URI, uri:URI/*, email:ADDRESS, email:*@DOMAIN or \
                 ip:ADDRESS/BITS"
            );
            AuthConfigError::new("certificate name", problem)
        })
    }
}

fn dns(name: &str) -> Option<Kind> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.split('.').all(|label| !label.is_empty())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match name.strip_prefix("*.") {
        Some(below) if is_name(below) => Some(Kind::DnsBelow(format!(".{below}").into())),
        None if is_name(name) => Some(Kind::Dns(name.into())),
        _ => None,
    }
}

fn uri_pattern(uri: &str) -> Option<Kind> {
    let (fixed, below) = match uri.strip_suffix('*') {
        Some(fixed) => (fixed, true),
        None => (uri, false),
    };
    let (scheme, rest) = fixed.split_once(':')?;
    if scheme.is_empty() || rest.is_empty() || fixed.contains('*') || fixed.contains(char::is_whitespace) {
        return None;
    }
    match below {
        // A prefix has to end with a segment, and to name the authority.
        true => (fixed.ends_with('/') && !fixed.ends_with("//")).then(|| Kind::UriBelow(fixed.into())),
        false => Some(Kind::Uri(fixed.into())),
    }
}

fn email(address: &str) -> Option<Kind> {
    let (user, domain) = address.rsplit_once('@')?;
    let Some(Kind::Dns(domain)) = dns(domain) else {
        return None;
    };
    match user {
        "" => None,
        "*" => Some(Kind::EmailOf(domain)),
        user if user.contains('*') => None,
        user => Some(Kind::Email(user.into(), domain)),
    }
}

impl fmt::Display for SanPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Dns(name) => write!(f, "dns:{name}"),
            Kind::DnsBelow(below) => write!(f, "dns:*{below}"),
            Kind::Uri(uri) => write!(f, "uri:{uri}"),
            Kind::UriBelow(below) => write!(f, "uri:{below}*"),
            Kind::Email(user, domain) => write!(f, "email:{user}@{domain}"),
            Kind::EmailOf(domain) => write!(f, "email:*@{domain}"),
            Kind::Ip(prefix) => write!(f, "ip:{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns_name(name: &str) -> SubjectAltName {
        SubjectAltName::Dns(name.into())
    }

    fn uri(uri: &str) -> SubjectAltName {
        SubjectAltName::Uri(uri.into())
    }

    fn mail(address: &str) -> SubjectAltName {
        SubjectAltName::Email(address.into())
    }

    #[test]
    fn patterns_match_what_they_say_and_no_more() {
        let cases = [
            ("dns:a.example", dns_name("A.Example"), true),
            ("dns:a.example", dns_name("b.a.example"), false),
            ("dns:a.example", uri("a.example"), false),
            ("dns:*.example", dns_name("a.EXAMPLE"), true),
            ("dns:*.example", dns_name("a.b.example"), false),
            ("dns:*.example", dns_name("example"), false),
            ("dns:*.example", dns_name(".example"), false),
            ("dns:*.example", dns_name("aexample"), false),
            ("dns:*.example", dns_name("é.example"), true),
            ("uri:spiffe://prod/web", uri("spiffe://prod/web"), true),
            ("uri:spiffe://prod/web", uri("spiffe://prod/web/"), false),
            ("uri:spiffe://prod/*", uri("spiffe://prod/ns/web"), true),
            ("uri:spiffe://prod/*", uri("spiffe://prod/"), false),
            ("uri:spiffe://prod/*", uri("spiffe://prod.evil/web"), false),
            ("uri:spiffe://prod/*", uri("spiffe://prod/../dev/web"), false),
            ("uri:spiffe://prod/*", uri("spiffe://prod/%2e%2e/web"), false),
            ("email:a@b.example", mail("a@B.example"), true),
            ("email:a@b.example", mail("A@b.example"), false),
            ("email:*@b.example", mail("x@b.example"), true),
            ("email:*@b.example", mail("@b.example"), false),
            ("email:*@b.example", mail("x@c.b.example"), false),
            ("ip:192.0.2.0/24", SubjectAltName::Ip([192, 0, 2, 9].into()), true),
            ("ip:192.0.2.1", SubjectAltName::Ip([192, 0, 2, 1].into()), true),
            (
                "ip:192.0.2.0/24",
                SubjectAltName::Ip([192, 0, 3, 9].into()),
                false,
            ),
        ];
        for (pattern, name, expected) in cases {
            let pattern: SanPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&name), expected, "{pattern} and {name}");
            assert_eq!(pattern.to_string().parse(), Ok(pattern));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_is_read_or_not_and_written_as_it_was(
            text in "(dns|uri|email|ip|cn)?:?[*a-z0-9@./:-]{0,24}|\\PC{0,24}",
            name in "[a-z0-9@./:-]{0,24}",
        ) {
            if let Ok(pattern) = text.parse::<SanPattern>() {
                proptest::prop_assert_eq!(pattern.to_string().parse(), Ok(pattern.clone()));
                for name in [dns_name(&name), uri(&name), mail(&name)] {
                    pattern.matches(&name);
                }
                // What is written without a star matches itself alone.
                if let Kind::Dns(own) = &pattern.0 {
                    proptest::prop_assert!(pattern.matches(&dns_name(own)));
                    let longer = dns_name(&[own, "x"].concat());
                    proptest::prop_assert!(!pattern.matches(&longer));
                }
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "a.example",
            "dns:",
            "dns:*",
            "dns:*.",
            "dns:a.*.example",
            "dns:**.example",
            "uri:*",
            "uri:spiffe:*",
            "uri:spiffe://*",
            "uri:spiffe://prod*",
            "uri:spiffe://*/web",
            "email:b.example",
            "email:@b.example",
            "email:a*@b.example",
            "ip:x",
            "cn:a",
        ] {
            assert!(text.parse::<SanPattern>().is_err(), "{text}");
        }
    }
}
