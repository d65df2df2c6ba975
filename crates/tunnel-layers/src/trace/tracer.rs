use std::{fmt, sync::Arc};

use tunnel_core::trace::{SpanRecord, SpanRecorder};

use crate::trace_context::TraceId;

/// Which traces are told, and to whom. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    recorder: Arc<dyn SpanRecorder>,
    /// The right 56 bits of a sampled trace's id are at least this.
    threshold: u64,
    pub(super) paths: bool,
}

/// What is compared of a trace id: its right 56 bits, which are random (Trace Context, level 2).
const RANDOM_BITS: u32 = 56;

impl Tracer {
    /// Tells all traces to `recorder`.
    #[must_use]
    pub fn new(recorder: impl SpanRecorder) -> Self {
        Self {
            recorder: Arc::new(recorder),
            threshold: 0,
            paths: false,
        }
    }

    /// The share of new traces that are sampled: from 0, none, to 1, all, which is the default; what lies outside is taken as the nearer
    /// of the two. A trace that is continued keeps its caller's decision. All who use the same share decide alike about the same trace.
    #[must_use]
    pub fn sample(mut self, share: f64) -> Self {
        let all = (1_u64 << RANDOM_BITS) as f64;
        // A share that is no number is none.
        let dropped = 1.0
            - if share.is_nan() {
                0.0
            } else {
                share.clamp(0.0, 1.0)
            };
        self.threshold = (dropped * all) as u64;
        self
    }

    /// Whether spans have the path of the request, as `url.path`. Off by default, since paths may name persons. The query is never
    /// told.
    #[must_use]
    pub fn paths(mut self, paths: bool) -> Self {
        self.paths = paths;
        self
    }

    /// Whether a trace that begins here, with this id, is sampled.
    pub(crate) fn samples(&self, id: TraceId) -> bool {
        let random = id.to_u128() as u64 & ((1 << RANDOM_BITS) - 1);
        random >= self.threshold
    }

    pub(super) fn record(&self, span: SpanRecord) {
        self.recorder.record(span);
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer")
            .field("threshold", &self.threshold)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}
