//! An agent of a test.

use std::{fmt, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tunnel_core::{Cause, Initiator, Session, TunnelError};

use super::Link;
use crate::{Agent, AgentBuilder, AgentService};

/// An agent of a [`Tunnel`](super::Tunnel). It ends with the value.
pub struct TestAgent {
    plan: Plan,
    link: Link,
    running: Option<Running>,
    agent: Agent,
}

/// How to run it, each time anew.
#[derive(Clone)]
pub(super) struct Plan {
    describe: Arc<dyn Fn() -> AgentBuilder + Send + Sync>,
    run: Arc<Run>,
}

/// Serves until it is told to stop.
type Run = dyn Fn(&Agent, CancellationToken) -> JoinHandle<()> + Send + Sync;

struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Plan {
    pub(super) fn new(
        describe: impl Fn() -> AgentBuilder + Send + Sync + 'static,
        service: impl AgentService + Sync,
    ) -> Self {
        let run = move |agent: &Agent, stop: CancellationToken| {
            let serve = agent.serve(service.clone());
            let serve = serve.with_graceful_shutdown(stop.cancelled_owned());
            tokio::spawn(async move {
                if let Err(error) = serve.await {
                    panic!("an agent of the test ended: {error}");
                }
            })
        };
        Self {
            describe: Arc::new(describe),
            run: Arc::new(run),
        }
    }

    fn build(&self, link: &Link) -> Agent {
        let agent = (self.describe)().dialer(link.dialer()).build();
        agent.expect("the agent's settings are right")
    }
}

impl TestAgent {
    pub(super) fn new(plan: Plan, link: Link) -> Self {
        let agent = plan.build(&link);
        let mut this = Self {
            plan,
            link,
            running: None,
            agent,
        };
        this.run();
        this
    }

    fn run(&mut self) {
        let stop = CancellationToken::new();
        let task = (self.plan.run)(&self.agent, stop.clone());
        self.running = Some(Running { task, stop });
    }

    /// The agent itself.
    #[must_use]
    pub const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// What lies between it and its gateway.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Whether it runs: it was not killed, and has not stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| !running.task.is_finished())
    }

    /// Its sessions: one, while it is connected.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.agent.sessions()
    }

    /// Loses the lane with this number, from 0 on, of each of its sessions; what it carried fails, and the agent opens it again.
    ///
    /// # Panics
    ///
    /// If no session has such a lane.
    pub fn lose_lane(&self, index: u32) {
        let mut lost = false;
        for session in self.sessions() {
            for lane in session.lanes() {
                if lane.index() == index {
                    session.lose_lane(&lane, &by_the_test("the lane was lost"));
                    lost = true;
                }
            }
        }
        assert!(lost, "the agent has no lane {index}");
    }

    /// Ends its sessions. It connects again.
    pub fn drop_session(&self) {
        for session in self.sessions() {
            session.close(&by_the_test("the session was dropped"));
        }
    }

    /// Drops it, as when its process is killed.
    pub async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.task.abort();
            // It was cancelled, or had ended before.
            let _ = (&mut running.task).await;
        }
    }

    /// Stops it in order: it takes nothing new, finishes what it has, and ends.
    ///
    /// # Panics
    ///
    /// If it failed.
    pub async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.stop.cancel();
            let ended = (&mut running.task).await;
            assert!(ended.is_ok(), "the agent failed: {ended:?}");
        }
    }

    /// Runs it anew, as another process with the same name.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.agent = self.plan.build(&self.link);
        self.run();
    }
}

fn by_the_test(text: &'static str) -> TunnelError {
    TunnelError::new(Cause::AgentLost, Initiator::Tunnel, text)
}

impl fmt::Debug for TestAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAgent")
            .field("agent", &self.agent)
            .field("link", &self.link)
            .field("is_running", &self.is_running())
            .finish_non_exhaustive()
    }
}
