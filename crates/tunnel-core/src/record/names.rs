//! Numbers for names, so that to note a name is to note a number.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    num::NonZeroU32,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use crate::{id::AgentId, route::Target, sync::lock};

/// The most names of one kind that get a number: those of rules are as many as configurations make, those of agents their own choice.
/// What comes later is noted by its name.
const MAX: usize = 65_536;

/// A rule and who serves what it matches, if not itself.
pub(super) type Rule = (Arc<str>, Option<Target>);

/// The rules that some request has matched in this process.
pub(super) static RULES: LazyLock<Names<Rule>> = LazyLock::new(|| Names::new(MAX));

/// The agents that some request was sent to in this process.
pub(super) static AGENTS: LazyLock<Names<AgentId>> = LazyLock::new(|| Names::new(MAX));

/// Names of one kind. The same name has the same number for as long as the process runs.
pub(super) struct Names<T> {
    known: Mutex<Known<T>>,
    max: usize,
}

struct Known<T> {
    numbers: HashMap<T, NonZeroU32>,
    names: Vec<T>,
}

impl<T: Clone + Eq + Hash> Names<T> {
    fn new(max: usize) -> Self {
        let (numbers, names) = (HashMap::new(), Vec::new());
        Self {
            known: Mutex::new(Known { numbers, names }),
            max,
        }
    }

    /// None when there are too many.
    pub(super) fn number(&self, name: T) -> Option<NonZeroU32> {
        let Known { numbers, names } = &mut *lock(&self.known);
        if let Some(number) = numbers.get(&name) {
            return Some(*number);
        }
        if names.len() >= self.max {
            return None;
        }
        names.push(name.clone());
        let number = u32::try_from(names.len()).ok().and_then(NonZeroU32::new)?;
        numbers.insert(name, number);
        Some(number)
    }

    pub(super) fn name(&self, number: NonZeroU32) -> Option<T> {
        let place = usize::try_from(number.get() - 1).ok()?;
        lock(&self.known).names.get(place).cloned()
    }
}

/// The number of the name beside which it stands, kept once it was asked for. A copy knows none, because its name may be changed, and it
/// makes no two things different.
#[derive(Default)]
pub(crate) struct Mark(AtomicU32);

impl Mark {
    /// That there is none.
    const NONE: u32 = u32::MAX;

    pub(super) fn number(&self, ask: impl FnOnce() -> Option<NonZeroU32>) -> Option<NonZeroU32> {
        let number = match self.0.load(Relaxed) {
            0 => {
                let number = ask().map_or(Self::NONE, NonZeroU32::get);
                self.0.store(number, Relaxed);
                number
            }
            number => number,
        };
        NonZeroU32::new(number).filter(|number| number.get() != Self::NONE)
    }
}

impl Clone for Mark {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Mark {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Mark {}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_there_are_only_so_many() {
        let names = Names::new(2);
        let numbers = ["a", "b", "a", "c", "b"].map(|name| names.number(name));
        let (one, two) = (NonZeroU32::new(1), NonZeroU32::new(2));
        assert_eq!(numbers, [one, two, one, None, two]);
        assert_eq!(names.name(NonZeroU32::MIN), Some("a"));
        assert_eq!(names.name(NonZeroU32::MAX), None);
    }

    #[test]
    fn a_mark_asks_once_whatever_it_is_told() {
        for number in [None, NonZeroU32::new(7)] {
            let mark = Mark::default();
            assert_eq!(mark.number(|| number), number);
            assert_eq!(mark.number(|| unreachable!("it knows")), number);
            assert_eq!(mark.clone().number(|| NonZeroU32::new(8)), NonZeroU32::new(8));
        }
    }
}
