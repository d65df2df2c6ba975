//! HTTP/2: few connections, many exchanges on each.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};
use tunnel_core::TunnelError;

use crate::{
    net::windows,
    upstream::{
        builder::Settings,
        dial::{Connector, Io},
        error,
        failed::Failed,
        life::Life,
        offer::{Offer, Offering},
        tasks::Tasks,
        upload::Upload,
    },
};

/// The largest head of a response, in bytes, as HTTP/2 counts it (RFC 9113, section 6.5.2).
const HEAD_BYTES: u32 = 64 * 1024;

/// Connections that a request is tried on while none takes any of it: each may have been told to go away just now.
const ATTEMPTS: usize = 3;

/// Looks for idle and old connections are not closer together than this.
const SHORTEST_SWEEP: Duration = Duration::from_millis(10);

/// The connections to one upstream.
pub(super) struct H2cPool {
    connector: Connector,
    state: Mutex<State>,
    /// One request dials, and the others wait for what it gets.
    dialing: tokio::sync::Mutex<()>,
    freed: Arc<Notify>,
    max_connections: usize,
    elastic: bool,
    queue_timeout: Duration,
    dial_timeout: Duration,
    ping: Option<(Duration, Duration)>,
    idle_timeout: Duration,
    life: Life,
    tasks: Arc<Tasks>,
}

#[derive(Default)]
struct State {
    connections: Vec<Connection>,
    /// How often dialing has failed, and how the last time.
    failures: u64,
    last_failure: Option<TunnelError>,
    closed: bool,
    /// Whether somebody looks for connections that are idle or too old.
    swept: bool,
}

struct Connection {
    sender: SendRequest<Upload>,
    load: Arc<Load>,
    /// When it is too old to be used.
    dies: Option<Instant>,
    /// Whether an exchange has begun on it since the last look.
    used: bool,
    /// The last look at which it was in use.
    seen: Instant,
}

/// Exchanges on one connection.
#[derive(Debug)]
struct Load {
    running: AtomicUsize,
    /// As many as the upstream allows, and we.
    limit: AtomicUsize,
    /// Whether the upstream takes extended CONNECT.
    offer: Offer,
}

/// A place for one exchange on one connection, until both of its directions are over.
#[derive(Debug)]
pub(super) struct Slot {
    load: Arc<Load>,
    freed: Arc<Notify>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.load.running.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }
}

impl H2cPool {
    pub(super) fn new(connector: Connector, settings: &Settings, tasks: Arc<Tasks>) -> Arc<Self> {
        Arc::new(Self {
            connector,
            state: Mutex::default(),
            dialing: tokio::sync::Mutex::new(()),
            freed: Arc::new(Notify::new()),
            max_connections: settings.max_connections.http2,
            elastic: settings.elastic,
            queue_timeout: settings.queue_timeout,
            dial_timeout: settings.dial_timeout,
            ping: settings.ping,
            idle_timeout: settings.http2_idle_timeout(),
            life: Life::new(settings.max_life),
            tasks,
        })
    }

    /// One exchange, until the head of its response. Dropping the future resets its stream.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Arc<Slot>), Failed> {
        let mut attempt = 1;
        loop {
            let (mut sender, slot) = match self.acquire().await {
                Ok(found) => found,
                Err(error) => return Err(Failed::unsent(error, request)),
            };
            if *request.method() == Method::CONNECT {
                self.check_offer(&slot).await?;
            }
            request.body_mut().hold(Some(Arc::clone(&slot) as _));
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, slot)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if attempt < ATTEMPTS => request = unsent,
                    Some(mut unsent) => {
                        unsent.body_mut().hold(None);
                        return Err(Failed::unsent(error::unsent(failed.into_error()), unsent));
                    }
                    None => return Err(error::broken(failed.into_error()).into()),
                },
            }
            request.body_mut().hold(None);
            attempt += 1;
        }
    }

    /// Waits until it is known whether the upstream takes extended CONNECT.
    async fn check_offer(&self, slot: &Slot) -> Result<(), TunnelError> {
        let mut offer = slot.load.offer.clone();
        let known = offer.wait_for(Option::is_some);
        match timeout(self.dial_timeout, known).await {
            Ok(Ok(offered)) if *offered == Some(true) => Ok(()),
            Ok(Ok(_)) => Err(error::not_upgradable()),
            Ok(Err(closed)) => Err(error::unreachable(closed)),
            Err(elapsed) => Err(error::unreachable(elapsed)),
        }
    }

    /// A connection with room, made if need be.
    async fn acquire(self: &Arc<Self>) -> Result<(SendRequest<Upload>, Arc<Slot>), TunnelError> {
        let deadline = Instant::now() + self.queue_timeout;
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            let failures = {
                let mut state = self.lock();
                if state.closed {
                    return Err(error::closed());
                }
                if let Some(found) = state.pick(&self.freed) {
                    return Ok(found);
                }
                let may_dial = self.elastic || state.connections.len() < self.max_connections;
                may_dial.then_some(state.failures)
            };
            match failures {
                Some(failures) => self.dial(failures).await?,
                None => timeout_at(deadline, freed)
                    .await
                    .map_err(|_| error::overloaded())?,
            }
        }
    }

    /// Makes one more connection, unless another request has done so meanwhile, or has failed to.
    async fn dial(self: &Arc<Self>, failures: u64) -> Result<(), TunnelError> {
        let _turn = self.dialing.lock().await;
        {
            let mut state = self.lock();
            if state.failures != failures {
                return state.last_failure.clone().map_or(Ok(()), Err);
            }
            if state.has_room() {
                return Ok(());
            }
        }
        match self.connect().await {
            Ok(connection) => {
                let mut state = self.lock();
                if state.closed {
                    return Err(error::closed());
                }
                state.connections.push(connection);
                if !state.swept {
                    state.swept = true;
                    tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout, self.life));
                }
                Ok(())
            }
            Err(error) => {
                let mut state = self.lock();
                state.failures += 1;
                state.last_failure = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, TunnelError> {
        let (io, offer) = Offering::new(self.connector.connect().await?);
        let io = TokioIo::new(io);
        let mut builder = http2::Builder::new(Spawn {
            tasks: Arc::clone(&self.tasks),
            has_connection: Arc::default(),
        });
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(windows::EDGE_STREAM_WINDOW)
            .initial_connection_window_size(windows::CONNECTION_WINDOW)
            .adaptive_window(false)
            .max_header_list_size(HEAD_BYTES)
            .max_send_buf_size(windows::EDGE_SEND_BUFFER)
            .initial_max_send_streams(windows::EDGE_MAX_STREAMS as usize);
        if let Some((interval, timeout)) = self.ping {
            builder.keep_alive_interval(interval).keep_alive_timeout(timeout);
        }
        let (sender, connection) = builder.handshake(io).await.map_err(error::unreachable)?;
        let load = Arc::new(Load {
            running: AtomicUsize::new(0),
            limit: AtomicUsize::new(windows::EDGE_MAX_STREAMS as usize),
            offer,
        });
        let task = tokio::spawn(drive(connection, Arc::clone(&load)));
        self.tasks.add(task.abort_handle());
        Ok(Connection {
            sender,
            load,
            dies: self.life.end(),
            used: true,
            seen: Instant::now(),
        })
    }

    /// Makes up to so many connections before they are needed. Ends at the first that cannot be made.
    pub(super) async fn prepare(self: &Arc<Self>, connections: usize) {
        for _ in 0..connections.min(self.max_connections) {
            let Ok(connection) = self.connect().await else {
                return;
            };
            let mut state = self.lock();
            if state.closed {
                return;
            }
            state.connections.push(connection);
            if !state.swept {
                state.swept = true;
                tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout, self.life));
            }
        }
    }

    /// Whether a request would find a place at once, as far as is known.
    pub(super) fn has_room(&self) -> bool {
        let mut state = self.lock();
        self.elastic || state.connections.len() < self.max_connections || state.has_room()
    }

    /// Takes nothing new. Connections close when their exchanges are over.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.connections.clear();
        drop(state);
        self.freed.notify_waiters();
    }

    /// Lets connections go that are too old, or on which nothing has run for a while; when to come again, if any are left.
    fn sweep(&self, pause: Duration) -> Option<Duration> {
        let mut state = self.lock();
        let now = Instant::now();
        state.connections.retain_mut(|connection| {
            let is_running = connection.load.running.load(Ordering::Acquire) > 0;
            if std::mem::replace(&mut connection.used, is_running) || is_running {
                connection.seen = now;
            }
            let is_idle = now.saturating_duration_since(connection.seen) >= self.idle_timeout / 2;
            let is_old = connection.dies.is_some_and(|dies| dies <= now);
            !is_idle && !is_old && !connection.sender.is_closed()
        });
        state.swept = !state.connections.is_empty();
        let oldest = state.connections.iter().filter_map(|one| one.dies).min();
        let pause = oldest.map_or(pause, |dies| pause.min(dies.saturating_duration_since(now)));
        state.swept.then_some(pause)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The open connection with the fewest exchanges, if it has room.
    fn least_loaded(&mut self) -> Option<&mut Connection> {
        self.connections
            .retain(|connection| !connection.sender.is_closed());
        self.connections
            .iter_mut()
            .min_by_key(|connection| connection.load.running.load(Ordering::Acquire))
            .filter(|connection| connection.load.has_room())
    }

    fn has_room(&mut self) -> bool {
        self.least_loaded().is_some()
    }

    fn pick(&mut self, freed: &Arc<Notify>) -> Option<(SendRequest<Upload>, Arc<Slot>)> {
        let connection = self.least_loaded()?;
        connection.used = true;
        // Only this adds, under the lock of the pool.
        connection.load.running.fetch_add(1, Ordering::AcqRel);
        let slot = Slot {
            load: Arc::clone(&connection.load),
            freed: Arc::clone(freed),
        };
        Some((connection.sender.clone(), Arc::new(slot)))
    }
}

impl Load {
    fn has_room(&self) -> bool {
        self.running.load(Ordering::Acquire) < self.limit.load(Ordering::Acquire)
    }
}

/// Runs while there are connections. One goes when nothing has run on it for half of the time at the least and all of it at the
/// most.
async fn sweep(pool: Weak<H2cPool>, idle_timeout: Duration, life: Life) {
    let usual = (idle_timeout.min(life.longest()) / 2).max(SHORTEST_SWEEP);
    let mut pause = usual;
    loop {
        sleep(pause).await;
        let next = pool.upgrade().and_then(|pool| pool.sweep(usual));
        let Some(next) = next else { return };
        pause = next.max(SHORTEST_SWEEP);
    }
}

/// Runs what hyper spawns. The first task of a connection is the connection itself, which has to end when all end; the others belong
/// to its exchanges, and end with it.
#[derive(Clone)]
struct Spawn {
    tasks: Arc<Tasks>,
    has_connection: Arc<AtomicBool>,
}

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        let task = tokio::spawn(future);
        // Asked for each exchange, so without a write.
        if !self.has_connection.load(Ordering::Relaxed) {
            self.has_connection.store(true, Ordering::Relaxed);
            self.tasks.add(task.abort_handle());
        }
    }
}

/// Runs the connection, and learns from each poll how many exchanges the upstream allows.
async fn drive(connection: http2::Connection<TokioIo<Offering<Io>>, Upload, Spawn>, load: Arc<Load>) {
    let mut connection = pin!(connection);
    let ended = std::future::poll_fn(|cx| {
        let polled = connection.as_mut().poll(cx);
        let allowed = connection.current_max_send_streams();
        load.limit
            .store(allowed.min(windows::EDGE_MAX_STREAMS as usize), Ordering::Release);
        polled
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "connection to the upstream ended with an error");
    }
}
