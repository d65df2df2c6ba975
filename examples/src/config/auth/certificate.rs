//! Certificates of clients.

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::auth::{Authenticator as _, BoxAuthenticator};
use tunnel_layers::auth::{MutualTls, Realm, SanPattern};

use crate::config::error::Checker;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCertificate {
    names: Spanned<Vec<Spanned<String>>>,
}

impl RawCertificate {
    pub(super) fn check(&self, realm: &Realm, checker: &mut Checker<'_>) -> Option<BoxAuthenticator> {
        let mut patterns = Some(Vec::new());
        for name in &self.names.value {
            let pattern = checker.take(name.referenced, name.value.parse::<SanPattern>());
            patterns = patterns.zip(pattern).map(|(mut patterns, pattern)| {
                patterns.push(pattern);
                patterns
            });
        }
        let certificates = checker.take(self.names.referenced, MutualTls::new(patterns?))?;
        Some(certificates.realm(realm.clone()).boxed())
    }
}
