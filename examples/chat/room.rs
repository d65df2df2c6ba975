//! Who is in the room, and what is said there. Nothing here waits, and everything has a bound.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};

/// The most people at one time.
pub(crate) const MAX_PEOPLE: usize = 100;

/// Events that are kept for whoever reads slowly; who falls back further is told how many are gone.
pub(crate) const WAITING: usize = 64;

/// What a page hears, as JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Event<'a> {
    /// To one page: which person it is.
    Welcome {
        you: u64,
    },
    /// Who is in the room now.
    Here {
        names: Vec<&'a str>,
    },
    Said {
        from: u64,
        name: &'a str,
        text: &'a str,
    },
    /// To one page: it read too slowly for so many events.
    Missed {
        count: u64,
    },
}

impl Event<'_> {
    fn to_text(&self) -> Utf8Bytes {
        serde_json::to_string(self)
            .expect("texts and numbers always become JSON")
            .into()
    }
}

/// The room. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Room(Arc<Inner>);

struct Inner {
    people: Mutex<BTreeMap<u64, String>>,
    next: AtomicU64,
    events: broadcast::Sender<Utf8Bytes>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            people: Mutex::default(),
            next: AtomicU64::new(1),
            events: broadcast::Sender::new(WAITING),
        }))
    }

    /// A seat for somebody with this name; none if the room is full.
    pub(crate) fn join(&self, name: String) -> Option<Seat> {
        let mut people = self.people();
        if people.len() >= MAX_PEOPLE {
            return None;
        }
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let events = self.0.events.subscribe();
        people.insert(id, name.clone());
        self.tell_who_is_here(&people);
        let room = self.clone();
        Some(Seat {
            room,
            id,
            name,
            events,
        })
    }

    /// Told under the lock, so that nobody hears an older list last.
    fn tell_who_is_here(&self, people: &BTreeMap<u64, String>) {
        let names = people.values().map(String::as_str).collect();
        self.tell(&Event::Here { names });
    }

    fn tell(&self, event: &Event<'_>) {
        // Nobody may be there to hear it.
        let _ = self.0.events.send(event.to_text());
    }

    fn people(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.0.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody's place in the room, left when it is dropped.
pub(crate) struct Seat {
    room: Room,
    id: u64,
    name: String,
    events: broadcast::Receiver<Utf8Bytes>,
}

impl Seat {
    /// What its page is told first.
    pub(crate) fn welcome(&self) -> Utf8Bytes {
        Event::Welcome { you: self.id }.to_text()
    }

    /// Says something to everybody, the speaker among them.
    pub(crate) fn say(&self, text: &str) {
        let (from, name) = (self.id, self.name.as_str());
        self.room.tell(&Event::Said { from, name, text });
    }

    /// What happens next. Cancel safe: what is not given out is not lost.
    pub(crate) async fn hear(&mut self) -> Utf8Bytes {
        match self.events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(count)) => Event::Missed { count }.to_text(),
            // The seat itself keeps the room, and so the sender.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut people = self.room.people();
        people.remove(&self.id);
        self.room.tell_who_is_here(&people);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_who_is_here_and_what_is_said() {
        let room = Room::new();
        let mut ada = room.join("Ada".to_owned()).unwrap();
        assert_eq!(ada.welcome().as_str(), r#"{"kind":"welcome","you":1}"#);
        let mut grace = room.join("Grace".to_owned()).unwrap();
        assert_eq!(ada.hear().await.as_str(), r#"{"kind":"here","names":["Ada"]}"#);
        for seat in [&mut ada, &mut grace] {
            assert_eq!(
                seat.hear().await.as_str(),
                r#"{"kind":"here","names":["Ada","Grace"]}"#
            );
        }
        grace.say("\"hi\"");
        for seat in [&mut ada, &mut grace] {
            let expected = r#"{"kind":"said","from":2,"name":"Grace","text":"\"hi\""}"#;
            assert_eq!(seat.hear().await.as_str(), expected);
        }
        drop(grace);
        assert_eq!(ada.hear().await.as_str(), r#"{"kind":"here","names":["Ada"]}"#);
    }

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_what_is_gone() {
        let room = Room::new();
        let mut ada = room.join("Ada".to_owned()).unwrap();
        for number in 0..WAITING + 2 {
            ada.say(&number.to_string());
        }
        // With the list of people three more than are kept.
        assert_eq!(ada.hear().await.as_str(), r#"{"kind":"missed","count":3}"#);
        assert!(ada.hear().await.contains(r#""text":"2""#));
    }

    #[test]
    fn a_full_room_takes_nobody_until_somebody_leaves() {
        let room = Room::new();
        let mut seats: Vec<_> = (0..MAX_PEOPLE)
            .map(|n| room.join(n.to_string()).unwrap())
            .collect();
        assert!(room.join("late".to_owned()).is_none());
        seats.pop();
        assert!(room.join("late".to_owned()).is_some());
    }
}
