//! A collector of traces, over gRPC.

use std::{collections::BTreeMap, fmt::Write as _};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use tokio::{sync::watch, task::JoinHandle};
use tonic::{Request, Response, Status, async_trait, transport::Server};
use tunnel_tests::{
    tunnel::{address, listener},
    wait::within_limit,
};

/// Takes what is exported to its port. Dropping it closes the port.
pub(super) struct Collector {
    uri: String,
    spans: watch::Receiver<Vec<Told>>,
    task: JoinHandle<()>,
}

/// One span, and who told it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) service: BTreeMap<String, String>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) name: String,
    pub(super) kind: SpanKind,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) is_error: bool,
    took: u64,
    began: u64,
}

struct Service(watch::Sender<Vec<Told>>);

impl Collector {
    pub(super) async fn start() -> Self {
        let listener = listener().await;
        let uri = format!("http://{}", address(&listener));
        let (sender, spans) = watch::channel(Vec::new());
        let serve = Server::builder().add_service(TraceServiceServer::new(Service(sender)));
        let incoming = tokio_stream(listener);
        let task = tokio::spawn(async move {
            let _ = serve.serve_with_incoming(incoming).await;
        });
        Self { uri, spans, task }
    }

    /// `traces:` of a file, with more keys.
    pub(super) fn traces(&self, more: &str) -> String {
        format!("traces: {{otlp: \"{}\"{more}}}\n", self.uri)
    }

    /// Waits until there are so many spans, and gives them, the first that began first.
    pub(super) async fn spans(&mut self, count: usize) -> Vec<Told> {
        let mut spans = within_limit(self.spans.wait_for(|spans| spans.len() >= count))
            .await
            .expect("it serves")
            .clone();
        spans.sort_by_key(|span| span.began);
        spans
    }

    /// All spans that have come.
    pub(super) fn all(&self) -> Vec<Told> {
        self.spans.borrow().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tokio_stream(
    listener: tokio::net::TcpListener,
) -> impl futures_util::Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    futures_util::stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(socket, _)| socket);
        Some((accepted, listener))
    })
}

#[async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut told = Vec::new();
        for of_one in request.into_inner().resource_spans {
            let service = texts(&of_one.resource.unwrap_or_default().attributes);
            let spans = of_one.scope_spans.into_iter().flat_map(|scope| scope.spans);
            told.extend(spans.map(|span| Told::new(service.clone(), &span)));
        }
        self.0.send_modify(|spans| spans.extend(told));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Told {
    fn new(service: BTreeMap<String, String>, span: &Span) -> Self {
        Self {
            service,
            attributes: texts(&span.attributes),
            name: span.name.clone(),
            kind: span.kind(),
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            is_error: span
                .status
                .as_ref()
                .is_some_and(|status| status.code() == StatusCode::Error),
            took: span.end_time_unix_nano - span.start_time_unix_nano,
            began: span.start_time_unix_nano,
        }
    }

    pub(super) fn is_inside(&self, outer: &Self) -> bool {
        self.began >= outer.began && self.began + self.took <= outer.began + outer.took
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.clone().and_then(|value| value.value);
        match value {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::BoolValue(flag)) => flag.to_string(),
            other => format!("{other:?}"),
        }
    };
    let pairs = attributes.iter();
    pairs
        .map(|attribute| (attribute.key.clone(), text(attribute)))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A trace as a tree, for people: each span below the one that it is a part of.
pub(super) fn tree(spans: &[Told]) -> String {
    fn add(text: &mut String, spans: &[Told], parent: &str, depth: usize) {
        for span in spans.iter().filter(|span| span.parent == parent) {
            let indent = "  ".repeat(depth);
            let service = span.service.get("service.name").map_or("?", String::as_str);
            let _ = writeln!(
                text,
                "{indent}{} [{:?}, {service}, {} us] {:?}",
                span.name,
                span.kind,
                span.took / 1_000,
                span.attributes
            );
            add(text, spans, &span.id, depth + 1);
        }
    }
    let mut text = String::new();
    let is_known = |id: &str| spans.iter().any(|span| span.id == id);
    let mut roots: Vec<_> = spans.iter().map(|span| span.parent.as_str()).collect();
    roots.retain(|parent| !is_known(parent));
    roots.dedup();
    for root in roots {
        add(&mut text, spans, root, 0);
    }
    text
}
