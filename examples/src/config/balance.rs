//! How an agent of a group is chosen.

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use tunnel_core::{Agents, GroupName};
use tunnel_layers::balance::{
    AnyPick, BalanceLayer, Balancing, ConsistentHash, LeastPending, PeakEwma, PickFirst, RoundRobin,
    WeightedRandom, ZonePreference,
};

use super::{
    error::Checker,
    hash::{self, RawHash},
    outliers::{self, RawOutliers},
    pairs::Pairs,
    text_or::TextOr,
    units::{Count, Time},
    yaml,
};

/// How agents share the requests of their groups.
#[derive(Clone, Debug)]
pub struct Balance {
    all: Balancing<AnyPick>,
    groups: Vec<(GroupName, Balancing<AnyPick>)>,
    rules: Vec<(String, Balancing<AnyPick>)>,
}

impl Balance {
    /// The layer that balances so over these agents.
    pub fn layer<A: Agents>(&self, agents: A) -> BalanceLayer<A, AnyPick> {
        let mut layer = BalanceLayer::balancing(agents, self.all.clone());
        for (group, balancing) in &self.groups {
            layer = layer.group(group.clone(), balancing.clone());
        }
        for (rule, balancing) in &self.rules {
            layer = layer.rule(rule.as_str(), balancing.clone());
        }
        layer
    }
}

/// `balance:` of the file, a group or a rule: a policy, or a mapping that says more.
pub(super) type RawBalance = TextOr<RawBalancing>;

/// What it says. What is left out is what the group says, or the file, or the default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBalancing {
    policy: Option<Spanned<String>>,
    load_factor: Option<Spanned<f64>>,
    hash: Option<Spanned<RawHash>>,
    slow_start: Option<Time>,
    zone: Option<Spanned<TextOr<RawZone>>>,
    outliers: Option<Spanned<TextOr<RawOutliers>>>,
    wait: Option<Time>,
    max_waiting: Option<Count>,
    /// Of the file alone.
    #[serde(default)]
    groups: Pairs<Spanned<RawBalance>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawZone {
    name: Spanned<String>,
    min_agents: Option<Count>,
}

/// What one place says, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Level<'a> {
    place: Location,
    pub(super) policy: Option<(&'a str, Location)>,
    pub(super) load_factor: Option<&'a Spanned<f64>>,
    pub(super) hash: Option<&'a Spanned<RawHash>>,
    slow_start: Option<Time>,
    zone: Option<&'a Spanned<TextOr<RawZone>>>,
    outliers: Option<&'a Spanned<TextOr<RawOutliers>>>,
    wait: Option<Time>,
    max_waiting: Option<Count>,
}

/// The words for the policies.
const POLICIES: [&str; 6] = [
    "least-pending",
    "round-robin",
    "weighted-random",
    "peak-ewma",
    "consistent-hash",
    "pick-first",
];

/// What the file says, and those of its rules that say something: each by its id, with its group.
pub(super) fn check<'a>(
    raw: Option<&Spanned<RawBalance>>,
    rules: impl Iterator<Item = (&'a str, Option<&'a str>, &'a Spanned<RawBalance>)>,
    checker: &mut Checker<'_>,
) -> Option<Balance> {
    let top = raw.map_or(Level::empty(Location::UNKNOWN), Level::of);
    let groups: &[_] = match raw.map(|raw| &raw.value) {
        Some(TextOr::Map(all)) => &all.groups.0,
        _ => &[],
    };
    let all = build(&[top], checker);
    let mut right = all.is_some();
    let mut of_groups = Vec::new();
    for (name, settings) in groups {
        let group = checker.take(name.referenced, name.value.parse::<GroupName>());
        let level = Level::inner(settings, checker);
        let balancing = level.and_then(|level| build(&[level, top], checker));
        match group.zip(balancing) {
            Some(found) => of_groups.push(found),
            None => right = false,
        }
    }
    let mut of_rules = Vec::new();
    for (id, group, settings) in rules {
        let of_group = groups.iter().find(|(name, _)| Some(name.value.as_str()) == group);
        let of_group = of_group.map_or(top, |(_, settings)| Level::of(settings));
        let level = Level::inner(settings, checker);
        match level.and_then(|level| build(&[level, of_group, top], checker)) {
            Some(balancing) => of_rules.push((id.to_owned(), balancing)),
            None => right = false,
        }
    }
    right.then_some(())?;
    Some(Balance {
        all: all?,
        groups: of_groups,
        rules: of_rules,
    })
}

impl<'a> Level<'a> {
    pub(super) const fn empty(place: Location) -> Self {
        Self {
            place,
            policy: None,
            load_factor: None,
            hash: None,
            slow_start: None,
            zone: None,
            outliers: None,
            wait: None,
            max_waiting: None,
        }
    }

    fn of(raw: &'a Spanned<RawBalance>) -> Self {
        let empty = Self::empty(raw.referenced);
        match &raw.value {
            TextOr::Text(policy) => Self {
                policy: Some((policy, raw.referenced)),
                ..empty
            },
            TextOr::Map(settings) => Self {
                policy: settings
                    .policy
                    .as_ref()
                    .map(|key| (key.value.as_str(), key.referenced)),
                load_factor: settings.load_factor.as_ref(),
                hash: settings.hash.as_ref(),
                slow_start: settings.slow_start,
                zone: settings.zone.as_ref(),
                outliers: settings.outliers.as_ref(),
                wait: settings.wait,
                max_waiting: settings.max_waiting,
                ..empty
            },
        }
    }

    /// What a group or a rule says.
    fn inner(raw: &'a Spanned<RawBalance>, checker: &mut Checker<'_>) -> Option<Self> {
        if let TextOr::Map(settings) = &raw.value
            && let Some((name, _)) = settings.groups.0.first()
        {
            let message = "`groups` stands in the `balance` of the file: take it there";
            checker.wrong(name.referenced, message);
            return None;
        }
        Some(Self::of(raw))
    }
}

/// What the first level says; where it says nothing, what the next one does.
fn build(levels: &[Level<'_>], checker: &mut Checker<'_>) -> Option<Balancing<AnyPick>> {
    let own = levels.first()?;
    let hash = levels.iter().find_map(|level| level.hash);
    let mut balancing = Balancing::new(policy(levels, own, hash.is_some(), checker)?);
    if let Some(hash) = hash {
        balancing = balancing.hash_key(hash::check(hash, checker)?);
    }
    if let Some(time) = levels.iter().find_map(|level| level.slow_start) {
        balancing = balancing.slow_start(time.0);
    }
    if let Some(zone) = levels.iter().find_map(|level| level.zone) {
        balancing = balancing.zone(check_zone(zone, checker)?);
    }
    if let Some(raw) = levels.iter().find_map(|level| level.outliers)
        && let Some(outliers) = outliers::check(raw, checker)?
    {
        balancing = balancing.outliers(outliers);
    }
    if let Some(time) = levels.iter().find_map(|level| level.wait) {
        balancing = balancing.wait(time.0);
    }
    if let Some(count) = levels.iter().find_map(|level| level.max_waiting) {
        balancing = balancing.max_waiting(count.0 as usize);
    }
    Some(balancing)
}

pub(super) fn policy(
    levels: &[Level<'_>],
    own: &Level<'_>,
    has_hash: bool,
    checker: &mut Checker<'_>,
) -> Option<AnyPick> {
    let found = levels.iter().find_map(|level| level.policy);
    let (word, place) = found.unwrap_or((POLICIES[0], own.place));
    let is_hash = word == "consistent-hash";
    let keys = [
        own.hash.map(|key| key.referenced),
        own.load_factor.map(|key| key.referenced),
    ];
    if let (false, Some(place)) = (is_hash, keys.into_iter().flatten().next()) {
        checker.wrong(
            place,
            "this is for `policy: consistent-hash`: add that, or leave this out",
        );
        return None;
    }
    if is_hash && !has_hash {
        let message = "nothing says which requests belong together: add one such as `hash: {header: x-tenant}`, \
                       `hash: {cookie: sid}` or `hash: address`";
        checker.wrong(place, message);
        return None;
    }
    Some(match word {
        "least-pending" => LeastPending::new().into(),
        "round-robin" => RoundRobin::new().into(),
        "weighted-random" => WeightedRandom::new().into(),
        "peak-ewma" => PeakEwma::new().into(),
        "pick-first" => PickFirst.into(),
        "consistent-hash" => {
            let policy = ConsistentHash::new();
            match levels.iter().find_map(|level| level.load_factor) {
                None => policy.into(),
                Some(factor) if (1.0..=1_000.0).contains(&factor.value) => {
                    policy.load_factor(factor.value).into()
                }
                Some(factor) => {
                    checker.wrong(factor.referenced, "write a number from 1 to 1000, such as 1.25");
                    return None;
                }
            }
        }
        _ => {
            checker.wrong(place, yaml::unknown("policy", word, &POLICIES));
            return None;
        }
    })
}

pub(super) fn check_zone(
    raw: &Spanned<TextOr<RawZone>>,
    checker: &mut Checker<'_>,
) -> Option<ZonePreference> {
    let (name, place, least) = match &raw.value {
        TextOr::Text(name) => (name, raw.referenced, None),
        TextOr::Map(zone) => (&zone.name.value, zone.name.referenced, zone.min_agents),
    };
    if !(1..=128).contains(&name.len()) {
        checker.wrong(place, "the name of a zone has 1 to 128 bytes, such as eu-1");
        return None;
    }
    let zone = ZonePreference::new(name);
    Some(match least {
        Some(count) => zone.min_endpoints(count.0 as usize),
        None => zone,
    })
}
