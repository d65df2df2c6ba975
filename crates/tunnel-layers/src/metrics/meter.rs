//! Which series an exchange counts in.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use metrics::Label;
use tunnel_core::{Cause, Found, GroupName, Record, Target};

use super::{
    common::Common,
    layer::Settings,
    names,
    series::{AgentSeries, Result, Series},
    status::Status,
    table::Table,
};
use crate::observe::{Ended, Watch, Wire};

/// What stands for names beyond a bound.
const OTHER: &str = "other";

/// All series of a layer.
pub(super) struct Meters {
    settings: Settings,
    rules: Table<Key, Series>,
    agents: Table<Arc<str>, AgentSeries>,
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
            common: OnceLock::new(),
            settings,
        }
    }

    /// Whether anything is measured.
    pub(super) const fn is_on(&self) -> bool {
        self.settings.is_on
    }

    fn series(&self, found: &Found, wire: Wire) -> Arc<Series> {
        let to = match &found.target {
            None => To::Nobody,
            Some(Target::Group(group)) => To::Group(group.clone()),
            Some(Target::Upstream(name)) => To::Upstream(Arc::clone(name)),
        };
        let rule = found.rule.clone();
        let key = Key { rule, to, wire };
        let other = || Key {
            rule: Some(OTHER.into()),
            to: To::Nobody,
            wire,
        };
        self.rules.get(&key, other, |key| self.make(key))
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
        let labels = vec![
            Label::from_static_parts("role", self.settings.role),
            Label::new("rule", Arc::clone(&rule)),
            Label::new("group", Arc::clone(&group)),
            Label::new("upstream", Arc::clone(&upstream)),
            Label::from_static_parts("protocol", key.wire.word()),
        ];
        let overview = &self.settings.overview;
        let cell = overview
            .as_ref()
            .map(|overview| overview.cell((rule, group, upstream)));
        Series::new(labels, cell)
    }

    fn agent(&self, found: &Found) -> Option<Arc<AgentSeries>> {
        let name = match (&self.settings.agent, &found.agent) {
            (Some(own), _) => Arc::clone(own),
            (None, Some(agent)) => Arc::clone(agent.as_shared()),
            (None, None) => return None,
        };
        Some(self.agents.get(
            &name,
            || OTHER.into(),
            |name| {
                let labels = vec![
                    Label::from_static_parts("role", self.settings.role),
                    Label::new("agent", Arc::clone(name)),
                ];
                let overview = &self.settings.overview;
                let cell = overview.as_ref().map(|overview| overview.agent(Arc::clone(name)));
                AgentSeries::new(labels, cell)
            },
        ))
    }
}

/// One exchange: in which series it counts as open.
pub(super) struct Meter {
    meters: Arc<Meters>,
    wire: Wire,
    /// Once the rule and the agent are known, the number of the attempt that this agent has got; 0 before.
    settled: AtomicU32,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// With whether the rule was known then.
    rule: Option<(bool, Arc<Series>)>,
    /// With the attempt that it was.
    agent: Option<(u32, Arc<AgentSeries>)>,
}

impl Meter {
    pub(super) fn new(meters: Arc<Meters>, wire: Wire) -> Self {
        Self {
            meters,
            wire,
            settled: AtomicU32::new(0),
            open: Mutex::default(),
        }
    }

    /// Counts the exchange as open where it belongs, as far as that is known.
    fn settle(&self, open: &mut Open, found: &Found) {
        let is_known = found.rule.is_some();
        let is_settled = open.rule.as_ref().is_some_and(|(known, _)| *known || !is_known);
        if !is_settled {
            let series = self.meters.series(found, self.wire);
            series.begin();
            if let Some((_, before)) = open.rule.replace((is_known, series)) {
                before.forget();
            }
        }
        let attempt = open.agent.as_ref().map(|(attempt, _)| *attempt);
        if attempt != Some(found.attempts)
            && let Some(agent) = self.meters.agent(found)
        {
            agent.begin();
            if let Some((_, before)) = open.agent.replace((found.attempts, agent)) {
                before.leave();
            }
        }
    }
}

impl Watch for Meter {
    fn progressed(&self, record: &Record) {
        let settled = self.settled.load(Ordering::Relaxed);
        if settled > 0 && record.look(|found| found.attempts) == settled {
            return;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = record.look(|found| {
            self.settle(&mut open, found);
            found.attempts
        });
        let rule = open.rule.as_ref().is_some_and(|(known, _)| *known);
        if rule && open.agent.is_some() {
            self.settled.store(attempts, Ordering::Relaxed);
        }
    }

    fn ended(&self, ended: &Ended<'_>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (attempts, result) = ended.record.look(|found| {
            self.settle(&mut open, found);
            let result = Result {
                status: Status::of(ended),
                cause: ended.cause(found).and_then(Cause::from_word),
                received: ended.received,
                sent: ended.sent,
                first_byte: ended.first_byte,
                duration: ended.duration,
            };
            (found.attempts, result)
        });
        self.meters.common().ended(attempts, result.cause);
        if let Some((_, series)) = open.rule.take() {
            series.end(&result);
        }
        if let Some((_, agent)) = open.agent.take() {
            agent.end(&result);
        }
    }
}
