use std::{fmt, sync::Arc};

use http::Request;
use tower_layer::Layer;

use super::{Asked, Guard, Half, Wire, begin};
use crate::{
    access_log::{AccessLogLayer, Line, Settings},
    metrics::{Meters, MetricsLayer},
};

/// [`MetricsLayer`] and [`AccessLogLayer`] in one, for the price of one: bodies are wrapped once, and what both have to know of an exchange
/// is kept in one place.
///
/// ```
/// use tunnel_layers::{access_log::AccessLogLayer, metrics::MetricsLayer, observe::ObserveLayer};
///
/// let layer = ObserveLayer::new()
///     .metrics(MetricsLayer::new())
///     .access_log(AccessLogLayer::new());
/// # let _ = layer;
/// ```
#[derive(Clone, Default)]
pub struct ObserveLayer {
    meters: Option<Arc<Meters>>,
    log: Option<Arc<Settings>>,
}

impl ObserveLayer {
    /// One that does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Measures as this layer does, and counts together with it.
    #[must_use]
    pub fn metrics(self, layer: MetricsLayer) -> Self {
        let meters = layer.into_meters();
        let meters = meters.is_on().then_some(meters);
        Self { meters, ..self }
    }

    /// Logs as this layer does.
    #[must_use]
    pub fn access_log(self, layer: AccessLogLayer) -> Self {
        let log = layer.into_settings();
        let log = log.is_on.then_some(log);
        Self { log, ..self }
    }

    /// Whether it does anything.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.meters.is_some() || self.log.is_some()
    }

    fn begin<B: http_body::Body>(&self, request: &mut Request<B>) -> (Half, Guard) {
        if !self.is_on() {
            return (Half::none(), Guard::none());
        }
        let wire = Wire::of(request);
        let log = self.log.clone();
        let asked = Asked {
            meters: self.meters.as_ref(),
            line: log.map(|log| Box::new(Line::of(request, wire, log))),
        };
        begin(request, wire, asked)
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        let layer = self.clone();
        Observe { inner, layer }
    }
}

impl fmt::Debug for ObserveLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveLayer")
            .field("measures", &self.meters.is_some())
            .field("logs", &self.log.is_some())
            .finish()
    }
}

/// The service of [`ObserveLayer`].
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    layer: ObserveLayer,
}

impl<S> Observe<S> {
    fn begin<B: http_body::Body>(&self, request: &mut Request<B>) -> (Half, Guard) {
        self.layer.begin(request)
    }
}

wraps_inner!(Observe<S>);
watches!(Observe<S>);
