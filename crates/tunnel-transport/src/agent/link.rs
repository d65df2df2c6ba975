//! One address of a gateway: connect, serve, connect again.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tunnel_core::Direction;

use super::{
    AgentError, Shared, Status,
    board::Seat,
    error::Chain,
    session::{self, End, OpenSession},
    target::Place,
};
use crate::{dispatch::OnAccept, metrics};

/// A session that lasted this long, or carried an exchange, was useful: the delays start anew after it.
const USEFUL_AFTER: Duration = Duration::from_secs(10);
/// The delay after the gateway said that it does not want this agent: a person has to change something first.
const REFUSED_DELAY: Duration = Duration::from_secs(30);
/// The delay where another link has a session with the same gateway, unless that one ends.
const SAME_DELAY: Duration = Duration::from_secs(60);
/// Tries after which a gateway that says that it has a session of ours means that of another link: one that died would have been
/// suspected by then.
const MAX_STALE: u32 = 3;
/// Sessions with gateways that leave, which finish while the next one is there. Beyond that the link waits for one of them.
const MAX_LEAVING: usize = 4;

/// Keeps a session with one address, as long as that is wanted.
pub(super) struct Link {
    pub(super) agent: Arc<Shared>,
    pub(super) place: Place,
    pub(super) seat: Arc<Seat>,
    pub(super) on_accept: OnAccept,
    /// The agent stops.
    pub(super) stop: CancellationToken,
    /// False once the gateway's name does not lead here any more; the session that there is stays.
    pub(super) wanted: watch::Receiver<bool>,
    /// Told whenever the addresses of the gateway may have changed.
    pub(super) look: Arc<Notify>,
    /// Whether it has had a session.
    pub(super) was_connected: AtomicBool,
}

/// How a session ended, or what it says before it does.
enum News {
    /// It ended, or was never opened; whether it was useful.
    Over(Result<End, AgentError>, bool),
    /// Its gateway leaves, and it goes on until that is gone.
    Leaves,
}

impl Link {
    /// Runs until the agent stops or the address is not wanted.
    ///
    /// An error is that of a gateway that refused the agent when there was nothing else to hope for.
    pub(super) async fn run(mut self) -> Result<(), AgentError> {
        let mut leaving = JoinSet::new();
        let ended = self.connect_again_and_again(&mut leaving).await;
        // Each ends with its gateway, or drains when the agent stops.
        while let Some(ended) = leaving.join_next().await {
            ended.unwrap_or_else(panicked);
        }
        ended
    }

    async fn connect_again_and_again(&mut self, leaving: &mut JoinSet<()>) -> Result<(), AgentError> {
        let (mut failures, mut stale) = (0_u32, 0_u32);
        while *self.wanted.borrow_and_update() && !self.stop.is_cancelled() {
            while let Some(ended) = leaving.try_join_next() {
                ended.unwrap_or_else(panicked);
            }
            if leaving.len() >= MAX_LEAVING {
                leaving.join_next().await.transpose().unwrap_or_else(panicked);
            }
            let mut ended = self.seat.ended();
            self.seat.say(Status::Connecting);
            let news = self.session(leaving).await;
            if matches!(news, News::Over(Err(_), _)) {
                metrics::failed_to_connect();
            }
            let error = match news {
                News::Over(Ok(End::Drained), _) => return Ok(()),
                News::Leaves => {
                    (failures, stale) = (0, 0);
                    None
                }
                News::Over(Ok(End::Lost(error)), was_useful) => {
                    if was_useful {
                        (failures, stale) = (0, 0);
                    }
                    Some(error)
                }
                News::Over(Err(error), _) if error.is_refused() && self.seat.is_hopeless() => {
                    return Err(error);
                }
                News::Over(Err(error), _) => Some(error),
            };
            failures = failures.saturating_add(1);
            stale += u32::from(error.as_ref().is_some_and(AgentError::is_same));
            let after = error.as_ref().and_then(|error| self.retry_after(error, stale));
            let delay = self.agent.backoff.delay(failures, after);
            if let Some(error) = error {
                self.tell(error, failures, delay);
            }
            self.look.notify_one();
            tokio::select! {
                () = sleep(delay) => {}
                _ = self.wanted.wait_for(|wanted| !wanted) => {}
                () = self.stop.cancelled() => {}
                // The one that we were refused for may be gone.
                _ = ended.changed(), if stale > 0 => stale = 0,
            }
        }
        Ok(())
    }

    /// The least time until the next try, after so many of them that found a session of ours at the gateway.
    fn retry_after(&self, error: &AgentError, stale: u32) -> Option<Duration> {
        let is_others = || stale > MAX_STALE && self.seat.others_are_connected();
        if error.is_refused() {
            Some(REFUSED_DELAY)
        } else if error.is_same() && (error.retry_after.is_none() || is_others()) {
            Some(SAME_DELAY)
        } else {
            error.retry_after
        }
    }

    /// Says why there is no session. It is no news where the next one fails as well while others are there.
    fn tell(&self, error: AgentError, failures: u32, delay: Duration) {
        let (agent, place) = (&self.agent.id, &self.place);
        if error.is_same() || (failures > 1 && self.seat.others_are_connected()) {
            debug!(agent.id = %agent, gateway = %place, error = %Chain(&error), ?delay, "not connected");
        } else {
            warn!(agent.id = %agent, gateway = %place, error = %Chain(&error), ?delay, "not connected");
        }
        self.seat.say(Status::Waiting {
            error: Arc::new(error),
            delay,
        });
    }

    /// Opens a session, and runs it.
    async fn session(&self, leaving: &mut JoinSet<()>) -> News {
        let opened = tokio::select! {
            opened = session::open(&self.agent, &self.place) => opened,
            () = self.stop.cancelled() => return News::Over(Ok(End::Drained), false),
        };
        let open = match opened {
            Ok(open) => open,
            Err(error) => return News::Over(Err(error), false),
        };
        if !self.seat.hold(open.gateway_id(), &open.session) {
            let text = format!("another address leads to the same gateway, {}", open.gateway_id());
            open.give_up().await;
            return News::Over(Err(AgentError::same(text)), false);
        }
        if self.was_connected.swap(true, Ordering::Relaxed) {
            metrics::reconnected();
        }
        let (leaves, mut left) = oneshot::channel();
        let mut current = JoinSet::new();
        current.spawn(self.serve(open, leaves));
        tokio::select! {
            Some(ended) = current.join_next() => ended.unwrap_or_else(panicked),
            Ok(()) = &mut left => {
                self.seat.release();
                info!(agent.id = %self.agent.id, gateway = %self.place, "the gateway leaves; looking for another one");
                leaving.spawn(async move {
                    while let Some(ended) = current.join_next().await {
                        let _: News = ended.unwrap_or_else(panicked);
                    }
                });
                News::Leaves
            }
        }
    }

    fn serve(
        &self,
        open: OpenSession,
        leaves: oneshot::Sender<()>,
    ) -> impl Future<Output = News> + Send + use<> {
        let (agent, place, seat) = (self.agent.clone(), self.place.clone(), self.seat.clone());
        let (on_accept, stop) = (self.on_accept.clone(), self.stop.clone());
        async move {
            let (session, since) = (open.session.clone(), Instant::now());
            let _told = Told::new();
            let ended = open.run(&agent, &place, &seat, on_accept, stop, leaves).await;
            let was_useful = since.elapsed() >= USEFUL_AFTER || session.has_carried();
            seat.lost(&session);
            News::Over(ended, was_useful)
        }
    }
}

/// Tells that there is a session, and then that there is none any more.
struct Told;

impl Told {
    fn new() -> Self {
        metrics::started(Direction::ClientToServer);
        Self
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        metrics::ended(Direction::ClientToServer);
    }
}

/// Goes on with a panic of a task; one that was aborted belongs to an agent that is gone.
pub(super) fn panicked<T>(error: JoinError) -> T {
    resume_unwind(error.into_panic())
}
