//! What is found out about an exchange on its way, for whoever stands further out.

mod names;

use std::{
    error::Error,
    fmt,
    num::NonZeroU32,
    ops::Deref,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
    },
};

use http::Extensions;

pub(crate) use self::names::Mark;
use self::names::{AGENTS, RULES, Rule};
use crate::{
    auth::Principal,
    error::TunnelError,
    id::{AgentId, RequestId, TraceId},
    route::{Routed, Target},
    session::Session,
    sync::lock,
};

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

/// What layers further in note: what a [`Record`] points to.
///
/// What is noted of almost every exchange are numbers, each of which is written by whoever has the request, one after the other, so that
/// nothing has to be locked: the rule, the agent, and how often it was sent.
#[derive(Default)]
#[repr(C)]
pub struct Notes {
    /// How often the rule, the agent, a retry or a failure was noted.
    changes: AtomicU32,
    /// The number of the rule; 0 for none.
    rule: AtomicU32,
    /// That of the agent.
    agent: AtomicU32,
    /// How often the request was sent into the tunnel.
    attempts: AtomicU32,
    /// Nobody asks for more than counting needs.
    is_brief: AtomicBool,
    /// Whether `found` has something that counting needs.
    is_rare: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
    /// The rest. Boxed, so that the numbers stand beside what is [kept](Recorded::kept).
    found: OnceLock<Box<Mutex<Found>>>,
}

/// What counting needs to know of most exchanges: numbers, which stand for names as long as the process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brief {
    rule: Option<NonZeroU32>,
    agent: Option<NonZeroU32>,
    attempts: u32,
}

impl Brief {
    /// What the rule and the agent stand for: two that are equal in it are equal in both.
    #[inline]
    #[must_use]
    pub const fn key(&self) -> u64 {
        const fn number(name: Option<NonZeroU32>) -> u64 {
            match name {
                Some(name) => name.get() as u64,
                None => 0,
            }
        }
        number(self.rule) << 32 | number(self.agent)
    }

    /// How often the request was sent into the tunnel.
    #[inline]
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The names.
    #[must_use]
    pub fn found(&self) -> Found {
        let mut found = Found::default();
        self.tell(&mut found);
        found
    }

    fn tell(&self, found: &mut Found) {
        if let Some(rule) = self.rule {
            found.matched = RULES.name(rule);
        }
        if let Some(agent) = self.agent {
            found.agent = AGENTS.name(agent);
        }
        found.attempts = self.attempts;
    }
}

/// What a [`Record`] holds; everything is absent until somebody has found it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Found {
    matched: Option<Rule>,
    /// Who calls.
    pub principal: Option<Principal>,
    /// The agent that has the exchange; after a retry, the last one.
    pub agent: Option<AgentId>,
    /// The exchange's id in the tunnel; after a retry, the last one.
    pub request_id: Option<RequestId>,
    /// How often the request was sent into the tunnel.
    pub attempts: u32,
    /// How often the request was sent to an upstream once more.
    pub retries: u32,
    /// The endpoint of an upstream that has it, by its name in the configuration or its address.
    pub upstream: Option<Arc<str>>,
    /// The trace that the request belongs to.
    pub trace: Option<TraceId>,
    /// What `grpc-status` was, where whoever stands further out cannot read it.
    pub grpc_status: Option<u32>,
    /// Why the exchange failed, if the tunnel knows.
    pub failure: Option<TunnelError>,
}

impl Found {
    /// The rule that was matched, by its id.
    #[must_use]
    pub fn rule(&self) -> Option<&Arc<str>> {
        self.matched.as_ref().map(|(rule, _)| rule)
    }

    /// Who serves what the rule matches; none for a rule that answers itself.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.matched.as_ref()?.1.as_ref()
    }
}

impl Record {
    /// The record of the request with these extensions; puts one there if there is none yet.
    pub fn of(extensions: &mut Extensions) -> Self {
        let record = extensions.get_or_insert_default::<Self>();
        record.0.notes.is_brief.store(false, Relaxed);
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
        let Notes {
            changes,
            rule,
            agent,
            attempts,
            is_brief,
            is_rare,
            received,
            sent,
            found,
        } = &this.notes;
        if found.get().is_some() {
            return false;
        }
        for number in [changes, rule, agent, attempts] {
            number.store(0, Relaxed);
        }
        is_brief.store(false, Relaxed);
        is_rare.store(false, Relaxed);
        received.store(0, Relaxed);
        sent.store(0, Relaxed);
        true
    }
}

impl Notes {
    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> Found {
        self.look(Found::clone)
    }

    /// Looks at what was found so far. Nothing but a rule or an agent can be noted meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&Found) -> R) -> R {
        let brief = self.numbers();
        let Some(found) = self.found.get() else {
            return look(&brief.found());
        };
        let mut found = lock(found);
        brief.tell(&mut found);
        look(&found)
    }

    /// What counting needs, without a look at a name; none if something was noted that is no number, so that one has to
    /// [look](Self::look).
    #[inline]
    #[must_use]
    pub fn brief(&self) -> Option<Brief> {
        (!self.is_rare.load(Acquire)).then(|| self.numbers())
    }

    #[inline]
    fn numbers(&self) -> Brief {
        Brief {
            rule: NonZeroU32::new(self.rule.load(Relaxed)),
            agent: NonZeroU32::new(self.agent.load(Relaxed)),
            attempts: self.attempts.load(Relaxed),
        }
    }

    /// The rule that was matched, and who serves it.
    pub fn note_routed(&self, routed: &Routed) {
        let ask = || RULES.number((Arc::clone(&routed.rule), Some(routed.target.clone())));
        match routed.mark.number(ask) {
            Some(number) => self.note_number(&self.rule, number),
            None => self.note_rule(&routed.rule, Some(&routed.target)),
        }
    }

    /// The same where there is nothing but names: the rule's, and who serves it unless it answers itself.
    pub fn note_rule(&self, rule: &Arc<str>, target: Option<&Target>) {
        self.note(|found| {
            self.rule.store(0, Relaxed);
            found.matched = Some((Arc::clone(rule), target.cloned()));
        });
    }

    /// Who calls.
    pub fn note_principal(&self, principal: &Principal) {
        if self.is_full() {
            let principal = principal.clone();
            lock(self.rest()).principal = Some(principal);
        }
    }

    /// The request goes to the agent of this session, under this id.
    pub fn note_opened(&self, session: &Session, id: RequestId) {
        let ask = || AGENTS.number(session.agent().clone());
        match session.mark().number(ask) {
            Some(number) => {
                if self.is_full() {
                    self.note_id(id);
                }
                self.add_attempt();
                self.note_number(&self.agent, number);
            }
            None => self.note_sent(session.agent(), id),
        }
    }

    /// The same where there is nothing but a name: the request goes to this agent.
    pub fn note_sent(&self, agent: &AgentId, id: RequestId) {
        self.note(|found| {
            self.agent.store(0, Relaxed);
            self.add_attempt();
            found.agent = Some(agent.clone());
            found.request_id = Some(id);
        });
    }

    fn add_attempt(&self) {
        self.attempts
            .store(self.attempts.load(Relaxed).saturating_add(1), Relaxed);
    }

    fn note_number(&self, place: &AtomicU32, number: NonZeroU32) {
        place.store(number.get(), Relaxed);
        self.change();
    }

    /// Notes what counting needs, and what is no number.
    fn note(&self, note: impl FnOnce(&mut Found)) {
        let mut found = lock(self.rest());
        note(&mut found);
        self.is_rare.store(true, Release);
        self.change();
    }

    /// The request goes to an upstream once more.
    pub fn note_retry(&self) {
        self.note(|found| found.retries += 1);
    }

    /// The exchange has this id.
    pub fn note_id(&self, id: RequestId) {
        lock(self.rest()).request_id = Some(id);
    }

    /// The request goes to this endpoint of an upstream.
    pub fn note_upstream(&self, endpoint: &Arc<str>) {
        if self.is_full() {
            let endpoint = Arc::clone(endpoint);
            lock(self.rest()).upstream = Some(endpoint);
        }
    }

    /// From here on no more is noted than counting needs, which is the rule, its target, the agent, attempts, ends and bytes, until
    /// somebody asks for the [record](Record::of).
    #[inline]
    pub fn be_brief(&self) {
        self.is_brief.store(true, Relaxed);
    }

    /// Whether more is noted than counting needs.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.is_brief.load(Relaxed)
    }

    /// The request belongs to this trace.
    pub fn note_trace(&self, trace: TraceId) {
        if self.is_full() {
            lock(self.rest()).trace = Some(trace);
        }
    }

    /// The call ended with this `grpc-status`.
    pub fn note_grpc_status(&self, status: u32) {
        lock(self.rest()).grpc_status = Some(status);
    }

    /// Why the exchange failed. The first to say so is believed: what follows from a failure is not its reason.
    pub fn note_failure(&self, error: &TunnelError) {
        self.note(|found| {
            found.failure.get_or_insert_with(|| error.clone());
        });
    }

    /// The same, for an error in whose chain of sources the tunnel's may stand.
    pub fn note_error(&self, error: &(dyn Error + 'static)) {
        if let Some(error) = TunnelError::find(error) {
            self.note_failure(error);
        }
    }

    /// So many bytes came from the client on the stream that the exchange was upgraded to, which bodies do not show.
    pub fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// So many bytes went to the client on the stream that the exchange was upgraded to.
    pub fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// The bytes of the upgraded stream: from the client, and to it.
    #[inline]
    #[must_use]
    pub fn stream_bytes(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Relaxed);
        (load(&self.received), load(&self.sent))
    }

    /// How often the rule, the agent, a retry or a failure was noted: whoever has looked need not look again while it stays the same.
    #[inline]
    #[must_use]
    pub fn changes(&self) -> u32 {
        self.changes.load(Acquire)
    }

    /// What is noted at the same time by two may count as one change; who looks behind both sees both.
    fn change(&self) {
        self.changes
            .store(self.changes.load(Relaxed).wrapping_add(1), Release);
    }

    fn rest(&self) -> &Mutex<Found> {
        self.found.get_or_init(Box::default)
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

/// Shows names and ids, as [`Found`] does.
impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notes").field(&self.found()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Cause, Initiator};

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
