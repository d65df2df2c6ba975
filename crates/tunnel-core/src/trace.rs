//! Steps of traces, as they are told to whoever collects them (OpenTelemetry, trace data model).
//!
//! Layers measure what they do as [spans](SpanRecord), and hand each to a [`SpanRecorder`] when it has ended. What becomes of it is up to
//! the recorder: it may export, count or print it.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

/// Takes spans that have ended.
///
/// It is called on the path of requests, for traces that are sampled: an implementation must not wait, and should drop what it has no
/// room for.
pub trait SpanRecorder: Send + Sync + 'static {
    /// Takes one span, after those that it contains.
    fn record(&self, span: SpanRecord);
}

impl<R: SpanRecorder + ?Sized> SpanRecorder for Arc<R> {
    fn record(&self, span: SpanRecord) {
        (**self).record(span);
    }
}

/// One step of a trace, from its beginning to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// The trace; never 0.
    pub trace_id: u128,
    /// This step; never 0.
    pub span_id: u64,
    /// The step that this one is a part of; none if the trace begins here.
    pub parent_id: Option<u64>,
    /// Whether the parent is in another process.
    pub parent_is_remote: bool,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// What it is called; one of few for the same configuration.
    pub name: Cow<'static, str>,
    /// When it began.
    pub start: SystemTime,
    /// When it ended; not before `start`.
    pub end: SystemTime,
    /// What is known about it. A key stands there once.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// How it ended.
    pub status: SpanStatus,
}

impl SpanRecord {
    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&SpanValue> {
        let found = self.attributes.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| value)
    }
}

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Serving a request.
    Server,
    /// Waiting for somebody else's answer.
    Client,
    /// Neither.
    Internal,
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SpanStatus {
    /// Nothing went wrong.
    #[default]
    Unset,
    /// It failed, and why.
    Error(Cow<'static, str>),
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl SpanValue {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Flag(_) => None,
        }
    }
}

impl From<&'static str> for SpanValue {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for SpanValue {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for SpanValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u16> for SpanValue {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

/// What is larger than the largest number is that.
impl From<u64> for SpanValue {
    fn from(number: u64) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<bool> for SpanValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
