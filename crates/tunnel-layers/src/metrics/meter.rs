//! Which series an exchange counts in.

use std::sync::{Arc, OnceLock};

use tunnel_core::{Brief, Cause, Found, GroupName, Notes, Target};

use super::{
    cell::Ending,
    common::Common,
    families::{agent_labels, labels},
    layer::Settings,
    names,
    overview::{AgentName, Name},
    recent::{Place, Recent},
    series::{AgentTold, Series, Told},
    status::Status,
    table::Table,
};
use crate::observe::{Ended, Wire, failure};

/// What stands for names beyond a bound.
const OTHER: &str = "other";

/// All series of a layer.
pub(crate) struct Meters {
    settings: Settings,
    rules: Table<Key, Series>,
    agents: Table<Arc<str>, Series<AgentTold>>,
    recent: Recent,
    common: OnceLock<Common>,
}

/// A rule, who serves it, and the protocol.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    rule: Option<Arc<str>>,
    to: To,
    wire: Wire,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum To {
    Nobody,
    Group(GroupName),
    Upstream(Arc<str>),
}

impl Meters {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            rules: Table::new(settings.max_rules),
            agents: Table::new(settings.max_agents),
            recent: Recent::default(),
            common: OnceLock::new(),
            settings,
        }
    }

    /// Whether anything is measured.
    pub(crate) const fn is_on(&self) -> bool {
        self.settings.is_on && (self.settings.is_recorded || self.settings.overview.is_some())
    }

    /// Where an exchange counts of which this was found out.
    fn place(&self, found: &Found, wire: Wire) -> Place {
        Place {
            series: self.series(found, wire),
            agent: self.agent(found),
        }
    }

    /// The same, and it is found out no more than that.
    fn place_of(&self, brief: Brief, wire: Wire) -> Place {
        self.recent.get(brief, wire, || self.place(&brief.found(), wire))
    }

    fn series(&self, found: &Found, wire: Wire) -> u32 {
        let to = match found.target() {
            None => To::Nobody,
            Some(Target::Group(group)) => To::Group(group.clone()),
            Some(Target::Upstream(name)) => To::Upstream(Arc::clone(name)),
        };
        let rule = found.rule().cloned();
        let key = Key { rule, to, wire };
        let other = || Key {
            rule: Some(OTHER.into()),
            to: To::Nobody,
            wire,
        };
        self.rules.number(&key, other, |key| self.make(key))
    }

    /// What is there once for the layer. It is made with the first exchange, when there is a recorder.
    fn common(&self) -> &Common {
        self.common.get_or_init(|| {
            names::describe();
            Common::new(self.settings.role)
        })
    }

    fn make(&self, key: &Key) -> Series {
        self.common();
        let none: Arc<str> = "".into();
        let rule = key.rule.clone().unwrap_or_else(|| Arc::clone(&none));
        let (group, upstream) = match &key.to {
            To::Nobody => (Arc::clone(&self.settings.group), none),
            To::Group(group) => (Arc::clone(group.as_shared()), none),
            To::Upstream(name) => (none, Arc::clone(name)),
        };
        let name = Name {
            rule,
            group,
            upstream,
            role: self.settings.role,
            protocol: key.wire.word(),
            own: self.settings.agent.clone(),
        };
        let overview = self.settings.overview.as_ref();
        Series {
            cell: overview.map(|overview| overview.row(name.clone())),
            told: self.settings.is_recorded.then(|| Told::new(labels(name))),
        }
    }

    fn agent(&self, found: &Found) -> Option<u32> {
        let name = match (&self.settings.agent, &found.agent) {
            // Its numbers are the sums of the others.
            (Some(_), _) if !self.settings.is_recorded => return None,
            (Some(own), _) => Arc::clone(own),
            (None, Some(agent)) => Arc::clone(agent.as_shared()),
            (None, None) => return None,
        };
        Some(self.agents.number(
            &name,
            || OTHER.into(),
            |name| {
                let name = AgentName {
                    agent: Arc::clone(name),
                    role: self.settings.role,
                };
                let overview = self.settings.overview.as_ref();
                let overview = overview.filter(|_| self.settings.agent.is_none());
                Series {
                    cell: overview.map(|overview| overview.agent_row(name.clone())),
                    told: self
                        .settings
                        .is_recorded
                        .then(|| AgentTold::new(agent_labels(name))),
                }
            },
        ))
    }
}

/// One exchange: in which series it counts as open.
pub(crate) struct Meter {
    meters: Arc<Meters>,
    wire: Wire,
    /// How often something had been noted when it was last looked at.
    seen: u32,
    /// Where the exchange counts as open.
    place: Option<Place>,
    /// How often the request had been sent into the tunnel then, and how often to an upstream once more.
    attempts: u32,
    retries: u32,
    /// What had failed.
    failure: Option<Cause>,
    /// The last place that was found, which is often that of the next exchange too.
    last: Option<(u64, Wire, Place)>,
}

/// That it was never looked at.
const NEVER: u32 = u32::MAX;

impl Meter {
    pub(crate) fn new(meters: Arc<Meters>, wire: Wire) -> Self {
        Self {
            meters,
            wire,
            seen: NEVER,
            place: None,
            attempts: 0,
            retries: 0,
            failure: None,
            last: None,
        }
    }

    /// Where an exchange counts of which this was found out, and no more.
    #[inline]
    fn place_of(&mut self, brief: Brief) -> Place {
        let (key, wire) = (brief.key(), self.wire);
        match self.last {
            Some((known, of, place)) if known == key && of == wire => place,
            _ => {
                let place = self.meters.place_of(brief, wire);
                self.last = Some((key, wire, place));
                place
            }
        }
    }

    /// Whether it is of this layer.
    #[inline]
    pub(crate) fn is_of(&self, meters: &Arc<Meters>) -> bool {
        Arc::ptr_eq(&self.meters, meters)
    }

    /// For another exchange; the last one has ended.
    #[inline]
    pub(crate) fn restart(&mut self, wire: Wire) {
        self.wire = wire;
        self.seen = NEVER;
        self.place = None;
        (self.attempts, self.retries) = (0, 0);
        self.failure = None;
    }

    /// Nothing has been noted. Where nothing need be, as at an agent, the exchange counts as open from now on.
    pub(crate) fn begins(&mut self) {
        if self.meters.settings.agent.is_some() {
            self.seen = 0;
            let place = self.place_of(Brief::default());
            self.settle(place, 0);
        }
    }

    /// More may be known now.
    #[inline]
    pub(crate) fn progressed(&mut self, notes: &Notes) {
        let changes = notes.changes();
        if changes != self.seen {
            self.seen = changes;
            match notes.brief() {
                Some(brief) => {
                    let place = self.place_of(brief);
                    self.settle(place, brief.attempts());
                }
                None => notes.look(|found| {
                    self.settle(self.meters.place(found, self.wire), found.attempts);
                    self.retries = found.retries;
                    self.failure = failure(found);
                }),
            }
        }
    }

    /// Counts the exchange as open where it belongs, as far as that is known.
    fn settle(&mut self, place: Place, attempts: u32) {
        let before = self.place.replace(place);
        let Meters { rules, agents, .. } = &*self.meters;
        let left = before.map(|before| before.series);
        if left != Some(place.series) {
            rules.get(place.series).into_iter().for_each(Series::begin);
            left.and_then(|left| rules.get(left))
                .into_iter()
                .for_each(Series::forget);
        }
        let left = before.and_then(|before| before.agent);
        if let Some(agent) = place.agent
            // What serves it here may send it on: the first time, it leaves nobody.
            && (left.is_none() || self.attempts > 0 && self.attempts != attempts)
        {
            agents.get(agent).into_iter().for_each(Series::begin);
            left.and_then(|left| agents.get(left))
                .into_iter()
                .for_each(Series::leave);
        }
        self.attempts = attempts;
    }

    /// The exchange is over.
    pub(crate) fn ended(&mut self, ended: &Ended<'_>) {
        self.progressed(ended.notes);
        let ending = Ending {
            status: Status::of(ended),
            cause: ended.cause(self.failure),
            received: ended.received,
            sent: ended.sent,
            first_byte: ended.first_byte.map(Into::into),
            duration: ended.duration.into(),
        };
        let retries = self.attempts.saturating_sub(1) + self.retries;
        if retries > 0 || ending.cause.is_some() {
            self.meters.common().ended(retries, ending.cause);
        }
        if let Some(place) = self.place.take() {
            if let Some(series) = self.meters.rules.get(place.series) {
                series.end(&ending);
            }
            if let Some(agent) = place.agent.and_then(|agent| self.meters.agents.get(agent)) {
                agent.end(&ending);
            }
        }
    }
}
