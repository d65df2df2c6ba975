//! From all endpoints to one.

use std::{sync::Arc, time::Duration};

use super::{
    Candidate, Choice, Endpoint, Outliers, Pick,
    choice::{MAX_WEIGHT, WEIGHT_UNIT},
};

/// How many candidates are kept on the stack.
const FEW: usize = 8;

/// A policy, and what stands before it: slow start, zones, ejection.
#[derive(Clone, Debug, Default)]
pub struct Balancer<P> {
    pick: P,
    slow_start: Duration,
    zone: Option<ZonePreference>,
    outliers: Option<Outliers>,
}

/// Which zone's endpoints are preferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZonePreference {
    name: Arc<str>,
    min_endpoints: usize,
}

impl ZonePreference {
    /// Endpoints of the zone `name`, as long as one of them can take the exchange.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            min_endpoints: 1,
        }
    }

    /// How many of the zone must be able to take an exchange for the others to be left out; at least 1.
    #[must_use]
    pub fn min_endpoints(mut self, count: usize) -> Self {
        self.min_endpoints = count.max(1);
        self
    }
}

impl<P> From<P> for Balancer<P> {
    fn from(pick: P) -> Self {
        Self::new(pick)
    }
}

impl<P> Balancer<P> {
    /// The policy alone.
    #[must_use]
    pub const fn new(pick: P) -> Self {
        Self {
            pick,
            slow_start: Duration::ZERO,
            zone: None,
            outliers: None,
        }
    }

    /// How long it takes until an endpoint that has just come has its full weight; it begins with a tenth. Policies that do not
    /// look at weights know no slow start.
    #[must_use]
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// Prefers a zone.
    #[must_use]
    pub fn zone(mut self, zone: ZonePreference) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Ejects who fails.
    #[must_use]
    pub fn outliers(mut self, outliers: Outliers) -> Self {
        self.outliers = Some(outliers);
        self
    }

    /// The policy.
    pub const fn policy(&self) -> &P {
        &self.pick
    }

    /// When endpoints are ejected, if they are.
    #[must_use]
    pub const fn when_ejected(&self) -> Option<&Outliers> {
        self.outliers.as_ref()
    }

    /// One of `endpoints` that `can` take the exchange; `None` if none can.
    pub fn choose<'a, E>(
        &self,
        endpoints: impl Iterator<Item = &'a E> + Clone,
        can: impl Fn(&E) -> bool,
        choice: &Choice,
    ) -> Option<&'a E>
    where
        E: Endpoint,
        P: Pick<E>,
    {
        let mut able = endpoints.clone().filter(|endpoint| can(endpoint));
        let first = able.next()?;
        let Some(second) = able.next() else {
            return Some(first);
        };
        let candidate = |endpoint| Candidate {
            endpoint,
            weight: self.weight(endpoint, choice),
        };
        // Few are kept on the stack, so that a choice needs no allocation.
        let mut few = [candidate(first); FEW];
        few[1] = candidate(second);
        let (mut many, mut count) = (Vec::new(), 2);
        for endpoint in able {
            if count < FEW {
                few[count] = candidate(endpoint);
            } else {
                if many.is_empty() {
                    many.extend(few);
                }
                many.push(candidate(endpoint));
            }
            count += 1;
        }
        let candidates = if many.is_empty() {
            &mut few[..count]
        } else {
            &mut many
        };
        let candidates = self.without_ejected(candidates, endpoints, choice);
        let candidates = self.in_zone(candidates);
        let index = match candidates.len() {
            1 => 0,
            _ => self.pick.pick(candidates, choice),
        };
        candidates
            .get(index)
            .or(candidates.last())
            .map(|one| one.endpoint)
    }

    fn weight<E: Endpoint>(&self, endpoint: &E, choice: &Choice) -> u32 {
        let full = endpoint.weight().clamp(1, MAX_WEIGHT) * WEIGHT_UNIT;
        if self.slow_start.is_zero() {
            return full;
        }
        let age = endpoint.stats().age(choice.now);
        if age >= self.slow_start {
            return full;
        }
        let percent = (age.as_millis() * 100 / self.slow_start.as_millis().max(1)).clamp(10, 100);
        (full * u32::try_from(percent).unwrap_or(100) / 100).max(1)
    }

    /// Takes away those that are ejected, those first that have been out for longest, as far as the cap allows; but never all.
    fn without_ejected<'c, 'a, E: Endpoint>(
        &self,
        candidates: &'c mut [Candidate<'a, E>],
        endpoints: impl Iterator<Item = &'a E>,
        choice: &Choice,
    ) -> &'c mut [Candidate<'a, E>] {
        let Some(outliers) = &self.outliers else {
            return candidates;
        };
        let mut since: Vec<_> = candidates
            .iter()
            .filter_map(|one| one.endpoint.stats().ejected(choice.now))
            .map(|(since, _)| since)
            .collect();
        if since.is_empty() || since.len() >= candidates.len() {
            return candidates;
        }
        since.sort_unstable();
        since.truncate(outliers.most(endpoints.count()));
        let Some(last) = since.last().copied() else {
            return candidates;
        };
        // Several may have been ejected at the same moment as the last one that may be out.
        let mut of_last = since.iter().filter(|since| **since == last).count();
        retain(candidates, |one| match one.endpoint.stats().ejected(choice.now) {
            Some((since, _)) if since < last => false,
            Some((since, _)) if since == last && of_last > 0 => {
                of_last -= 1;
                false
            }
            _ => true,
        })
    }

    fn in_zone<'c, 'a, E: Endpoint>(
        &self,
        candidates: &'c mut [Candidate<'a, E>],
    ) -> &'c mut [Candidate<'a, E>] {
        let Some(zone) = &self.zone else { return candidates };
        let is_near = |one: &Candidate<'_, E>| one.endpoint.zone() == Some(&*zone.name);
        if candidates.iter().filter(|one| is_near(one)).count() < zone.min_endpoints {
            return candidates;
        }
        retain(candidates, is_near)
    }
}

/// Moves those that are kept to the front, in their order: the front.
fn retain<T: Copy>(all: &mut [T], mut keep: impl FnMut(&T) -> bool) -> &mut [T] {
    let mut kept = 0;
    for index in 0..all.len() {
        let one = all[index];
        if keep(&one) {
            all[kept] = one;
            kept += 1;
        }
    }
    &mut all[..kept]
}
