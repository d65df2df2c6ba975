//! User names and passwords.

use std::fs;

use serde::Deserialize;
use serde_saphyr::Spanned;
use tunnel_core::auth::{Authenticator as _, BoxAuthenticator};
use tunnel_layers::auth::{Basic, Htpasswd, Realm};

use crate::config::{Surroundings, error::Checker, units::Time};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBasic {
    htpasswd: Spanned<String>,
    remember: Option<Time>,
}

impl RawBasic {
    pub(super) fn check(
        &self,
        realm: &Realm,
        around: &Surroundings<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<BoxAuthenticator> {
        let users = checker.take(self.htpasswd.referenced, read(&self.htpasswd.value, around))?;
        let basic = Basic::new(users).realm(realm.clone());
        Some(match self.remember {
            Some(time) => basic.remember(time.0).boxed(),
            None => basic.boxed(),
        })
    }
}

fn read(path: &str, around: &Surroundings<'_>) -> Result<Htpasswd, String> {
    let path = around.reads(path);
    let told = |problem: String| format!("`{}`: {problem}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| {
        told(format!(
            "the file cannot be read ({error}): make one with `htpasswd -cB FILE USER`"
        ))
    })?;
    text.parse().map_err(|error| told(format!("{error}")))
}
