//! The traces of the operator's programs.

use std::time::Duration;

use tunnel_core::BoxError;
use tunnel_layers::trace::Tracer;
#[cfg(feature = "otel")]
use tunnel_transport::otlp::Otlp;

use crate::config;

/// How long the end of a program waits for a collector to take the last spans.
const FLUSH: Duration = Duration::from_secs(5);

/// Tells the traces of a program, as its file says. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    tracer: Option<Tracer>,
    #[cfg(feature = "otel")]
    otlp: Option<Otlp>,
}

impl Traces {
    /// Starts what sends them, for the service `name` if the file names none, and this instance of it.
    ///
    /// # Errors
    ///
    /// The collector's address is wrong, or the program was built without the feature `otel`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(config: Option<&config::Traces>, name: &str, instance: &str) -> Result<Self, BoxError> {
        let Some(config) = config else {
            return Ok(Self::default());
        };
        Self::start_as(config, name, instance)
    }

    #[cfg(feature = "otel")]
    fn start_as(config: &config::Traces, name: &str, instance: &str) -> Result<Self, BoxError> {
        let otlp = Otlp::builder(&config.otlp)
            .service_name(config.service_name.as_deref().unwrap_or(name))
            .attribute("service.instance.id", instance)
            .attribute("service.version", env!("CARGO_PKG_VERSION"))
            .start()?;
        let tracer = Tracer::new(otlp.clone())
            .sample(config.sample)
            .paths(config.paths);
        Ok(Self {
            tracer: Some(tracer),
            otlp: Some(otlp),
        })
    }

    #[cfg(not(feature = "otel"))]
    fn start_as(_: &config::Traces, _: &str, _: &str) -> Result<Self, BoxError> {
        Err("the program was built without the feature `otel`".into())
    }

    /// Where layers tell their steps, if anywhere.
    #[must_use]
    pub fn tracer(&self) -> Option<Tracer> {
        self.tracer.clone()
    }

    /// How many spans the collector has taken, and how many were lost; none if nothing is told.
    #[must_use]
    pub fn spans(&self) -> Option<(u64, u64)> {
        #[cfg(feature = "otel")]
        return self.otlp.as_ref().map(|otlp| (otlp.sent(), otlp.dropped()));
        #[cfg(not(feature = "otel"))]
        None
    }

    /// Has the last ones sent, for a few seconds at most.
    pub async fn finish(&self) {
        #[cfg(feature = "otel")]
        if let Some(otlp) = &self.otlp
            && !otlp.flush(FLUSH).await
        {
            tracing::warn!("the collector did not take the last traces in time");
        }
        #[cfg(not(feature = "otel"))]
        let _ = FLUSH;
    }
}
