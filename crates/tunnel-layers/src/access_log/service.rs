use std::{fmt, sync::Arc};

use http::Request;

use super::{layer::Settings, lines::Line};
use crate::observe::{Asked, Guard, Half, Wire, begin};

/// The service of [`AccessLogLayer`](super::AccessLogLayer).
#[derive(Clone)]
pub struct AccessLog<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> AccessLog<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    fn begin<B: http_body::Body>(&self, request: &mut Request<B>) -> (Half, Guard) {
        if !self.settings.is_on {
            return (Half::none(), Guard::none());
        }
        let wire = Wire::of(request);
        let line = Line::of(request, wire, Arc::clone(&self.settings));
        let asked = Asked {
            line: Some(Box::new(line)),
            ..Asked::default()
        };
        begin(request, wire, asked)
    }
}

wraps_inner!(AccessLog<S>);
watches!(AccessLog<S>);

impl<S: fmt::Debug> fmt::Debug for AccessLog<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
