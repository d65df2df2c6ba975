//! The state of one layer: its own limiter, and those of rules that set a rate for it.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, Weak},
};

use http::Extensions;
use tunnel_core::{
    Limit, Limits, Routed,
    limits::{DEFAULT_NAME, Rate},
};

use super::{
    DEFAULT_MAX_KEYS,
    limiter::{Limiter, Verdict},
    table::Table,
};
use crate::key::Key;

/// What the layer, its services and all their clones share.
pub(super) struct Limiters {
    pub(super) settings: Settings,
    pub(super) own: Limiter,
    table: Arc<Table>,
    of_rules: RwLock<HashMap<Arc<str>, OfRule>>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: Cow<'static, str>,
    pub(super) rate: Rate,
    pub(super) max_keys: usize,
    pub(super) tells_always: bool,
}

/// The limiter of one rule, as long as there is the rule.
struct OfRule {
    said_by: Weak<Limits>,
    limiter: Arc<Limiter>,
}

impl Settings {
    pub(super) const fn new(rate: Rate) -> Self {
        Self {
            name: Cow::Borrowed(DEFAULT_NAME),
            rate,
            max_keys: DEFAULT_MAX_KEYS,
            tells_always: false,
        }
    }
}

impl Limiters {
    pub(super) fn new(settings: Settings) -> Self {
        let table = Arc::new(Table::new(settings.max_keys));
        Self {
            own: Limiter::new(&settings.name, settings.rate, &table),
            table,
            of_rules: RwLock::default(),
            settings,
        }
    }

    /// Decides on a request with this key, by the layer's own limiter or by that of the rule; none if the rule wants no limit.
    pub(super) fn check(&self, extensions: &Extensions, key: Key) -> Option<(Option<Arc<Limiter>>, Verdict)> {
        let Some((rule, limits, limit)) = self.said(extensions) else {
            return Some((None, self.own.check(key)));
        };
        let rate = limit.bound()?;
        let limiter = self.of_rule(rule, limits, rate);
        let verdict = limiter.check(Key::of(&(&**rule, key)));
        Some((Some(limiter), verdict))
    }

    /// How many keys are kept now.
    pub(super) fn keys(&self) -> usize {
        self.table.len()
    }

    #[cfg(all(test, feature = "full"))]
    pub(super) fn rules(&self) -> usize {
        self.of_rules.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What the request's rule says to this layer.
    fn said<'a>(&self, extensions: &'a Extensions) -> Option<(&'a Arc<str>, &'a Arc<Limits>, Limit<Rate>)> {
        let routed: &Routed = extensions.get()?;
        let limits = routed.limits.as_ref()?;
        let limit = limits.rate_of(&self.settings.name)?;
        Some((&routed.rule, limits, limit))
    }

    fn of_rule(&self, rule: &Arc<str>, limits: &Arc<Limits>, rate: Rate) -> Arc<Limiter> {
        let known = self.of_rules.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(rule)
            && known.said_by.as_ptr() == Arc::as_ptr(limits)
        {
            return known.limiter.clone();
        }
        drop(known);
        self.renew(rule, limits, rate)
    }

    /// A limiter for a rule that is new or was loaded anew, and no others than those of rules that are in use.
    fn renew(&self, rule: &Arc<str>, limits: &Arc<Limits>, rate: Rate) -> Arc<Limiter> {
        let mut known = self.of_rules.write().unwrap_or_else(PoisonError::into_inner);
        let old = known.remove(rule).map(|old| old.limiter);
        known.retain(|_, other| other.said_by.strong_count() > 0);
        let limiter = old
            .filter(|old| old.rate() == rate)
            .unwrap_or_else(|| Arc::new(Limiter::new(&self.settings.name, rate, &self.table)));
        let entry = OfRule {
            said_by: Arc::downgrade(limits),
            limiter: limiter.clone(),
        };
        known.insert(rule.clone(), entry);
        limiter
    }
}

impl fmt::Debug for Limiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiters")
            .field("settings", &self.settings)
            .field("keys", &self.table)
            .finish_non_exhaustive()
    }
}
