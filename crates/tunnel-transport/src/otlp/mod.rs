//! Traces for a collector: OTLP over gRPC (OpenTelemetry protocol, version 1).
//!
//! [`Otlp`] takes the spans that the layers tell, as their `Tracer` has them recorded, and one task sends them in
//! batches. The queue between them is bounded, and who tells a span never waits: what finds no room is dropped and counted. A
//! collector that is slow, wrong or away costs the spans, and nothing else.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use tunnel_transport::otlp::Otlp;
//!
//! let otlp = Otlp::builder("http://collector:4317").service_name("gateway").start()?;
//! // `TraceIdLayer::new().tracer(Tracer::new(otlp.clone()).sample(0.1))` goes into the stack. And at the end:
//! otlp.flush(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```

mod convert;
mod export;

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, trace::SpanExporter as _};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tunnel_core::trace::{SpanRecord, SpanRecorder};

use self::export::Export;

/// Spans that wait to be sent, unless said otherwise. One takes about 1 KiB.
pub const DEFAULT_QUEUE: usize = 4_096;

/// The most that one batch takes to be sent, with what is tried again, unless said otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a batch that is not full waits for more, unless said otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Sends spans to a collector. Clones are the same; with the last one the task behind it ends, when it has sent what it has.
#[derive(Clone)]
pub struct Otlp(Arc<Inner>);

struct Inner {
    spans: mpsc::Sender<SpanRecord>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Otlp {
    /// An exporter to the collector at this address, such as `http://collector:4317`, or `https://...` with the feature `tls`, where
    /// the collector's certificate is verified by the system's roots.
    pub fn builder(endpoint: impl Into<String>) -> OtlpBuilder {
        OtlpBuilder {
            endpoint: endpoint.into(),
            service_name: None,
            attributes: Vec::new(),
            queue: DEFAULT_QUEUE,
            timeout: DEFAULT_TIMEOUT,
            interval: DEFAULT_INTERVAL,
        }
    }

    /// Has all that was told so far sent, and waits for that, at most for so long. Whether it was tried in time; a collector that
    /// refused counts as tried.
    pub async fn flush(&self, within: Duration) -> bool {
        let (done, waits) = oneshot::channel();
        let flush = async {
            let asked = self.0.flushes.send(done).await;
            asked.is_ok() && waits.await.is_ok()
        };
        timeout(within, flush).await.unwrap_or(false)
    }

    /// The spans that a collector has taken.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.counts.sent.load(Ordering::Relaxed)
    }

    /// The spans that were lost: there was no room, or the collector did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.counts.dropped.load(Ordering::Relaxed)
    }
}

impl SpanRecorder for Otlp {
    fn record(&self, span: SpanRecord) {
        if self.0.spans.try_send(span).is_err() {
            self.0.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("sent", &self.sent())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// Settings of an [`Otlp`].
#[derive(Clone, Debug)]
#[must_use = "it sends nothing before it is started"]
pub struct OtlpBuilder {
    endpoint: String,
    service_name: Option<String>,
    attributes: Vec<(&'static str, String)>,
    queue: usize,
    timeout: Duration,
    interval: Duration,
}

impl OtlpBuilder {
    /// Who tells the spans: `service.name`. Else the environment says it (`OTEL_SERVICE_NAME`).
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// One more attribute of whoever tells the spans, such as `service.instance.id`. `OTEL_RESOURCE_ATTRIBUTES` may add more.
    pub fn attribute(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }

    /// The most spans that wait to be sent, at least one; [`DEFAULT_QUEUE`] if not set.
    pub fn queue(mut self, spans: usize) -> Self {
        self.queue = spans.max(1);
        self
    }

    /// The most that one batch takes; [`DEFAULT_TIMEOUT`] if not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a batch that is not full waits for more; [`DEFAULT_INTERVAL`] if not set.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Starts the task that sends. It connects when there is something to send, and again whenever it has to.
    ///
    /// What a collector wants as credentials can stand in the environment: `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// # Errors
    ///
    /// The address, or what the environment says, is wrong.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(self) -> Result<Otlp, OtlpError> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(self.endpoint.clone())
            .with_timeout(self.timeout);
        #[cfg(feature = "tls")]
        let exporter = {
            use opentelemetry_otlp::WithTonicConfig as _;
            use tonic::transport::ClientTlsConfig;

            if self.endpoint.starts_with("https:") {
                exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots())
            } else {
                exporter
            }
        };
        let mut exporter = exporter.build().map_err(|error| OtlpError(error.into()))?;
        exporter.set_resource(&self.resource());
        let (spans, to_send) = mpsc::channel(self.queue);
        let (flushes, asked) = mpsc::channel(1);
        let counts = Arc::<Counts>::default();
        let export = Export {
            exporter,
            spans: to_send,
            asked,
            counts: counts.clone(),
            interval: self.interval,
            timeout: self.timeout,
        };
        drop(tokio::spawn(export.run()));
        Ok(Otlp(Arc::new(Inner {
            spans,
            flushes,
            counts,
        })))
    }

    fn resource(&self) -> Resource {
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(key, value)| KeyValue::new(*key, value.clone()));
        let resource = Resource::builder().with_attributes(attributes);
        match &self.service_name {
            Some(name) => resource.with_service_name(name.clone()),
            None => resource,
        }
        .build()
    }
}

/// Traces cannot be sent like this.
#[derive(Debug)]
pub struct OtlpError(Box<dyn Error + Send + Sync>);

impl fmt::Display for OtlpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("traces cannot be exported")
    }
}

impl Error for OtlpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

#[cfg(test)]
mod tests;
