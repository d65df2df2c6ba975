//! One session: registration, lanes, heartbeat, the end.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Streaming};
use tracing::{info, warn};
use tunnel_core::{
    Cause, Direction, Features, Initiator, LaneKey, Session, SessionConfig, SessionId, TunnelError,
};

use super::{
    AgentError, Shared, Status, board::Seat, config::Updates, connect::Connection, lanes, target::Place,
    token::Shown,
};
use crate::{
    dispatch::{
        Control, ControlStream, Event, Messages, OnAccept, REVISION, channel, control, session_settings,
        wire_settings,
    },
    generated::{self as pb, tunnel_message::Payload},
    heartbeat::Heartbeat,
    runtime::TokioRuntime,
};

/// How long a gateway that has nothing open any more may take to end the lanes of an agent that drains.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the gateway has to take what was written last, and to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How a session ended that had been opened.
#[derive(Debug)]
pub(super) enum End {
    /// It was lost.
    Lost(AgentError),
    /// It was drained, because the agent stops.
    Drained,
}

/// A session that is open.
pub(super) struct OpenSession {
    pub(super) session: Session,
    pub(super) connection: Connection,
    pub(super) lane_key: LaneKey,
    pub(super) heartbeat: Heartbeat,
    control: ControlStream,
    shown: Shown,
    updates: Updates,
    gateway_id: String,
    lanes: u32,
}

/// Connects and registers.
pub(super) async fn open(agent: &Shared, place: &Place) -> Result<OpenSession, AgentError> {
    let shown = agent.token.first().await?;
    let mut connection = Connection::dial(agent, place).await?;
    let (sender, receiver) = channel();
    let hello = control(Payload::StreamOpen(hello(agent)));
    // The queue is empty.
    let _ = sender.try_send(Ok(hello));
    let mut request = Request::new(Messages(Control(receiver)));
    if let Some(token) = shown.value() {
        request
            .metadata_mut()
            .as_mut()
            .insert(http::header::AUTHORIZATION, token.clone());
    }
    let opening = async {
        let response = connection.client.control_stream(request).await;
        let not_opened = |status| AgentError::from_status(status).at(&place.target.named);
        let mut stream = response.map_err(not_opened)?.into_inner();
        let first = stream.message().await.map_err(AgentError::from_status)?;
        Ok((stream, first.and_then(|message| message.payload)))
    };
    let too_late = |_| AgentError::connect(format!("{place} did not open a session in time"));
    let (stream, first) = timeout(agent.connect_timeout, opening)
        .await
        .map_err(too_late)??;
    let answer = match first {
        Some(Payload::StreamOpenResponse(answer)) => answer,
        Some(Payload::ErrorMessage(error)) => return Err(AgentError::from_message(&error)),
        _ => return Err(AgentError::lost("the gateway did not answer stream_open")),
    };
    build(agent, connection, stream, sender, shown, &answer)
}

fn hello(agent: &Shared) -> pb::StreamOpen {
    pb::StreamOpen {
        revision: REVISION,
        agent_id: agent.id.to_string(),
        instance_id: agent.instance.to_string(),
        groups: agent.groups.iter().map(ToString::to_string).collect(),
        services: agent.services.clone(),
        hosts: agent.hosts.clone(),
        weight: agent.weight,
        labels: agent
            .zone
            .iter()
            .map(|zone| ("zone".to_owned(), zone.clone()))
            .collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: Some(wire_settings(agent.settings)),
        features: Features::ALL.bits(),
        ..pb::StreamOpen::default()
    }
}

fn build(
    agent: &Shared,
    connection: Connection,
    stream: Streaming<pb::TunnelMessage>,
    sender: mpsc::Sender<Result<pb::TunnelMessage, tonic::Status>>,
    shown: Shown,
    answer: &pb::StreamOpenResponse,
) -> Result<OpenSession, AgentError> {
    let broken = || AgentError::lost("the gateway's answer to stream_open has no session_id or lane_key");
    let id: SessionId = answer.session_id.parse().map_err(|_| broken())?;
    let lane_key = LaneKey::new(answer.lane_key.as_ref().try_into().map_err(|_| broken())?);
    let millis = |value: u32, default: Duration| match value {
        0 => default,
        value => Duration::from_millis(value.into()),
    };
    let heartbeat = Heartbeat {
        interval: millis(answer.heartbeat_interval_ms, Heartbeat::DEFAULT.interval),
        timeout: millis(answer.heartbeat_timeout_ms, Heartbeat::DEFAULT.timeout),
    }
    .clamped();
    let config = SessionConfig {
        id,
        agent: agent.id.clone(),
        instance: agent.instance,
        opens: Direction::ClientToServer,
        local: agent.settings,
        remote: session_settings(answer.settings.as_ref())
            .map_err(|text| AgentError::lost(format!("the gateway's answer to stream_open: {text}")))?,
        features: Features::from_bits(answer.features),
        budget: agent.budget.clone(),
        runtime: Arc::new(TokioRuntime::current()),
    };
    let session = Session::tallied(config, agent.tally.clone());
    let control = ControlStream::new(stream, sender, heartbeat, Direction::ClientToServer);
    let lanes = agent.lanes.min(answer.max_lanes.max(1));
    Ok(OpenSession {
        session,
        connection,
        lane_key,
        heartbeat,
        control,
        shown,
        updates: Updates::new(&agent.configs),
        gateway_id: answer.gateway_id.clone(),
        lanes,
    })
}

impl OpenSession {
    /// The gateway's process.
    pub(super) fn gateway_id(&self) -> &str {
        &self.gateway_id
    }

    /// Hangs up before anything was served.
    pub(super) async fn give_up(self) {
        let _closer = Closer(self.session);
        drop(self.control);
        let _ = timeout(CLOSE_TIMEOUT, self.connection.closed()).await;
    }

    /// Opens the lanes, and runs the session until it is lost, or until `stop` and it has been drained. Tells `leaves` when the gateway is
    /// about to go.
    pub(super) async fn run(
        mut self,
        agent: &Shared,
        place: &Place,
        seat: &Seat,
        on_accept: OnAccept,
        stop: CancellationToken,
        leaves: oneshot::Sender<()>,
    ) -> Result<End, AgentError> {
        let _closer = Closer(self.session.clone());
        let mut keepers = tokio::task::JoinSet::new();
        for index in 0..self.lanes {
            let lane = lanes::LaneKeeper::new(&self, index, agent.connect_timeout, on_accept.clone());
            let opened = lane.open().await?;
            keepers.spawn(lane.keep(opened));
        }
        info!(
            agent.id = %agent.id, session.id = %self.session.id(), gateway = %place,
            gateway.id = %self.gateway_id, lanes = self.lanes, "connected"
        );
        seat.say(Status::Connected(self.session.clone()));
        let mut leaves = Some(leaves);
        tokio::select! {
            error = watch(&self.session, &mut self.control, &mut self.shown, &mut self.updates, &mut leaves) => Ok(End::Lost(error)),
            () = stop.cancelled() => {
                self.drain(agent, seat, keepers).await;
                Ok(End::Drained)
            }
        }
    }

    /// Finishes what is open, or meets the deadline; then says good-bye.
    async fn drain(mut self, agent: &Shared, seat: &Seat, mut keepers: tokio::task::JoinSet<()>) {
        seat.say(Status::Draining);
        info!(pending = self.session.pending(), "draining");
        self.session.drain();
        let deadline_ms = u32::try_from(agent.drain.as_millis()).unwrap_or(u32::MAX);
        let reason = "the agent is stopping".to_owned();
        self.control
            .say(Payload::Drain(pb::Drain { deadline_ms, reason }));
        let session = self.session.clone();
        // What was sent before the gateway had read the Drain may still be on its way: a lane that this end closes would take it along.
        // The gateway ends the lanes when there is nothing more.
        let drained = async {
            loop {
                std::future::poll_fn(|cx| session.poll_idle(cx)).await;
                let released = async { while keepers.join_next().await.is_some() {} };
                let released = timeout(RELEASE_TIMEOUT.min(agent.drain), released).await;
                if released.is_ok() || session.pending() == 0 {
                    break;
                }
            }
        };
        let mut leaves = None;
        tokio::select! {
            () = drained => {}
            error = watch(&self.session, &mut self.control, &mut self.shown, &mut self.updates, &mut leaves) => warn!(%error, "the session ended before it was drained"),
            () = tokio::time::sleep(agent.drain) => {
                warn!(pending = self.session.pending(), "the drain timeout passed; what is open is cut off");
            }
        }
        // What is queued is still written. The control stream ends only after the gateway has ended the lanes: its reset
        // would overtake the last chunks, and the gateway gives the session up with it.
        self.session.finish();
        let ended = async { while keepers.join_next().await.is_some() {} };
        let _ = timeout(CLOSE_TIMEOUT, ended).await;
        drop(self.control);
        let _ = timeout(CLOSE_TIMEOUT, self.connection.closed()).await;
    }
}

/// Watches a session until it is lost, and shows the gateway the newest token.
async fn watch(
    session: &Session,
    control: &mut ControlStream,
    shown: &mut Shown,
    updates: &mut Updates,
    leaves: &mut Option<oneshot::Sender<()>>,
) -> AgentError {
    loop {
        let event = tokio::select! {
            event = control.next() => event,
            value = shown.changed() => {
                let authorization = value.as_bytes().to_vec().into();
                // If there is no room for it, it is said when the source is asked again.
                if control.say(Payload::Credentials(pb::Credentials { authorization })) {
                    info!(session.id = %session.id(), "the agent shows a new token");
                    shown.showed(value);
                }
                continue;
            }
            state = updates.done() => {
                control.say(Payload::ConfigSyncResponse(state));
                continue;
            }
            error = std::future::poll_fn(|cx| session.poll_closed(cx)) => {
                return AgentError::lost("the session ended").with_source(error);
            }
        };
        match event {
            Event::Said(Payload::ErrorMessage(error)) => return AgentError::from_message(&error),
            Event::Said(Payload::Drain(drain)) => {
                info!(session.id = %session.id(), reason = %drain.reason, "the gateway leaves");
                let _ = leaves.take().map(|leaves| leaves.send(()));
            }
            Event::Said(Payload::ConfigSync(update)) => {
                if let Some(state) = updates.came(update) {
                    control.say(Payload::ConfigSyncResponse(state));
                }
            }
            Event::Suspect(is_suspect) => session.suspect(is_suspect),
            Event::Said(_) => {}
            Event::Silent => return AgentError::lost("the gateway was silent for too long"),
            Event::Ended(None) => return AgentError::lost("the gateway closed the session"),
            Event::Ended(Some(status)) => {
                return AgentError::lost("the connection to the gateway broke").with_source(status);
            }
        }
    }
}

/// Closes the session on every way out.
struct Closer(Session);

impl Drop for Closer {
    fn drop(&mut self) {
        let text = "the connection to the gateway was lost";
        self.0
            .close(&TunnelError::new(Cause::AgentLost, Initiator::Peer, text));
    }
}
