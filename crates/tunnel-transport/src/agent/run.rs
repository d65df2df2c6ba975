//! The agent's life: connect, serve, connect again.

use std::{
    fmt,
    future::{Future, IntoFuture, Pending, pending},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{
    Agent, AgentError, AgentService, Status,
    session::{self, End},
    workers::Workers,
};
use crate::dispatch::OnAccept;

/// A session that lasted this long, or carried an exchange, was useful: the delays start anew after it.
const USEFUL_AFTER: Duration = Duration::from_secs(10);
/// The delay after the gateway said that it does not want this agent: a person has to change something first.
const REFUSED_DELAY: Duration = Duration::from_secs(30);

/// The future of [`Agent::serve`]; await it. Dropping it drops the session, and every exchange of it.
///
/// It ends only when the first session is refused by the gateway (a wrong token, a group that it may not register), and
/// when it was told to stop. Anything else is tried again; see [`Agent::status`].
#[must_use = "an agent does nothing unless awaited"]
pub struct Serve<S, F = Pending<()>> {
    agent: Agent,
    service: S,
    stop: F,
}

impl<S> Serve<S> {
    pub(super) fn new(agent: Agent, service: S) -> Self {
        Self {
            agent,
            service,
            stop: pending(),
        }
    }

    /// Stops when `signal` is ready: takes nothing new, finishes what is open or meets the drain timeout, and ends.
    pub fn with_graceful_shutdown<F>(self, signal: F) -> Serve<S, F>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Serve {
            agent: self.agent,
            service: self.service,
            stop: signal,
        }
    }
}

impl<S, F> IntoFuture for Serve<S, F>
where
    S: AgentService + Sync,
    F: Future<Output = ()> + Send + 'static,
{
    type Output = Result<(), AgentError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let agent = self.agent.clone();
            let result = run(self).await;
            agent.0.status.send_replace(Status::Stopped);
            result
        })
    }
}

async fn run<S, F>(serve: Serve<S, F>) -> Result<(), AgentError>
where
    S: AgentService + Sync,
    F: Future<Output = ()> + Send + 'static,
{
    let Serve { agent, service, stop } = serve;
    let shared = &*agent.0;
    let mut stop = pin!(stop);
    let workers = Workers::new(service);
    let on_accept: OnAccept = Arc::new(move |accepted| workers.serve(accepted));
    let (mut failures, mut was_connected) = (0_u32, false);
    loop {
        shared.status.send_replace(Status::Connecting);
        let opened = tokio::select! {
            opened = session::open(shared) => opened,
            () = stop.as_mut() => return Ok(()),
        };
        let ended = match opened {
            Err(error) => Err(error),
            Ok(open) => {
                let (session, since) = (open.session.clone(), Instant::now());
                let ended = open.run(shared, on_accept.clone(), stop.as_mut()).await;
                was_connected |= ended.is_ok();
                if since.elapsed() >= USEFUL_AFTER || session.has_carried() {
                    failures = 0;
                }
                ended
            }
        };
        let error = match ended {
            Ok(End::Drained) => return Ok(()),
            Ok(End::Lost(error)) => error,
            Err(error) if error.is_refused() && !was_connected => return Err(error),
            Err(error) => error,
        };
        failures = failures.saturating_add(1);
        let retry_after = if error.is_refused() {
            Some(REFUSED_DELAY)
        } else {
            error.retry_after
        };
        let delay = shared.backoff.delay(failures, retry_after);
        warn!(agent.id = %shared.id, gateway = %shared.gateway, error = %Chain(&error), ?delay, "not connected");
        shared.status.send_replace(Status::Waiting {
            error: Arc::new(error),
            delay,
        });
        tokio::select! {
            () = sleep(delay) => {}
            () = stop.as_mut() => return Ok(()),
        }
    }
}

/// An error and its sources, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl<S, F> fmt::Debug for Serve<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}
