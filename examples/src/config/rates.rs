//! How many requests there may be in a time.

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;
use tunnel_core::limits::{DEFAULT_NAME, Limit, Rate};
use tunnel_layers::{rate_limit::RateLimitLayer, route::Rule};

use super::{
    Guards,
    error::Checker,
    key::{self, By, RawKey},
    text_or::TextOr,
    units::{Count, parse_rate, parse_rate_limit},
    yaml,
};

/// The layers of a gateway: those that a file does not use are for no request.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    /// Before anybody is asked for credentials.
    pub(super) outer: RateLimitLayer<By>,
    /// When it is known who calls, in their order.
    pub(super) inner: [RateLimitLayer<By>; INNER],
}

/// How many limits may stand behind authentication.
const INNER: usize = 2;

/// One of `rate_limits:`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    name: Option<Spanned<String>>,
    key: Spanned<RawKey>,
    rate: Spanned<String>,
    burst: Option<Count>,
    #[serde(default)]
    before_auth: bool,
    #[serde(default)]
    tell_always: bool,
    max_keys: Option<Count>,
}

/// `rate_limit:` of a rule: a rate, or a mapping that says more.
pub(super) type RawRuleRate = TextOr<RawRateOf>;

/// A rate for one of the limits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRateOf {
    rate: Spanned<String>,
    burst: Option<Count>,
    limit: Option<Spanned<String>>,
}

impl RawRate {
    pub(super) fn name(&self) -> &str {
        self.name.as_ref().map_or(DEFAULT_NAME, |name| &name.value)
    }

    fn check(&self, checker: &mut Checker<'_>) -> Option<RateLimitLayer<By>> {
        let key = key::check(&self.key, checker);
        let rate = checker.take(self.rate.referenced, parse_rate(&self.rate.value));
        if let Some(name) = &self.name {
            checker.take(name.referenced, check_name(&name.value))?;
        }
        let key = key?;
        if self.before_auth && matches!(key, By::Principal) {
            let message = "nobody knows who calls before anybody was asked: leave `before_auth` out, or count by address";
            checker.wrong(self.key.referenced, message);
            return None;
        }
        let layer = RateLimitLayer::new(bursting(rate?, self.burst)).name(self.name().to_owned());
        let layer = match self.max_keys {
            Some(keys) => layer.max_keys(keys.0 as usize),
            None => layer,
        };
        Some(layer.tell_always(self.tell_always).key(key))
    }
}

/// The layers for these limits; without any, one for rules that set a rate.
pub(super) fn check(
    raw: Option<&Spanned<Vec<Spanned<RawRate>>>>,
    checker: &mut Checker<'_>,
) -> Option<Rates> {
    let Some(raw) = raw else {
        return Some(Rates::new(None, vec![unused(By::RulesWithRate)]));
    };
    if raw.value.is_empty() {
        let message = "there is no limit: write one such as `- {key: address, rate: 100/s}`, or leave `rate_limits` out";
        checker.wrong(raw.referenced, message);
        return None;
    }
    let (mut outer, mut inner, mut right) = (None, Vec::new(), true);
    for (index, limit) in raw.value.iter().enumerate() {
        let (limit, place) = (&limit.value, limit.referenced);
        if raw.value[..index]
            .iter()
            .any(|other| other.value.name() == limit.name())
        {
            let place = limit.name.as_ref().map_or(place, |name| name.referenced);
            let message = format!(
                "there are two limits with the name `{}`: give each its own `name`",
                limit.name()
            );
            checker.wrong(place, message);
            right = false;
        }
        let Some(layer) = limit.check(checker) else {
            right = false;
            continue;
        };
        if !limit.before_auth && inner.len() < INNER {
            inner.push(layer);
        } else if limit.before_auth && outer.is_none() {
            outer = Some(layer);
        } else {
            let message = format!(
                "there is room for {INNER} limits, and for one with `before_auth: true`: leave this one out"
            );
            checker.wrong(place, message);
            right = false;
        }
    }
    right.then(|| Rates::new(outer, inner))
}

impl Rates {
    fn new(outer: Option<RateLimitLayer<By>>, inner: Vec<RateLimitLayer<By>>) -> Self {
        let mut inner = inner.into_iter();
        let mut next = || inner.next().unwrap_or_else(|| unused(By::Nobody));
        Self {
            inner: [next(), next()],
            outer: outer.unwrap_or_else(|| unused(By::Nobody)),
        }
    }
}

/// Takes the layers of `old` whose settings are the same, with all that they have counted.
pub(super) fn keep((new, new_raw): (&mut Guards, &Value), (old, old_raw): (&Guards, &Value)) {
    if new_raw == old_raw {
        new.before_auth = old.before_auth.clone();
        new.rates = old.rates.clone();
        return;
    }
    let (old_outer, old_inner) = slots(old_raw);
    let known = |raw: &Value| {
        let inner = old_inner.iter().zip(&old.rates);
        let mut all = inner.chain(old_outer.iter().map(|raw| (raw, &old.before_auth)));
        all.find(|(other, _)| **other == raw)
            .map(|(_, layer)| layer.clone())
    };
    let (outer, inner) = slots(new_raw);
    if let Some(layer) = outer.and_then(known) {
        new.before_auth = layer;
    }
    for (raw, layer) in inner.into_iter().zip(&mut new.rates) {
        if let Some(kept) = known(raw) {
            *layer = kept;
        }
    }
}

/// The limit that stands outside authentication, and those inside, as a file that is right has them.
fn slots(raw: &Value) -> (Option<&Value>, Vec<&Value>) {
    let all = raw.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_outer = |limit: &&Value| limit["before_auth"] == Value::Bool(true);
    (
        all.iter().find(is_outer),
        all.iter().filter(|limit| !is_outer(limit)).collect(),
    )
}

/// A layer whose own rate nobody is counted against.
fn unused(by: By) -> RateLimitLayer<By> {
    RateLimitLayer::per_second(1).max_keys(rule_keys(&by)).key(by)
}

/// One key for each rule is enough where nothing else is counted.
const fn rule_keys(by: &By) -> usize {
    match by {
        By::RulesWithRate => 10_000,
        _ => 0,
    }
}

/// The rule with a rate of its own. `known` has the names of the limits in the file.
pub(super) fn apply(
    raw: &Spanned<RawRuleRate>,
    known: &[&str],
    rule: Rule,
    checker: &mut Checker<'_>,
) -> Option<Rule> {
    let (text, place, burst, limit) = match &raw.value {
        TextOr::Text(text) => (text, raw.referenced, None, None),
        TextOr::Map(of) => (&of.rate.value, of.rate.referenced, of.burst, of.limit.as_ref()),
    };
    let rate = checker.take(place, parse_rate_limit(text))?;
    let rate = match rate {
        Limit::To(rate) => Limit::To(bursting(rate, burst)),
        Limit::Unlimited => Limit::Unlimited,
    };
    let name = match (limit, known) {
        (Some(limit), _) if known.contains(&limit.value.as_str()) => &limit.value,
        (Some(limit), []) => {
            checker.wrong(
                limit.referenced,
                "there are no `rate_limits` in this file: leave `limit` out",
            );
            return None;
        }
        (Some(limit), _) => {
            checker.wrong(limit.referenced, yaml::unknown("limit", &limit.value, known));
            return None;
        }
        (None, []) => DEFAULT_NAME,
        (None, [name]) => name,
        (None, _) if known.contains(&DEFAULT_NAME) => DEFAULT_NAME,
        (None, _) => {
            let names = known.join(", ");
            let message = format!(
                "this file has several limits: say which one, such as {{limit: NAME, rate: 10/s}} ({names})"
            );
            checker.wrong(raw.referenced, message);
            return None;
        }
    };
    Some(rule.rate_of(name.to_owned(), rate))
}

fn bursting(rate: Rate, burst: Option<Count>) -> Rate {
    match burst {
        Some(burst) => rate.burst(burst.0),
        None => rate,
    }
}

/// It stands in `RateLimit-Policy`.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        true => Ok(()),
        false => Err(format!(
            "`{name}` is no name: use 1 to 64 letters, digits, -, _ and ."
        )),
    }
}
