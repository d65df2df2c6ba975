//! Server-sent events.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_core::Stream;
use http::StatusCode;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use super::{Admin, AdminAccess, answer, answer::Problem, snapshot};

/// Between two events.
const PERIOD: Duration = Duration::from_secs(1);

/// An event that is younger than this is sent to others as well: what is said to ten browsers is found out once.
const FRESH: Duration = Duration::from_millis(900);

/// The event that was made last.
#[derive(Default)]
pub(super) struct Latest(Mutex<Option<(Instant, Bytes)>>);

impl Latest {
    fn get(&self, admin: &Admin) -> Bytes {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((at, event)) if at.elapsed() < FRESH => event.clone(),
            _ => {
                let event = snapshot::event(admin);
                *latest = Some((Instant::now(), event.clone()));
                event
            }
        }
    }
}

/// One stream of events.
struct Events {
    admin: Admin,
    /// Who might ask when it was opened: when that changes the stream ends, and has to be asked for again.
    access: Arc<AdminAccess>,
    ticks: Interval,
    _place: OwnedSemaphorePermit,
}

/// A stream of events, if there is a place for one more.
pub(super) fn stream(admin: &Admin) -> Result<Response, Problem> {
    let place = admin.0.streams.clone().try_acquire_owned().map_err(|_| {
        let text = "as many pages as there may be are being told what happens: close one";
        Problem(StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
    })?;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events {
        admin: admin.clone(),
        access: admin.0.access.load_full(),
        ticks,
        _place: place,
    };
    Ok(answer::typed(
        StatusCode::OK,
        "text/event-stream",
        Body::from_stream(events),
    ))
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.ticks.poll_tick(cx));
        let inner = &self.admin.0;
        if !Arc::ptr_eq(&inner.access.load(), &self.access) {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(inner.latest.get(&self.admin))))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
