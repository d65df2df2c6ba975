//! Names of gRPC services.

use tunnel_core::id::MAX_NAME_BYTES;

/// Whether `name` can be the full name of a gRPC service: 1 to 253 of the characters `a-z A-Z 0-9 _ .`.
pub(crate) fn is_service_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(is_service_name("billing.v1.Invoices_2") && is_service_name(&"x".repeat(253)));
        for bad in ["", "a/b", "a-b", "a b", "é", &"x".repeat(254)] {
            assert!(!is_service_name(bad), "{bad:?}");
        }
    }
}
