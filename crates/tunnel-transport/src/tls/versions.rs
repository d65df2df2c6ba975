//! The versions of TLS.

use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};

/// TLS 1.3 and 1.2.
pub(super) const ALL: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// TLS 1.3.
pub(super) const ONLY_1_3: &[&SupportedProtocolVersion] = &[&TLS13];
