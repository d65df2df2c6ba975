use std::{fmt, sync::Arc};

use http::Request;

use super::meter::Meters;
use crate::observe::{Asked, Guard, Half, Wire, begin};

/// The service of [`MetricsLayer`](super::MetricsLayer).
#[derive(Clone)]
pub struct Metrics<S> {
    inner: S,
    meters: Arc<Meters>,
}

impl<S> Metrics<S> {
    pub(super) const fn new(inner: S, meters: Arc<Meters>) -> Self {
        Self { inner, meters }
    }

    fn begin<B: http_body::Body>(&self, request: &mut Request<B>) -> (Half, Guard) {
        if !self.meters.is_on() {
            return (Half::none(), Guard::none());
        }
        let wire = Wire::of(request);
        let asked = Asked {
            meters: Some(&self.meters),
            ..Asked::default()
        };
        begin(request, wire, asked)
    }
}

wraps_inner!(Metrics<S>);
watches!(Metrics<S>);

impl<S: fmt::Debug> fmt::Debug for Metrics<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
