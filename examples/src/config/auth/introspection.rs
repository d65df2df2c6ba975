//! Tokens that an authorization server knows.

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::auth::{Authenticator as _, BoxAuthenticator};
use tunnel_layers::auth::{Introspection, Realm};

use super::client::client;
use crate::config::{
    Surroundings,
    error::Checker,
    secret::TokenKeys,
    tls::{self, RawClientTls},
    units::{Secret, Time},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIntrospection {
    url: Spanned<String>,
    #[serde(default, deserialize_with = "tls::present")]
    tls: Option<Spanned<RawClientTls>>,
    client_id: String,
    client_secret: Option<Spanned<Secret>>,
    client_secret_env: Option<Spanned<String>>,
    client_secret_file: Option<Spanned<String>>,
    issuer: Option<String>,
    audience: Option<String>,
    active_time: Option<Time>,
    inactive_time: Option<Time>,
    timeout: Option<Time>,
}

impl RawIntrospection {
    pub(super) fn check(
        &self,
        place: Location,
        realm: &Realm,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<BoxAuthenticator> {
        let client = client(&self.url, self.tls.as_ref(), around, checker);
        let secret = self.secret(place, around, checker);
        let (uri, client) = client?;
        let mut server = Introspection::builder(uri, client)
            .client_credentials(&self.client_id, &secret?.0)
            .realm(realm.clone());
        if let Some(issuer) = &self.issuer {
            server = server.issuer(issuer.as_str());
        }
        if let Some(audience) = &self.audience {
            server = server.audience(audience.as_str());
        }
        if let Some(time) = self.active_time {
            server = server.active_time(time.0);
        }
        if let Some(time) = self.inactive_time {
            server = server.inactive_time(time.0);
        }
        if let Some(time) = self.timeout {
            server = server.timeout(time.0);
        }
        let server = checker.take(self.url.referenced, server.build())?;
        Some(server.boxed())
    }

    fn secret(
        &self,
        place: Location,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Secret> {
        let keys = TokenKeys {
            token: self.client_secret.as_ref(),
            token_env: self.client_secret_env.as_ref(),
            token_file: self.client_secret_file.as_ref(),
        };
        if keys.is_empty() {
            let message = "the server answers nobody whom it does not know: give one of `client_secret_env: NAME`, \
                           `client_secret_file: PATH` or `client_secret: TEXT`";
            checker.wrong(place, message);
            return None;
        }
        keys.resolve("the client", place, around, checker)
            .map(|(secret, _)| secret)
    }
}
