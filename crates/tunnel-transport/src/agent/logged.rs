//! What the log says of an exchange at the agent.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tracing::{Span, debug, debug_span, field::display};
use tunnel_core::{Accepted, RequestId, TraceId, TunnelError};

/// An exchange that says how it ended, in a span at DEBUG. Spans may be off, so what tells of a failure names the exchange by itself.
#[pin_project]
pub(super) struct Logged<F> {
    id: RequestId,
    trace_id: Option<TraceId>,
    span: Span,
    #[pin]
    exchange: F,
}

impl<F> Logged<F> {
    /// What `handle` makes of the exchange that was accepted.
    pub(super) fn new(accepted: Accepted, handle: impl FnOnce(Accepted) -> F) -> Self {
        let (id, trace_id) = (accepted.id, accepted.trace_id);
        let span = debug_span!(parent: None, "exchange", request.id = %id, trace.id = trace_id.map(display));
        Self {
            id,
            trace_id,
            span,
            exchange: handle(accepted),
        }
    }
}

impl<F: Future<Output = Result<(), TunnelError>>> Future for Logged<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let _entered = this.span.enter();
        if let Err(error) = ready!(this.exchange.poll(cx)) {
            let trace_id = this.trace_id.map(display);
            debug!(request.id = %this.id, trace.id = trace_id, %error, "an exchange ended early");
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        sync::{Arc, Mutex, OnceLock},
    };

    use tracing::{Dispatch, Metadata, field::Field, subscriber::set_default};
    use tracing_subscriber::{
        Layer, filter::filter_fn, layer::SubscriberExt as _, registry, registry::LookupSpan,
    };
    use tunnel_core::{Cause, Initiator};

    use super::*;

    const ID: RequestId = RequestId::NIL;
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    /// Writes down each event, with the name of the span in which it is.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
        fn on_event(&self, event: &tracing::Event<'_>, context: tracing_subscriber::layer::Context<'_, S>) {
            let span = context.event_span(event).map_or("none", |span| span.name());
            let mut line = format!("in {span}:");
            event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
                line.push_str(&format!(" {field}={value:?}"));
            });
            self.0.lock().unwrap().push(line);
        }
    }

    /// What the log has of an exchange that says something, and fails.
    fn log_of(is_on: fn(&Metadata<'_>) -> bool) -> Vec<String> {
        // While there is only one subscriber, the first thread to come by decides for all whether anybody listens there.
        static KEPT: OnceLock<[Dispatch; 2]> = OnceLock::new();
        KEPT.get_or_init(|| [(), ()].map(|()| Dispatch::new(registry())));
        let log = Log::default();
        let _listening = set_default(registry().with(log.clone().with_filter(filter_fn(is_on))));
        let exchange = Logged {
            id: ID,
            trace_id: TraceId::from_text(TRACE.as_bytes()),
            span: debug_span!(parent: None, "exchange"),
            exchange: async {
                tracing::info!("from the service");
                Err(TunnelError::new(Cause::Upstream, Initiator::Peer, "broke off"))
            },
        };
        assert!(tokio_test::task::spawn(exchange).poll().is_ready());
        log.0.lock().unwrap().drain(..).collect()
    }

    #[test]
    fn what_a_service_says_is_in_a_span_and_a_failure_names_its_exchange() {
        let [said, failed] = log_of(|_| true).try_into().unwrap();
        assert!(said.starts_with("in exchange:"), "{said}");
        assert!(
            failed.contains(&format!("request.id={ID} trace.id={TRACE}")),
            "{failed}"
        );
        assert!(failed.contains("broke off"), "{failed}");
    }

    #[test]
    fn a_failure_names_its_exchange_without_spans_too() {
        let [said, failed] = log_of(|metadata| metadata.is_event()).try_into().unwrap();
        assert!(said.starts_with("in none:"), "{said}");
        assert!(failed.starts_with("in none:"), "{failed}");
        assert!(
            failed.contains(&format!("request.id={ID} trace.id={TRACE}")),
            "{failed}"
        );
    }
}
