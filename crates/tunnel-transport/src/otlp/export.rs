//! The task that sends spans.

use std::{mem, pin::pin, sync::Arc, sync::atomic::Ordering, time::Duration};

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tracing::{info, warn};
use tunnel_core::trace::SpanRecord;

use super::{Counts, convert};

/// The spans of one batch: what collectors take by default.
const MAX_BATCH: usize = 512;

/// What the exporter's own timeout leaves open.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Export {
    pub(super) exporter: SpanExporter,
    pub(super) spans: mpsc::Receiver<SpanRecord>,
    pub(super) asked: mpsc::Receiver<oneshot::Sender<()>>,
    pub(super) counts: Arc<Counts>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Export {
    /// Ends when nobody tells spans any more, and those that were told are sent.
    pub(super) async fn run(mut self) {
        let scope = convert::scope();
        let mut fails = false;
        let mut batch = Vec::new();
        loop {
            let (asked, is_over) = self.gather(&mut batch).await;
            // Who asked waits for all that was told before.
            let mut left = if asked.is_some() { self.spans.len() } else { 0 };
            loop {
                self.send(mem::take(&mut batch), &scope, &mut fails).await;
                if left == 0 {
                    break;
                }
                let more = self.spans.recv_many(&mut batch, left.min(MAX_BATCH)).await;
                left = if more == 0 { 0 } else { left - more };
            }
            if let Some(asked) = asked {
                // Who does not wait any more need not be told.
                let _ = asked.send(());
            }
            if is_over {
                return;
            }
        }
    }

    /// Waits for a batch: full, as old as it may become, or asked for. Whether nothing more will come.
    async fn gather(&mut self, batch: &mut Vec<SpanRecord>) -> (Option<oneshot::Sender<()>>, bool) {
        let mut deadline = pin!(None);
        while batch.len() < MAX_BATCH {
            if !batch.is_empty() && deadline.is_none() {
                deadline.set(Some(sleep(self.interval)));
            }
            let is_due = async {
                match deadline.as_mut().as_pin_mut() {
                    Some(deadline) => deadline.await,
                    None => std::future::pending().await,
                }
            };
            let room = MAX_BATCH - batch.len();
            tokio::select! {
                count = self.spans.recv_many(batch, room) => {
                    if count == 0 {
                        return (None, true);
                    }
                }
                Some(asked) = self.asked.recv() => return (Some(asked), false),
                () = is_due => break,
            }
        }
        (None, false)
    }

    /// Sends a batch, and tells when that begins to fail and when it goes well again.
    async fn send(&self, batch: Vec<SpanRecord>, scope: &InstrumentationScope, fails: &mut bool) {
        let count = batch.len() as u64;
        if count == 0 {
            return;
        }
        let batch = batch
            .into_iter()
            .map(|span| convert::span_data(span, scope))
            .collect();
        let sent = timeout(self.timeout + GRACE, self.exporter.export(batch)).await;
        let failure = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the collector did not answer in time".to_owned()),
        };
        match failure {
            None => {
                self.counts.sent.fetch_add(count, Ordering::Relaxed);
                if mem::replace(fails, false) {
                    info!("traces are exported again");
                }
            }
            Some(error) => {
                self.counts.dropped.fetch_add(count, Ordering::Relaxed);
                if !mem::replace(fails, true) {
                    warn!(error, "traces cannot be exported, and are lost until they can");
                }
            }
        }
    }
}
