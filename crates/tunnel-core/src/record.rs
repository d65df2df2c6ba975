//! What is found out about an exchange on its way, for whoever stands further out.

use std::{
    error::Error,
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use http::Extensions;

use crate::{
    auth::Principal,
    error::TunnelError,
    id::{AgentId, RequestId, TraceId},
    route::{Routed, Target},
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
#[derive(Default)]
pub struct Notes {
    found: Mutex<Found>,
    /// How often the rule, the agent, a retry or a failure was noted.
    changes: AtomicU32,
    /// Nobody asks for more than counting needs.
    is_brief: AtomicBool,
    received: AtomicU64,
    sent: AtomicU64,
}

/// What a [`Record`] holds; everything is absent until somebody has found it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Found {
    matched: Option<Matched>,
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

/// The rule that a request has matched, as whoever noted it knows it.
#[derive(Clone, Debug)]
enum Matched {
    Routed(Routed),
    Rule(Arc<str>, Option<Target>),
}

impl Found {
    /// The rule that was matched, by its id.
    #[must_use]
    pub fn rule(&self) -> Option<&Arc<str>> {
        match self.matched.as_ref()? {
            Matched::Routed(routed) => Some(&routed.rule),
            Matched::Rule(rule, _) => Some(rule),
        }
    }

    /// Who serves what the rule matches; none for a rule that answers itself.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        match self.matched.as_ref()? {
            Matched::Routed(routed) => Some(&routed.target),
            Matched::Rule(_, target) => target.as_ref(),
        }
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
}

impl Notes {
    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> Found {
        self.lock().clone()
    }

    /// Looks at what was found so far, without a copy of it. Nothing can be noted meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&Found) -> R) -> R {
        look(&self.lock())
    }

    /// The rule that was matched, and who serves it.
    pub fn note_routed(&self, routed: &Routed) {
        self.note_matched(Matched::Routed(routed.clone()));
    }

    /// The same where there is nothing but names: the rule's, and who serves it unless it answers itself.
    pub fn note_rule(&self, rule: &Arc<str>, target: Option<&Target>) {
        self.note_matched(Matched::Rule(Arc::clone(rule), target.cloned()));
    }

    fn note_matched(&self, matched: Matched) {
        let mut found = self.lock();
        found.matched = Some(matched);
        self.change();
    }

    /// Who calls.
    pub fn note_principal(&self, principal: &Principal) {
        if !self.is_full() {
            return;
        }
        let principal = principal.clone();
        self.lock().principal = Some(principal);
    }

    /// The request goes to this agent, under this id.
    pub fn note_sent(&self, agent: &AgentId, id: RequestId) {
        let agent = agent.clone();
        let mut found = self.lock();
        found.agent = Some(agent);
        found.request_id = Some(id);
        found.attempts += 1;
        self.change();
    }

    /// The request goes to an upstream once more.
    pub fn note_retry(&self) {
        let mut found = self.lock();
        found.retries += 1;
        self.change();
    }

    /// The exchange has this id.
    pub fn note_id(&self, id: RequestId) {
        self.lock().request_id = Some(id);
    }

    /// The request goes to this endpoint of an upstream.
    pub fn note_upstream(&self, endpoint: &Arc<str>) {
        if !self.is_full() {
            return;
        }
        let endpoint = Arc::clone(endpoint);
        self.lock().upstream = Some(endpoint);
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
        if !self.is_full() {
            return;
        }
        self.lock().trace = Some(trace);
    }

    /// The call ended with this `grpc-status`.
    pub fn note_grpc_status(&self, status: u32) {
        self.lock().grpc_status = Some(status);
    }

    /// Why the exchange failed. The first to say so is believed: what follows from a failure is not its reason.
    pub fn note_failure(&self, error: &TunnelError) {
        let mut found = self.lock();
        if found.failure.is_none() {
            found.failure = Some(error.clone());
            self.change();
        }
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

    /// For who holds the lock.
    fn change(&self) {
        self.changes
            .store(self.changes.load(Relaxed).wrapping_add(1), Release);
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows names and ids, as [`Found`] does.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Record").field(&*self.lock()).finish()
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
        f.debug_tuple("Notes").field(&*self.lock()).finish()
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
    fn the_first_failure_is_the_reason() {
        let record = Record::default();
        let lost = TunnelError::new(Cause::AgentLost, Initiator::Peer, "the agent was lost");
        record.note_failure(&lost);
        record.note_failure(&TunnelError::canceled());
        let cause = record.look(|found| found.failure.as_ref().map(TunnelError::cause));
        assert_eq!(cause, Some(Cause::AgentLost));
    }
}
