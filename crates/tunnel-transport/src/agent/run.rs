//! The agent's life: its gateways, as many as there are.

use std::{
    fmt,
    future::{Future, IntoFuture, Pending, pending},
    pin::{Pin, pin},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{Agent, AgentError, AgentService, Status, fleet::Fleet, workers::Workers};
use crate::dispatch::OnAccept;

/// The future of [`Agent::serve`]; await it. Dropping it drops the sessions, and every exchange of them.
///
/// It ends only when a gateway refuses the first session (a wrong token, a group that the agent may not register) and no other
/// gateway has taken the agent, and when it was told to stop. Anything else is tried again; see [`Agent::status`].
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
            agent.0.board.status().send_replace(Status::Stopped);
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
    let workers = Workers::new(move |accepted| service.clone().handle(accepted));
    let on_accept: OnAccept = Arc::new(move |accepted| workers.serve(accepted));
    agent.0.configs.start().await;
    let asked = CancellationToken::new();
    let mut fleet = pin!(Fleet::new(&agent, on_accept, asked.clone()).run());
    tokio::select! {
        biased;
        ended = &mut fleet => return ended,
        () = stop => asked.cancel(),
    }
    fleet.await
}

impl<S, F> fmt::Debug for Serve<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}
