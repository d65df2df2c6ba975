use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::time::Instant;
use tunnel_core::trace::{SpanKind, SpanRecord, SpanStatus, SpanValue};

use super::Tracer;
use crate::{
    trace_context::{SpanId, TraceContext},
    trace_id::{MakeTraceId as _, RandomTraceId},
};

/// A step of a sampled trace that has not ended, in the extensions of its request.
///
/// What is set after it has ended is lost. Clones are the same span; it ends with the exchange, at the latest with the last clone.
#[derive(Clone)]
pub struct TraceSpan(Arc<Inner>);

struct Inner {
    tracer: Tracer,
    context: TraceContext,
    parent: Option<Parent>,
    kind: SpanKind,
    clock: Clock,
    started: Instant,
    /// None once it has ended.
    open: Mutex<Option<Open>>,
}

/// The step that another one is a part of.
#[derive(Clone, Copy)]
pub(crate) struct Parent {
    pub(crate) id: SpanId,
    pub(crate) is_remote: bool,
}

/// The time of the calendar, which goes on with the monotonic clock, so that what happens later in a trace never looks earlier.
#[derive(Clone, Copy)]
struct Clock {
    calendar: SystemTime,
    at: Instant,
}

struct Open {
    name: Cow<'static, str>,
    attributes: Vec<(&'static str, SpanValue)>,
    status: SpanStatus,
    stage: Option<Stage>,
    /// How many steps to somebody else there were.
    hops: u16,
}

/// A part of a step that begins where the last one ends.
struct Stage {
    name: &'static str,
    id: SpanId,
    started: Instant,
}

/// As many as most spans have.
const ATTRIBUTES: usize = 16;

impl TraceSpan {
    /// The first step of a trace in this process.
    pub(crate) fn first(
        tracer: &Tracer,
        context: TraceContext,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
    ) -> Self {
        let now = Instant::now();
        let clock = Clock {
            calendar: SystemTime::now(),
            at: now,
        };
        let parent = parent.map(|id| Parent { id, is_remote: true });
        Self::start(
            tracer.clone(),
            context,
            parent,
            SpanKind::Server,
            clock,
            name.into(),
        )
    }

    fn start(
        tracer: Tracer,
        context: TraceContext,
        parent: Option<Parent>,
        kind: SpanKind,
        clock: Clock,
        name: Cow<'static, str>,
    ) -> Self {
        let open = Open {
            name,
            attributes: Vec::with_capacity(ATTRIBUTES),
            status: SpanStatus::Unset,
            stage: None,
            hops: 0,
        };
        Self(Arc::new(Inner {
            tracer,
            context,
            parent,
            kind,
            clock,
            started: Instant::now(),
            open: Mutex::new(Some(open)),
        }))
    }

    /// A step inside this one. It ends with its last clone.
    #[must_use]
    pub fn child(&self, kind: SpanKind, name: impl Into<Cow<'static, str>>) -> Self {
        let Inner {
            tracer,
            context,
            clock,
            ..
        } = &*self.0;
        let parent = Some(Parent {
            id: context.span_id(),
            is_remote: false,
        });
        let context = context.child(RandomTraceId.span_id());
        Self::start(tracer.clone(), context, parent, kind, *clock, name.into())
    }

    /// Its place in the trace: what `traceparent` says to those whom this step calls.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.0.context
    }

    /// Says something about it, in the place of what was said under the same key.
    pub fn set(&self, key: &'static str, value: impl Into<SpanValue>) {
        if let Some(open) = &mut *self.lock() {
            open.set(key, value.into());
        }
    }

    /// Calls it otherwise: by one of few names, whoever calls.
    pub fn rename(&self, name: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut *self.lock() {
            open.name = name.into();
        }
    }

    /// What was said of it under this key, if that is a text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let open = self.lock();
        let mut known = open.iter().flat_map(|open| &open.attributes);
        let (_, value) = known.find(|(known, _)| *known == key)?;
        value.as_text().map(str::to_owned)
    }

    /// Says that it failed, and why: a word such as `agent-lost`, as `error.type`, and a text. What is said first holds.
    pub fn fail(&self, kind: impl Into<SpanValue>, text: impl Into<Cow<'static, str>>) {
        if let Some(open) = &mut *self.lock()
            && open.status == SpanStatus::Unset
        {
            open.status = SpanStatus::Error(text.into());
            open.set("error.type", kind.into());
        }
    }

    /// Ends the stage that it was in, and begins the one with this name: a child from here to the next stage, to a step to somebody
    /// else, or to the answer.
    pub fn stage(&self, name: &'static str) {
        let stage = Stage {
            name,
            id: RandomTraceId.span_id(),
            started: Instant::now(),
        };
        let last = match &mut *self.lock() {
            Some(open) => open.stage.replace(stage),
            None => None,
        };
        self.record_stage(last, Instant::now());
    }

    /// Ends the stage that it was in.
    pub(super) fn end_stage(&self) {
        let last = self.lock().as_mut().and_then(|open| open.stage.take());
        self.record_stage(last, Instant::now());
    }

    /// A step to somebody else, and how many there were before.
    pub(super) fn hop(&self, name: impl Into<Cow<'static, str>>) -> (Self, u16) {
        self.end_stage();
        let before = self.lock().as_mut().map_or(0, |open| {
            open.hops = open.hops.saturating_add(1);
            open.hops - 1
        });
        (self.child(SpanKind::Client, name), before)
    }

    /// Whether it says which path was asked for.
    pub(super) fn tells_paths(&self) -> bool {
        self.0.tracer.paths
    }

    pub(super) fn kind(&self) -> SpanKind {
        self.0.kind
    }

    /// Ends it.
    pub(super) fn end(&self) {
        self.0.end();
    }

    fn record_stage(&self, stage: Option<Stage>, end: Instant) {
        if let Some(stage) = stage {
            self.0.record_stage(&stage, end);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock()
    }
}

impl Open {
    fn set(&mut self, key: &'static str, value: SpanValue) {
        match self.attributes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((key, value)),
        }
    }
}

impl Clock {
    fn calendar(&self, at: Instant) -> SystemTime {
        self.calendar + at.duration_since(self.at)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_stage(&self, stage: &Stage, end: Instant) {
        self.tracer.record(SpanRecord {
            trace_id: self.context.trace_id().to_u128(),
            span_id: stage.id.to_u64(),
            parent_id: Some(self.context.span_id().to_u64()),
            parent_is_remote: false,
            kind: SpanKind::Internal,
            name: Cow::Borrowed(stage.name),
            start: self.clock.calendar(stage.started),
            end: self.clock.calendar(end),
            attributes: Vec::new(),
            status: SpanStatus::Unset,
        });
    }

    fn end(&self) {
        let Some(open) = self.lock().take() else {
            return;
        };
        let now = Instant::now();
        if let Some(stage) = open.stage {
            self.record_stage(&stage, now);
        }
        self.tracer.record(SpanRecord {
            trace_id: self.context.trace_id().to_u128(),
            span_id: self.context.span_id().to_u64(),
            parent_id: self.parent.map(|parent| parent.id.to_u64()),
            parent_is_remote: self.parent.is_some_and(|parent| parent.is_remote),
            kind: self.kind,
            name: open.name,
            start: self.clock.calendar(self.started),
            end: self.clock.calendar(now),
            attributes: open.attributes,
            status: open.status,
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for TraceSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceSpan")
            .field("context", &self.0.context)
            .field("kind", &self.0.kind)
            .finish_non_exhaustive()
    }
}
