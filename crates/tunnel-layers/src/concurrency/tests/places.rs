//! Any sequence of what callers do leaves all places free.

use std::task::{Context, Waker};

use proptest::{prelude::*, sample::Index};
use tunnel_core::Lifetime;

use crate::{
    concurrency::{
        places::{Asked, InLine, Place, Places},
        state::Bounds,
    },
    key::Key,
};

/// What one caller does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Comes, perhaps with one of a few keys.
    Ask(Option<u8>),
    /// Looks whether its turn has come.
    Poll(Index),
    /// Gives up waiting, told of its turn or not.
    Leave(Index),
    /// Has finished, or was dropped.
    End(Index),
    /// Panics with its place.
    Panic(Index),
    /// Hands its place over to what lives longer.
    Hold(Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::option::of(0..4_u8).prop_map(Step::Ask),
        3 => any::<Index>().prop_map(Step::Poll),
        1 => any::<Index>().prop_map(Step::Leave),
        2 => any::<Index>().prop_map(Step::End),
        1 => any::<Index>().prop_map(Step::Panic),
        1 => any::<Index>().prop_map(Step::Hold),
    ]
}

/// Everybody there is, and with what key.
#[derive(Default)]
struct Callers {
    places: Vec<(Place, Option<u8>)>,
    line: Vec<(InLine, Option<u8>)>,
    held: Vec<(Lifetime, Option<u8>)>,
}

const BOUNDS: Bounds = Bounds {
    places: 5,
    queue: 6,
    queue_of_key: 3,
};
const OF_KEY: usize = 2;

impl Callers {
    fn take(&mut self, step: Step, places: &Places) {
        match step {
            Step::Ask(key) => self.ask(key, places),
            Step::Poll(at) if !self.line.is_empty() => {
                let at = at.index(self.line.len());
                let polled = self.line[at].0.poll_place(&Context::from_waker(Waker::noop()));
                if let std::task::Poll::Ready(place) = polled {
                    let (_, key) = self.line.remove(at);
                    self.places.push((place, key));
                }
            }
            Step::Leave(at) if !self.line.is_empty() => drop(self.line.remove(at.index(self.line.len()))),
            Step::End(at) if !self.held.is_empty() && at.index(2) == 0 => {
                drop(self.held.remove(at.index(self.held.len())));
            }
            Step::End(at) if !self.places.is_empty() => drop(self.places.remove(at.index(self.places.len()))),
            Step::Panic(at) if !self.places.is_empty() => {
                let place = self.places.remove(at.index(self.places.len()));
                let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                    let _place = place;
                    std::panic::resume_unwind(Box::new("on purpose"));
                }));
                assert!(panic.is_err());
            }
            Step::Hold(at) if !self.places.is_empty() => {
                let (place, key) = self.places.remove(at.index(self.places.len()));
                let lifetime = Lifetime::default();
                lifetime.hold(place);
                self.held.push((lifetime, key));
            }
            _ => {}
        }
    }

    fn ask(&mut self, key: Option<u8>, places: &Places) {
        match places.ask(key.map(|key| (Key::of(&key), OF_KEY))) {
            Asked::Place(place) => self.places.push((place, key)),
            Asked::Line(line) => self.line.push((line, key)),
            Asked::Full => {
                let (taken, queued) = places.load();
                let of_key = self
                    .line
                    .iter()
                    .filter(|(_, other)| key.is_some() && *other == key);
                assert!(queued == BOUNDS.queue || of_key.count() >= BOUNDS.queue_of_key);
                assert!(taken == BOUNDS.places || key.is_some());
            }
        }
    }

    fn check(&self, places: &Places) {
        let (taken, queued) = places.load();
        let with_place = self.places.len() + self.held.len();
        // Of those in line, the rest have been given a place and do not know yet.
        let told = taken - with_place;
        assert!(taken <= BOUNDS.places && queued <= BOUNDS.queue, "{places:?}");
        assert_eq!(queued + told, self.line.len(), "{places:?}");
        for key in 0..4 {
            let holders = self.places.iter().map(|(_, key)| key);
            let holders = holders.chain(self.held.iter().map(|(_, key)| key));
            assert!(holders.filter(|other| **other == Some(key)).count() <= OF_KEY);
        }
        // A free place is not kept from anybody who needs no other.
        let keyless = self.line.iter().filter(|(_, key)| key.is_none()).count();
        assert!(taken == BOUNDS.places || keyless <= told, "{places:?}");
    }
}

proptest! {
    #[test]
    fn places_return_whatever_happens(steps in proptest::collection::vec(step(), 0..120)) {
        let places = Places::new(BOUNDS);
        let mut callers = Callers::default();
        for step in steps {
            callers.take(step, &places);
            callers.check(&places);
        }
        // Everybody who waits is served when the others have gone.
        callers.places.clear();
        callers.held.clear();
        while !callers.line.is_empty() {
            let before = callers.line.len();
            for at in (0..before).rev() {
                let polled = callers.line[at].0.poll_place(&Context::from_waker(Waker::noop()));
                if polled.is_ready() {
                    drop(callers.line.remove(at));
                }
            }
            prop_assert!(callers.line.len() < before, "{places:?}");
        }
        drop(polled_out(&places));
        prop_assert_eq!(places.load(), (0, 0));
        prop_assert!(format!("{places:?}").contains("keys: 0"), "{:?}", places);
    }
}

/// All places, which proves that all are free.
fn polled_out(places: &Places) -> Vec<Place> {
    let all = std::iter::repeat_with(|| match places.ask(None) {
        Asked::Place(place) => place,
        Asked::Line(_) | Asked::Full => panic!("a place is missing: {places:?}"),
    });
    all.take(BOUNDS.places).collect()
}
