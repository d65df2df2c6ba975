//! The contract of the layers that tell traces, alone and together; and that no secret of a request is told.

use tower::ServiceBuilder;
use tunnel_core::trace::{SpanRecord, SpanRecorder};
use tunnel_layers::{
    trace::{HopLayer, ServeLayer, StageLayer, Tracer},
    trace_id::TraceIdLayer,
};

use crate::http::{assert_silent, contract};

/// Looks at all that it is told.
struct Silent;

impl SpanRecorder for Silent {
    fn record(&self, span: SpanRecord) {
        assert_silent(&span);
    }
}

fn tracer() -> Tracer {
    Tracer::new(Silent).paths(true)
}

#[tokio::test]
async fn trace_id_keeps_the_contract_while_it_tells() {
    contract(TraceIdLayer::new().tracer(tracer())).await;
}

/// `StageLayer` hands the answer on as it is, and so has no body of its own that could be silent: below it stands among the others.
#[tokio::test]
async fn hop_and_serve_keep_the_contract() {
    contract(HopLayer::tunnel()).await;
    contract(HopLayer::upstream().with("tunnel.upstream", "app")).await;
    contract(ServeLayer::off()).await;
    contract(ServeLayer::new(tracer())).await;
}

#[tokio::test]
async fn all_of_them_keep_it() {
    let layer = ServiceBuilder::new()
        .layer(TraceIdLayer::new().tracer(tracer()))
        .layer(StageLayer::new("first"))
        .layer(StageLayer::new("second"))
        .layer(HopLayer::tunnel())
        .layer(ServeLayer::new(tracer()))
        .layer(HopLayer::upstream());
    contract(layer.into_inner()).await;
}
