//! Which series exchanges have counted in lately, found without a look at any name.

use std::{cell::RefCell, sync::Arc};

use thread_local::ThreadLocal;
use tunnel_core::{AgentId, Found, Target};

use crate::observe::Wire;

/// How many places are known. Rules and agents that fall on the same one drive each other out.
const PLACES: usize = 256;

/// Where an exchange counts, by the numbers of the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) series: u32,
    pub(super) agent: Option<u32>,
}

/// The places of the latest exchanges, which each thread knows for itself. All exchanges of a rule share its name, and all those of a session
/// that of its agent: whether two are the same is seen by where they are.
#[derive(Default)]
pub(super) struct Recent(ThreadLocal<Box<[Slot]>>);

type Slot = RefCell<Option<Known>>;

/// The names are kept, so that nothing else can be where they are.
struct Known {
    rule: Option<Arc<str>>,
    target: Option<Target>,
    agent: Option<AgentId>,
    wire: Wire,
    place: Place,
}

impl Recent {
    /// The place of what was found; it is made anew where it is not known.
    pub(super) fn get(&self, found: &Found, wire: Wire, make: impl FnOnce() -> Place) -> Place {
        let slots = self
            .0
            .get_or(|| (0..PLACES).map(|_| RefCell::default()).collect());
        let slot = &slots[number(found, wire)];
        if let Some(known) = &*slot.borrow()
            && known.is_of(found, wire)
        {
            return known.place;
        }
        let place = make();
        let known = Known {
            rule: found.rule().cloned(),
            target: found.target().cloned(),
            agent: found.agent.clone(),
            wire,
            place,
        };
        slot.replace(Some(known));
        place
    }
}

impl Known {
    fn is_of(&self, found: &Found, wire: Wire) -> bool {
        self.wire == wire
            && at(self.rule.as_ref()) == at(found.rule())
            && of(self.target.as_ref()) == of(found.target())
            && at(self.agent.as_ref().map(AgentId::as_shared))
                == at(found.agent.as_ref().map(AgentId::as_shared))
    }
}

/// Which kind of target it is, and where its name is.
fn of(target: Option<&Target>) -> (bool, usize) {
    match target {
        None => (false, 0),
        Some(Target::Group(group)) => (false, at(Some(group.as_shared()))),
        Some(Target::Upstream(name)) => (true, at(Some(name))),
    }
}

/// Where a name is; 0 for none.
fn at(name: Option<&Arc<str>>) -> usize {
    name.map_or(0, |name| Arc::as_ptr(name).addr())
}

/// The slot of what was found.
fn number(found: &Found, wire: Wire) -> usize {
    let agent = at(found.agent.as_ref().map(AgentId::as_shared));
    let mixed = at(found.rule()) ^ agent.rotate_left(17) ^ wire as usize;
    let mixed = (mixed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tunnel_core::Record;

    use super::*;

    fn found(rule: &Arc<str>, target: Option<&Target>) -> Found {
        let record = Record::default();
        record.note_rule(rule, target);
        record.found()
    }

    #[test]
    fn a_place_is_known_by_the_names_and_the_protocol() {
        let recent = Recent::default();
        let made = Cell::new(0);
        let place = || {
            made.set(made.get() + 1);
            let (series, agent) = (made.get(), None);
            Place { series, agent }
        };
        let number = |found: &Found, wire| recent.get(found, wire, place).series;
        let (rule, same): (Arc<str>, Arc<str>) = ("a".into(), "a".into());
        assert_eq!(number(&found(&rule, None), Wire::Http), 1);
        assert_eq!(number(&found(&rule, None), Wire::Http), 1);
        let upstream = Target::Upstream("u".into());
        assert_eq!(number(&found(&rule, Some(&upstream)), Wire::Http), 2);
        assert_eq!(number(&found(&rule, None), Wire::Grpc), 3);
        assert_eq!(number(&found(&same, None), Wire::Http), 4);
    }
}
