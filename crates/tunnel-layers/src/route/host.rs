//! Which hosts a rule is for.

use std::net::Ipv6Addr;

use super::error::Fault;

/// The hosts of one rule. They have the form of [`Canonical::host`](tunnel_core::admit::Canonical::host).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    Any,
    Exact(Box<str>),
    /// Every name below this one.
    Below(Box<str>),
}

impl HostPattern {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Fault> {
        let Some(text) = text else { return Ok(Self::Any) };
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        if let Some(below) = name.strip_prefix("*.") {
            check_name(text, below)?;
            return Ok(Self::Below(below.into()));
        }
        if let Some(address) = name.strip_prefix('[') {
            let address: Option<Ipv6Addr> =
                address.strip_suffix(']').and_then(|address| address.parse().ok());
            let address = address
                .ok_or_else(|| wrong(text, "an IPv6 address stands in brackets, as in [2001:db8::1]"))?;
            return Ok(Self::Exact(format!("[{address}]").into()));
        }
        check_name(text, name)?;
        Ok(Self::Exact(name.into()))
    }

    /// How specific this is, the most specific first.
    pub(super) fn rank(&self) -> (u8, usize) {
        match self {
            Self::Exact(_) => (0, 0),
            Self::Below(name) => (1, usize::MAX - name.len()),
            Self::Any => (2, 0),
        }
    }
}

fn check_name(text: &str, name: &str) -> Result<(), Fault> {
    if name == "*" {
        return Err(wrong(text, "to match every host, leave it out"));
    }
    if name.contains('*') {
        return Err(wrong(
            text,
            "a `*` stands only for the first labels, as in *.example.com",
        ));
    }
    if name.contains(':') {
        return Err(wrong(
            text,
            "a host has no port or scheme here: rules match every port",
        ));
    }
    if !name.is_ascii() {
        return Err(wrong(
            text,
            "write it in its ASCII form, as in xn--bcher-kva.example",
        ));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(wrong(
            text,
            "a host is a name such as www.example.com, or an address",
        ));
    }
    Ok(())
}

fn wrong(text: &str, right: &str) -> Fault {
    Fault::new("host", format!("{text:?} is no host: {right}"))
}

/// The names above a host, the nearest first: `a.b.c` is below `b.c` and `c`.
pub(super) fn above(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(dot, _)| &host[dot + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HostPattern, String> {
        HostPattern::parse(Some(text))
            .map_err(|fault| super::super::RuleError::new(0, "r", fault).to_string())
    }

    #[test]
    fn hosts_are_made_canonical() {
        assert_eq!(
            parse("Example.COM."),
            Ok(HostPattern::Exact("example.com".into()))
        );
        assert_eq!(
            parse("*.Example.com"),
            Ok(HostPattern::Below("example.com".into()))
        );
        assert_eq!(
            parse("[2001:DB8:0::1]"),
            Ok(HostPattern::Exact("[2001:db8::1]".into()))
        );
        assert_eq!(parse("127.0.0.1"), Ok(HostPattern::Exact("127.0.0.1".into())));
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (bad, right) in [
            ("*", "leave it out"),
            ("a.*.com", "first labels"),
            ("example.com:80", "every port"),
            ("bücher.example", "ASCII form"),
            ("a..b", "such as www.example.com"),
            ("", "such as www.example.com"),
            ("[::1", "brackets"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(
                error.contains(right) && error.starts_with("rule \"r\": host: "),
                "{error}"
            );
        }
    }

    #[test]
    fn the_nearest_name_comes_first() {
        assert!(above("a.b.c").eq(["b.c", "c"]));
        assert_eq!(above("localhost").count(), 0);
    }
}
