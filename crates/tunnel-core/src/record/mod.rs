//! What is found out about an exchange on its way, for whoever stands further out.

mod names;
mod notes;

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{Ordering::Acquire, fence},
    },
};

use http::Extensions;

pub(crate) use self::names::Mark;
pub use self::notes::{Brief, Found, Notes};

/// What is known of an exchange: which rule it matched, who calls, which agent has it, under which id.
///
/// Requests go inward, and what an inner layer finds out stands in extensions that an outer one has given away; nothing comes back
/// of a request that was given up. So whoever measures or logs puts a record into the request's extensions, and each layer, or
/// service, that finds something notes it there, if there is a record. All clones are one. Where nobody asks, nothing is made.
///
/// ```
/// use tunnel_core::{Record, Routed, Target};
///
/// let mut request = http::Request::new(());
/// let record = Record::of(request.extensions_mut());
/// // Further in:
/// let routed = Routed::new("shop", Target::Upstream("billing".into()));
/// request.extensions().get::<Record>().unwrap().note_routed(&routed);
/// // And out here, whatever became of the request:
/// drop(request);
/// assert_eq!(record.found().rule().map(|rule| &**rule), Some("shop"));
/// ```
#[derive(Clone)]
pub struct Record(Arc<Recorded<dyn Send + Sync>>);

/// [`Notes`], and in the same place of the memory what somebody keeps of the same exchange: a [`Record`] is made of it. Nothing is found
/// yet in a new one.
#[derive(Default)]
pub struct Recorded<T: ?Sized> {
    notes: Notes,
    kept: T,
}

impl Record {
    /// The record of the request with these extensions; puts one there if there is none yet.
    pub fn of(extensions: &mut Extensions) -> Self {
        let record = extensions.get_or_insert_default::<Self>();
        record.0.notes.be_full();
        record.clone()
    }
}

/// A record that nobody else has.
impl Default for Record {
    fn default() -> Self {
        Self(Arc::new(Recorded::<()>::default()))
    }
}

impl<T: Send + Sync + 'static> From<Arc<Recorded<T>>> for Record {
    #[inline]
    fn from(recorded: Arc<Recorded<T>>) -> Self {
        Self(recorded)
    }
}

impl Deref for Record {
    type Target = Notes;

    #[inline]
    fn deref(&self) -> &Notes {
        &self.0.notes
    }
}

impl<T: ?Sized> Recorded<T> {
    /// What was noted.
    #[inline]
    pub const fn notes(&self) -> &Notes {
        &self.notes
    }

    /// What is kept beside it.
    #[inline]
    pub const fn kept(&self) -> &T {
        &self.kept
    }

    /// Forgets what was noted, if nobody else has this and there is nothing but numbers. Says whether it has: what is not forgotten may be
    /// seen by somebody, or has to be dropped.
    #[inline]
    pub fn forget(this: &Arc<Self>) -> bool {
        // Nobody has a weak reference, so that nobody can get another one in between. Who had one has let go of it before this.
        if Arc::strong_count(this) != 1 {
            return false;
        }
        fence(Acquire);
        this.notes.forget()
    }
}

/// Shows names and ids, as [`Found`] does.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Record").field(&self.found()).finish()
    }
}

/// Shows what was noted, and nothing of what is kept.
impl<T: ?Sized> fmt::Debug for Recorded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorded").field(&self.notes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::{Cause, Initiator, TunnelError},
        id::RequestId,
        route::{Routed, Target},
    };

    #[test]
    fn clones_of_a_request_share_its_record() {
        let mut request = http::Request::new(());
        let record = Record::of(request.extensions_mut());
        let again = request.clone();
        let inner = again.extensions().get::<Record>().unwrap();
        let (first, second) = (
            RequestId::from_parts(1, [1; 10]),
            RequestId::from_parts(2, [2; 10]),
        );
        inner.note_sent(&"a".parse().unwrap(), first);
        inner.note_sent(&"b".parse().unwrap(), second);
        inner.add_received(3);
        inner.add_sent(4);
        let found = record.found();
        assert_eq!(found.agent.map(|agent| agent.to_string()).as_deref(), Some("b"));
        assert_eq!((found.request_id, found.attempts), (Some(second), 2));
        assert_eq!(record.stream_bytes(), (3, 4));
    }

    #[test]
    fn what_was_noted_last_holds_be_it_a_number_or_a_name() {
        let record = Record::default();
        let routed = |rule| Routed::new(rule, Target::Upstream("u".into()));
        let rule = || record.look(|found| found.rule().cloned());
        record.note_routed(&routed("first"));
        let first = record.brief().unwrap();
        record.note_routed(&routed("second"));
        assert_ne!(record.brief().unwrap(), first);
        assert_eq!((rule().as_deref(), record.changes()), (Some("second"), 2));
        assert_eq!(first.found().rule().map(|rule| &**rule), Some("first"));
        record.note_rule(&"third".into(), None);
        assert_eq!((rule().as_deref(), record.brief()), (Some("third"), None));
        record.note_routed(&routed("fourth"));
        assert_eq!((rule().as_deref(), record.brief()), (Some("fourth"), None));

        let mut changed = routed("fifth");
        record.note_routed(&changed);
        changed.rule = "sixth".into();
        record.note_routed(&changed);
        assert_eq!(rule().as_deref(), Some("sixth"));
    }

    #[test]
    fn numbers_are_forgotten_where_nobody_looks_any_more() {
        let recorded = Arc::new(Recorded::<()>::default());
        let record = Record::from(Arc::clone(&recorded));
        record.note_routed(&Routed::new("a", Target::Upstream("u".into())));
        record.be_brief();
        assert!(!Recorded::forget(&recorded), "somebody looks");
        drop(record);
        assert!(Recorded::forget(&recorded));
        let notes = recorded.notes();
        assert_eq!((notes.brief(), notes.changes()), (Some(Brief::default()), 0));
        assert!(notes.is_full());

        notes.note_retry();
        assert!(!Recorded::forget(&recorded), "it is no number");
        assert_eq!(notes.found().retries, 1);
    }

    #[test]
    fn the_first_failure_is_the_reason() {
        let record = Record::default();
        let lost = TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost");
        record.note_failure(&lost);
        record.note_failure(&TunnelError::canceled());
        let cause = record.look(|found| found.failure.as_ref().map(TunnelError::cause));
        assert_eq!(cause, Some(Cause::AgentLost));
    }
}
