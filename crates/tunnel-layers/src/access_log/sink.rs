use tracing::{Level, event};

use super::Entry;

/// Where entries go. A closure `Fn(&Entry<'_>)` is one.
///
/// It is called once for each exchange, by whoever ends it: often in the `Drop` of a body. So it must neither wait nor panic; a
/// [`Writer`](super::Writer) is made for what may wait.
pub trait Sink: Send + Sync + 'static {
    /// Takes an entry.
    fn take(&self, entry: &Entry<'_>);
}

impl<F: Fn(&Entry<'_>) + Send + Sync + 'static> Sink for F {
    fn take(&self, entry: &Entry<'_>) {
        self(entry);
    }
}

/// Makes of each entry an event of `tracing` with the target `access`, at the level INFO. The default.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Events;

impl Sink for Events {
    fn take(&self, entry: &Entry<'_>) {
        let seconds = |time: std::time::Duration| time.as_secs_f64();
        event!(
            target: "access",
            Level::INFO,
            request.id = entry.request_id.map(tracing::field::display),
            trace.id = entry.trace_id.map(tracing::field::display),
            peer = entry.peer.map(tracing::field::display),
            principal = entry.principal,
            method = entry.method.as_str(),
            authority = entry.authority,
            path = entry.path,
            protocol = entry.protocol.word(),
            rule = entry.rule,
            group = entry.group.map(tracing::field::display),
            agent = entry.agent.map(tracing::field::display),
            upstream = entry.upstream,
            endpoint = entry.endpoint,
            status = entry.status.map(|status| status.as_u16()),
            grpc_status = entry.grpc_status,
            bytes_in = entry.bytes_in,
            bytes_out = entry.bytes_out,
            first_byte = entry.first_byte.map(seconds),
            duration = seconds(entry.duration),
            cause = entry.cause,
        );
    }
}
