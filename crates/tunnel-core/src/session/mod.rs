//! One agent connection: its exchanges, its lanes, and what it takes from its peer.
//!
//! A session is the same at both ends; only who opens exchanges of which [`Direction`] differs. It does no I/O: whoever
//! reads a `Proxy` stream gives each message to [`Session::handle`], which never waits, and whoever writes one takes
//! messages from [`Lane::poll_next`].

mod closing;
mod handle;
mod late;
mod oldest;
mod suspect;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use http::HeaderValue;

pub use self::{
    closing::LaneGuard,
    handle::Accepted,
    late::{LATE_FOR, MAX_UNEXPECTED_BYTES, MAX_UNEXPECTED_MESSAGES},
};
use self::{
    suspect::Suspicion,
    table::{Phase, Table},
};
use crate::{
    admit::HostMemo,
    error::{Cause, Initiator, Sent, TunnelError},
    exchange::{Begun, Exchange, Place, Places, RecvHalf, SendHalf},
    flow::{CreditBudget, RecvCredit, SendCredit},
    head::Protocol,
    id::{AgentId, InstanceId, RequestId, SessionId},
    lane::Lane,
    message::Direction,
    record::Mark,
    runtime::{BoxTask, Runtime},
    settings::{Features, Settings},
    sync::lock,
    tally::Tally,
};

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The name that the gateway gave it.
    pub id: SessionId,
    /// The agent's name.
    pub agent: AgentId,
    /// The agent's process.
    pub instance: InstanceId,
    /// Which exchanges this end opens.
    pub opens: Direction,
    /// What this end takes.
    pub local: Settings,
    /// What the other end takes.
    pub remote: Settings,
    /// What both ends can do.
    pub features: Features,
    /// Where the credit comes from that this end grants.
    pub budget: CreditBudget,
    /// Time, ids and tasks.
    pub runtime: Arc<dyn Runtime>,
}

/// One agent connection. Cheap to clone; all clones are the same session.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    config: SessionConfig,
    /// That of the agent's name.
    mark: Mark,
    tally: Tally,
    max_chunk: usize,
    since: Instant,
    /// Exchanges that this end opened and that still count against the limit of the other.
    opened: Arc<Places>,
    /// Exchanges that the other end opened and that still count against our limit.
    accepted: Arc<Places>,
    /// The shortest round trip seen, in microseconds; [`NEVER`] until there is one.
    round_trip: AtomicU64,
    /// The last one.
    last_round_trip: AtomicU64,
    /// What the table says of it, for those who only ask. Changed under its lock.
    is_available: AtomicBool,
    /// Whether an exchange was ever opened, by either end.
    has_carried: AtomicBool,
    suspicion: Suspicion,
    hosts: HostMemo,
    table: Mutex<Table>,
}

const NEVER: u64 = u64::MAX;

impl Session {
    /// A session without lanes.
    #[must_use]
    pub fn new(config: SessionConfig) -> Self {
        Self::tallied(config, Tally::new())
    }

    /// The same, which counts with others.
    #[must_use]
    pub fn tallied(mut config: SessionConfig, tally: Tally) -> Self {
        (config.local, config.remote) = (config.local.clamped(), config.remote.clamped());
        let max_chunk = config.local.max_chunk.min(config.remote.max_chunk) as usize;
        Self(Arc::new(Inner {
            since: config.runtime.now(),
            config,
            mark: Mark::default(),
            tally,
            max_chunk,
            opened: Arc::default(),
            accepted: Arc::default(),
            round_trip: AtomicU64::new(NEVER),
            last_round_trip: AtomicU64::new(NEVER),
            is_available: AtomicBool::new(false),
            has_carried: AtomicBool::new(false),
            suspicion: Suspicion::default(),
            hosts: HostMemo::default(),
            table: Mutex::new(Table::new()),
        }))
    }

    /// The session's name.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.config.id
    }

    /// Which exchanges this end opens.
    #[must_use]
    pub fn opens(&self) -> Direction {
        self.0.config.opens
    }

    /// The host that its requests came for first.
    pub(crate) fn hosts(&self) -> &HostMemo {
        &self.0.hosts
    }

    /// Where it counts.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// The agent's name.
    #[must_use]
    pub fn agent(&self) -> &AgentId {
        &self.0.config.agent
    }

    /// For records.
    pub(crate) fn mark(&self) -> &Mark {
        &self.0.mark
    }

    /// The agent's process.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.0.config.instance
    }

    /// What this end takes.
    #[must_use]
    pub fn local_settings(&self) -> Settings {
        self.0.config.local
    }

    /// What the other end takes.
    #[must_use]
    pub fn remote_settings(&self) -> Settings {
        self.0.config.remote
    }

    /// What both ends can do.
    #[must_use]
    pub fn features(&self) -> Features {
        self.0.config.features
    }

    /// The largest piece of body that may be sent, in bytes: the smaller of the two ends' settings.
    #[must_use]
    pub fn max_chunk(&self) -> usize {
        self.0.max_chunk
    }

    /// Exchanges that this end has open with the other, in and beyond the table: the load for balancing.
    #[must_use]
    pub fn load(&self) -> usize {
        self.0.opened.taken()
    }

    /// Whether an exchange could be opened now. Another caller may take the last place before you do.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.load() < self.0.config.remote.max_exchanges as usize && self.is_available()
    }

    /// Wakes the task when an exchange that this end opened has left its place, once. Look at [`has_room`](Self::has_room) after
    /// this, before you wait. Any number of tasks may watch, and some are woken without a reason.
    pub fn watch_room(&self, waker: &Waker) {
        self.0.opened.watch(waker);
    }

    /// Whether the session takes new exchanges: it is not draining, and has a lane.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.0.is_available.load(Ordering::Acquire)
    }

    /// Counts a change of the phase or of the lanes. Who is returned must be woken, once nothing is locked.
    #[must_use = "the watchers must be woken"]
    fn changed(&self, table: &mut Table) -> Vec<Waker> {
        self.0.is_available.store(table.is_available(), Ordering::Release);
        table.changed()
    }

    /// Entries in the pending table: exchanges for which a message may still come or go.
    #[must_use]
    pub fn pending(&self) -> usize {
        lock(&self.0.table).exchanges.len()
    }

    /// Whether an exchange was ever opened here, by either end.
    #[must_use]
    pub fn has_carried(&self) -> bool {
        self.0.has_carried.load(Ordering::Relaxed)
    }

    /// The shortest round trip that a lane's ping has seen.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        known(&self.0.round_trip)
    }

    /// The round trip that a lane's ping has seen last.
    #[must_use]
    pub fn last_round_trip(&self) -> Option<Duration> {
        known(&self.0.last_round_trip)
    }

    /// The lanes that are open.
    #[must_use]
    pub fn lanes(&self) -> Vec<Lane> {
        let table = lock(&self.0.table);
        table
            .lanes
            .iter()
            .filter(|lane| !lane.is_closed())
            .cloned()
            .collect()
    }

    /// For how long the session has been there.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.now().saturating_duration_since(self.0.since)
    }

    /// Notes a round trip.
    pub fn on_round_trip(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(NEVER - 1);
        self.0.round_trip.fetch_min(micros, Ordering::Relaxed);
        self.0.last_round_trip.store(micros, Ordering::Relaxed);
    }

    /// Time, random bits and tasks, as the transport gives them.
    #[must_use]
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.0.config.runtime
    }

    /// Spawns a task on the transport's runtime.
    pub fn spawn(&self, task: BoxTask) {
        self.0.config.runtime.spawn(task);
    }

    /// Whether an exchange carries frames of WebSocket after its upgrade, and not bytes.
    fn is_framed(&self, protocol: Protocol, upgrade: Option<&HeaderValue>) -> bool {
        protocol == Protocol::WebSocket
            && self.0.config.features.contains(Features::WEBSOCKET_FRAMES)
            && upgrade.is_some_and(|asked| asked.as_bytes().eq_ignore_ascii_case(b"websocket"))
    }

    pub(crate) fn random(&self) -> [u8; 16] {
        self.0.config.runtime.random()
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.config.runtime.now()
    }

    /// Adds a lane, in place of a closed one with the same number, or of one that is [suspect](Lane::is_suspect): that is then lost.
    ///
    /// # Errors
    ///
    /// The session is closed, or has an open lane with this number that is alive.
    pub fn add_lane(&self, index: u32) -> Result<Lane, TunnelError> {
        self.lose_suspect_lane(index);
        let mut table = lock(&self.0.table);
        if let Phase::Closed(error) = &table.phase {
            return Err(error.clone());
        }
        if table
            .lanes
            .iter()
            .any(|lane| lane.index() == index && !lane.is_closed())
        {
            return Err(TunnelError::new(
                Cause::Protocol,
                Initiator::Peer,
                "the session has this lane already",
            ));
        }
        table.lanes.retain(|lane| !lane.is_closed());
        let lane = Lane::new(index, self.0.max_chunk);
        table.lanes.push(lane.clone());
        self.0.suspicion.of_lanes(&table.lanes);
        let watchers = self.changed(&mut table);
        drop(table);
        watchers.into_iter().for_each(Waker::wake);
        Ok(lane)
    }

    /// Opens an exchange that asks to switch to the protocol `upgrade`, if any. `is_eager` is false for a request whose body waits
    /// for `100 (Continue)`: then the other end grants credit only when somebody wants the body.
    ///
    /// The result is what the head has to announce as credit for the response, and the two halves.
    ///
    /// # Errors
    ///
    /// The session is closed or draining, has no lane, or has no room; nothing was sent then.
    pub fn open(
        &self,
        protocol: Protocol,
        upgrade: Option<&HeaderValue>,
        is_eager: bool,
    ) -> Result<(u32, SendHalf, RecvHalf), TunnelError> {
        self.open_for(None, protocol, upgrade, is_eager)
    }

    /// The same for a request that has matched this rule, for [`oldest`](Self::oldest).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_for(
        &self,
        rule: Option<Arc<str>>,
        protocol: Protocol,
        upgrade: Option<&HeaderValue>,
        is_eager: bool,
    ) -> Result<(u32, SendHalf, RecvHalf), TunnelError> {
        let SessionConfig {
            local,
            remote,
            budget,
            runtime,
            opens,
            ..
        } = &self.0.config;
        let place =
            Place::take(&self.0.opened, remote.max_exchanges as usize).ok_or_else(|| no_room(*opens))?;
        let recv_credit = RecvCredit::grant(budget, local.initial_credit);
        let granted = u32::try_from(recv_credit.outstanding()).unwrap_or(local.initial_credit);
        let send_credit = SendCredit::new(
            if is_eager { remote.initial_credit } else { 0 },
            remote.initial_credit,
        );
        let since = runtime.now();
        let id = runtime.request_id(since);

        let mut table = lock(&self.0.table);
        match &table.phase {
            Phase::Active => {}
            Phase::Draining => return Err(draining(*opens)),
            Phase::Closed(error) => return Err(error.clone().with_sent(Sent::No)),
        }
        let lane = table.least_loaded().ok_or_else(|| no_lane(*opens))?;
        let exchange = Arc::new(Exchange::new(Begun {
            session: self.clone(),
            lane,
            id,
            direction: *opens,
            protocol,
            is_framed: self.is_framed(protocol, upgrade),
            opener: true,
            rule,
            since,
            send_credit,
            recv_credit,
            end: None,
            place,
        }));
        table.exchanges.insert(id, exchange.clone());
        drop(table);
        self.0.has_carried.store(true, Ordering::Relaxed);
        self.0.tally.opened(granted as usize);
        Ok((granted, SendHalf::new(exchange.clone()), RecvHalf::new(exchange)))
    }

    /// Takes an entry out of the table. `outstanding` is the credit that the peer may still believe it has.
    pub(crate) fn remove(&self, id: RequestId, outstanding: usize) {
        let now = self.now();
        let (entry, watchers) = {
            let mut table = lock(&self.0.table);
            let entry = table.exchanges.remove(&id);
            table.late.allow(now, outstanding);
            let watchers = if table.exchanges.is_empty() {
                std::mem::take(&mut table.idle_watchers)
            } else {
                Vec::new()
            };
            (entry, watchers)
        };
        drop(entry);
        watchers.into_iter().for_each(Waker::wake);
    }
}

fn known(micros: &AtomicU64) -> Option<Duration> {
    match micros.load(Ordering::Relaxed) {
        NEVER => None,
        micros => Some(Duration::from_micros(micros)),
    }
}

fn no_room(opens: Direction) -> TunnelError {
    let text = match opens {
        Direction::ServerToClient => "the agent has no room for another exchange",
        Direction::ClientToServer => "the gateway has no room for another exchange of this agent",
    };
    TunnelError::new(Cause::Overloaded, Initiator::Tunnel, text).with_sent(Sent::No)
}

fn no_lane(opens: Direction) -> TunnelError {
    let text = match opens {
        Direction::ServerToClient => "the agent's stream was lost",
        Direction::ClientToServer => "the stream to the gateway was lost",
    };
    TunnelError::new(Cause::AgentLost, Initiator::Tunnel, text).with_sent(Sent::No)
}

/// Either end may be the one that stops.
fn draining(opens: Direction) -> TunnelError {
    let text = match opens {
        Direction::ServerToClient => "the agent is stopping",
        Direction::ClientToServer => "the session with the gateway is ending",
    };
    TunnelError::new(Cause::Draining, Initiator::Tunnel, text).with_sent(Sent::No)
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("agent", self.agent())
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}
