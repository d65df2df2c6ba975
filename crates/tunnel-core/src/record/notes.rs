//! What is noted of one exchange.

use std::{
    error::Error,
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use super::names::{AGENTS, RULES, Rule};
use crate::{
    auth::Principal,
    error::TunnelError,
    id::{AgentId, RequestId, TraceId},
    route::{Routed, Target},
    session::Session,
    sync::lock,
};

/// What layers further in note: what a [`Record`](super::Record) points to.
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
    /// The rest. Boxed, so that the numbers stand beside what is [kept](super::Recorded::kept).
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

/// What a [`Record`](super::Record) holds; everything is absent until somebody has found it.
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

    /// Forgets what was noted, if there is nothing but numbers, and says whether it has. Nobody else may look.
    #[inline]
    pub(super) fn forget(&self) -> bool {
        let Self {
            changes,
            rule,
            agent,
            attempts,
            is_brief,
            is_rare,
            received,
            sent,
            found,
        } = self;
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
    /// somebody asks for the [record](super::Record::of).
    #[inline]
    pub fn be_brief(&self) {
        self.is_brief.store(true, Relaxed);
    }

    /// More is asked for again.
    #[inline]
    pub(super) fn be_full(&self) {
        self.is_brief.store(false, Relaxed);
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
impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notes").field(&self.found()).finish()
    }
}
