//! Names of hosts that agents register.

use tunnel_core::id::MAX_NAME_BYTES;

/// The longest label of a name, in bytes (RFC 1035, section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// What a host has to be, for people.
pub(crate) const HOST_RULE: &str =
    "write a name in ASCII, such as www.example.com, without scheme, port or `*`";

/// The form in which hosts are compared: lower case, without a dot at the end. `None` for what is no host.
pub(crate) fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(allowed)
    };
    (name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label)).then_some(name)
}

/// The same for a pattern of rights: a host, or `*.` and a host, for every name below that.
pub(crate) fn host_pattern(text: &str) -> Option<String> {
    match text.strip_prefix("*.") {
        Some(suffix) => Some(format!("*.{}", host_name(suffix)?)),
        None => host_name(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_form() {
        assert_eq!(host_name("Www.Example.COM.").as_deref(), Some("www.example.com"));
        assert_eq!(host_name("127.0.0.1").as_deref(), Some("127.0.0.1"));
        let long = format!("{}.{}", "a".repeat(63), "b".repeat(63));
        assert_eq!(host_name(&long).as_deref(), Some(&*long));
        let longest = ["a"; 127].join(".");
        assert!(host_name(&longest).is_some() && host_name(&format!("{longest}.b")).is_none());
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "a:80",
            "http://a",
            "*.a",
            "bücher.example",
            "a/b",
            "[::1]",
            &"a".repeat(64),
        ] {
            assert_eq!(host_name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn patterns_are_hosts_or_what_is_below_them() {
        assert_eq!(host_pattern("*.Example.com").as_deref(), Some("*.example.com"));
        assert_eq!(host_pattern("A.example").as_deref(), Some("a.example"));
        for bad in ["*", "*.", "a.*.b", "*a.b", "**.a"] {
            assert_eq!(host_pattern(bad), None, "{bad:?}");
        }
    }
}
