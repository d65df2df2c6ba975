//! Several providers as one, and what they must say of a caller.

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::{
    Principal,
    auth::{Authenticator as _, BoxAuthenticator},
};
use tunnel_layers::auth::{AllOf, AnyOf, Realm, Require};

use super::Known;
use crate::config::error::Checker;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    any_of: Option<Spanned<Vec<Spanned<String>>>>,
    all_of: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    scopes: Vec<Spanned<String>>,
    #[serde(default)]
    groups: Vec<String>,
}

impl RawPolicy {
    pub(super) fn check(
        &self,
        place: Location,
        realm: &Realm,
        known: &mut Known,
        checker: &mut Checker<'_>,
    ) -> Option<BoxAuthenticator> {
        let (names, is_any) = match (&self.any_of, &self.all_of) {
            (Some(any), None) => (any, true),
            (None, Some(all)) => (all, false),
            _ => {
                let message = "a policy is made of others: give it one of `any_of: [NAME, NAME]` and `all_of: [NAME, NAME]`";
                checker.wrong(place, message);
                return None;
            }
        };
        if names.value.is_empty() {
            let message =
                "there is nobody to ask, so that nobody could be let in: name at least one provider";
            checker.wrong(names.referenced, message);
            return None;
        }
        let found: Vec<_> = names.value.iter().map(|name| known.find(name, checker)).collect();
        let found: Option<Vec<_>> = found.into_iter().collect();
        let policy = match is_any {
            true => AnyOf::new(found?).map(tunnel_core::auth::Authenticator::boxed),
            false => AllOf::new(found?).map(tunnel_core::auth::Authenticator::boxed),
        };
        self.demand(checker.take(names.referenced, policy)?, realm, checker)
    }

    fn demand(
        &self,
        policy: BoxAuthenticator,
        realm: &Realm,
        checker: &mut Checker<'_>,
    ) -> Option<BoxAuthenticator> {
        if self.scopes.is_empty() && self.groups.is_empty() {
            return Some(policy);
        }
        let mut policy = Require::new(policy).realm(realm.clone());
        for scope in &self.scopes {
            policy = checker.take(scope.referenced, policy.scope(&scope.value))?;
        }
        if !self.groups.is_empty() {
            let groups = self.groups.iter().map(String::as_str);
            policy = policy.one_of(Principal::GROUPS, groups).ok()?;
        }
        Some(policy.boxed())
    }
}
