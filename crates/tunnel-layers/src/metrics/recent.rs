//! Which series exchanges have counted in lately, found without a look at any name.

use std::cell::Cell;

use thread_local::ThreadLocal;
use tunnel_core::Brief;

use crate::observe::Wire;

/// How many places are known. Rules and agents that fall on the same one drive each other out.
const PLACES: usize = 256;

/// Where an exchange counts, by the numbers of the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) series: u32,
    pub(super) agent: Option<u32>,
}

/// The places of the latest exchanges, which each thread knows for itself.
#[derive(Default)]
pub(super) struct Recent(ThreadLocal<Box<[Slot]>>);

type Slot = Cell<Option<Known>>;

#[derive(Clone, Copy)]
struct Known {
    key: u64,
    wire: Wire,
    place: Place,
}

impl Recent {
    /// The place of what was found; it is made anew where it is not known.
    #[inline]
    pub(super) fn get(&self, brief: Brief, wire: Wire, make: impl FnOnce() -> Place) -> Place {
        let slots = self.0.get_or(|| (0..PLACES).map(|_| Slot::default()).collect());
        let key = brief.key();
        let slot = &slots[number(key, wire)];
        if let Some(known) = slot.get()
            && known.key == key
            && known.wire == wire
        {
            return known.place;
        }
        let place = make();
        slot.set(Some(Known { key, wire, place }));
        place
    }
}

/// The slot of what was found.
fn number(key: u64, wire: Wire) -> usize {
    let mixed = (key ^ (wire as u64) << 61).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use tunnel_core::{Record, Routed, Target};

    use super::*;

    fn brief(rule: &str, target: &str) -> Brief {
        let record = Record::default();
        record.note_routed(&Routed::new(rule, Target::Upstream(target.into())));
        record.brief().unwrap()
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
        let number = |brief, wire| recent.get(brief, wire, place).series;
        assert_eq!(number(brief("a", "u"), Wire::Http), 1);
        assert_eq!(number(brief("a", "u"), Wire::Http), 1);
        assert_eq!(number(brief("a", "v"), Wire::Http), 2);
        assert_eq!(number(brief("a", "u"), Wire::Grpc), 3);
        assert_eq!(number(brief("b", "u"), Wire::Http), 4);
        assert_eq!(number(Brief::default(), Wire::Http), 5);
        assert_eq!(number(brief("a", "u"), Wire::Http), 1);
    }
}
