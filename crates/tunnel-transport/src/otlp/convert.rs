//! Spans in the words of OpenTelemetry.

use opentelemetry::{
    InstrumentationScope, KeyValue, Value,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tunnel_core::trace::{self, SpanRecord, SpanStatus, SpanValue};

/// Who made the spans.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("tunnel")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// Only sampled spans are told.
pub(super) fn span_data(span: SpanRecord, scope: &InstrumentationScope) -> SpanData {
    let id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    let attribute = |(key, value)| KeyValue::new(key, to_value(value));
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(span.trace_id.to_be_bytes()),
            id(span.span_id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: span.parent_id.map_or(SpanId::INVALID, id),
        parent_span_is_remote: span.parent_is_remote,
        span_kind: match span.kind {
            trace::SpanKind::Server => SpanKind::Server,
            trace::SpanKind::Client => SpanKind::Client,
            trace::SpanKind::Internal => SpanKind::Internal,
        },
        name: span.name,
        start_time: span.start,
        end_time: span.end,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: match span.status {
            SpanStatus::Unset => Status::Unset,
            SpanStatus::Error(description) => Status::Error { description },
        },
        instrumentation_scope: scope.clone(),
    }
}

fn to_value(value: SpanValue) -> Value {
    match value {
        SpanValue::Text(text) => Value::String(text.into_owned().into()),
        SpanValue::Number(number) => Value::I64(number),
        SpanValue::Flag(flag) => Value::Bool(flag),
    }
}
