//! The task behind one ControlStream: registration, heartbeat, drain.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};
use tunnel_core::{
    AgentId, Cause, Direction, Features, InstanceId, LaneKey, Session, SessionConfig, SessionId,
    balance::Stats,
};

use super::{
    AgentCredentials, AgentIdentity, Gateway,
    configs::{Pushes, StatusCell},
    names::{self, Names},
    recheck::revoked,
    registry::{Entry, Life, Registered},
};
use crate::{
    dispatch::{ControlStream, Event, REVISION, control, session_settings, wire_settings},
    entry::Certificate,
    generated::{self as pb, error_message::Code, tunnel_message::Payload},
    runtime::{TokioRuntime, random},
};

/// How long an agent may take to say who it is.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The characters that are kept of what an agent calls its version.
const MAX_VERSION: usize = 64;

/// One agent's ControlStream, at the gateway.
#[derive(Debug)]
pub(super) struct ControlTask {
    pub(super) gateway: Gateway,
    pub(super) credentials: AgentCredentials,
    /// What the agent has shown to our own port, if it did.
    pub(super) certificate: Option<Certificate>,
    pub(super) identity: AgentIdentity,
    pub(super) peer: Option<SocketAddr>,
    /// Changes when the credentials have to be looked at again at once.
    pub(super) looked: watch::Receiver<u64>,
    pub(super) stream: Streaming<pb::TunnelMessage>,
    pub(super) replies: mpsc::Sender<Result<pb::TunnelMessage, Status>>,
}

/// Why an agent was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    code: Code,
    message: String,
    retry_after: Duration,
}

impl Refusal {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: Duration::ZERO,
        }
    }

    fn after(mut self, retry_after: Duration) -> Self {
        self.retry_after = retry_after;
        self
    }
}

impl ControlTask {
    pub(super) async fn run(mut self) {
        let (registered, entry) = match self.open().await {
            Ok(open) => open,
            Err(Refusal {
                code,
                message,
                retry_after,
            }) => {
                warn!(peer = ?self.peer, credentials = %self.identity.name, ?code, %message, "an agent was refused");
                let retry_after_ms = u32::try_from(retry_after.as_millis()).unwrap_or(u32::MAX);
                let error = pb::ErrorMessage {
                    code: code.into(),
                    message,
                    retry_after_ms,
                };
                let _ = self.replies.try_send(Ok(control(Payload::ErrorMessage(error))));
                return;
            }
        };
        let Self {
            gateway,
            credentials,
            certificate,
            looked,
            stream,
            replies,
            ..
        } = self;
        let session = entry.session;
        let (agent, id) = (session.agent().clone(), session.id());
        let mut pushes = Pushes::new(&gateway.0.configs, entry.groups, replies.clone(), entry.config);
        let mut stream = ControlStream::new(stream, replies, gateway.0.heartbeat, Direction::ServerToClient);
        let newest = watch::Sender::new(credentials);
        let mut revoked = pin!(revoked(&gateway, newest.subscribe(), looked, certificate, id));
        let (mut seen, mut drains) = (0, false);
        let why = loop {
            let event = tokio::select! {
                event = stream.next() => event,
                rejection = &mut revoked => {
                    let code = match rejection.is_temporary() {
                        true => Code::Unspecified,
                        false => Code::Unauthenticated,
                    };
                    stream.say(Payload::ErrorMessage(pb::ErrorMessage {
                        code: code.into(),
                        message: rejection.to_string(),
                        retry_after_ms: 0,
                    }));
                    break format!("its credentials were taken back: {rejection}");
                }
                never = pushes.run() => match never {},
                () = std::future::poll_fn(|cx| session.poll_changed(&mut seen, cx)) => {
                    gateway.0.registry.touch();
                    continue;
                }
                () = std::future::poll_fn(|cx| session.poll_idle(cx)), if drains => {
                    // Nothing is on its way to the agent any more, and it may go: this tells it.
                    session.finish();
                    drains = false;
                    continue;
                }
                error = std::future::poll_fn(|cx| session.poll_closed(cx)) => {
                    if error.cause() == Cause::Protocol {
                        stream.say(Payload::ErrorMessage(pb::ErrorMessage {
                            code: Code::Protocol.into(),
                            message: error.to_string(),
                            retry_after_ms: 0,
                        }));
                    }
                    break error.to_string();
                }
            };
            match event {
                Event::Said(Payload::Drain(_)) => {
                    info!(agent.id = %agent, session.id = %id, "an agent drains");
                    session.drain();
                    drains = true;
                }
                Event::Said(Payload::Credentials(shown)) => {
                    debug!(agent.id = %agent, session.id = %id, "an agent shows new credentials");
                    newest.send_modify(|credentials| credentials.show(&shown.authorization));
                }
                Event::Said(Payload::ErrorMessage(error)) => {
                    warn!(agent.id = %agent, session.id = %id, error = %error.message, "an agent reports an error");
                }
                Event::Said(Payload::ConfigSyncResponse(state)) => {
                    tell(&agent, &state);
                    pushes.answered(state);
                }
                // What a newer agent says and we do not know.
                Event::Said(_) => {}
                Event::Suspect(is_suspect) => {
                    if is_suspect != session.is_suspect() {
                        info!(agent.id = %agent, session.id = %id, is_suspect, "an agent fell silent, or is heard again");
                    }
                    // Who watches the session hears of it.
                    session.suspect(is_suspect);
                }
                Event::Silent => break "it was silent for too long".to_owned(),
                Event::Ended(None) => break "it closed its stream".to_owned(),
                Event::Ended(Some(status)) => break format!("its stream broke: {}", status.message()),
            }
        };
        drop(registered);
        info!(agent.id = %agent, session.id = %id, %why, "an agent is gone");
    }

    /// Takes the first message, and registers the session that it asks for.
    async fn open(&mut self) -> Result<(Registered, Entry), Refusal> {
        let first = match timeout(OPEN_TIMEOUT, self.stream.message()).await {
            Ok(Ok(Some(message))) => message.payload,
            Ok(_) => {
                return Err(Refusal::new(
                    Code::Invalid,
                    "the stream ended before it said who it is",
                ));
            }
            Err(_) => return Err(Refusal::new(Code::Invalid, "no stream_open came within 10 s")),
        };
        let Some(Payload::StreamOpen(open)) = first else {
            return Err(Refusal::new(
                Code::Invalid,
                "the first message of a ControlStream must be stream_open",
            ));
        };
        let shared = &self.gateway.0;
        if shared.registry.life() != Life::Serving {
            return Err(Refusal::new(Code::Draining, "the gateway is stopping").after(Duration::from_secs(1)));
        }
        if open.revision == 0 {
            return Err(Refusal::new(
                Code::UnsupportedRevision,
                "stream_open.revision must be 1 or more",
            ));
        }
        let names = Names::of(&open, &self.identity)?;
        let lane_key = LaneKey::new(random());
        let config = SessionConfig {
            id: SessionId::from_random(random()),
            agent: names::parse::<AgentId>("agent_id", &open.agent_id)?,
            instance: names::parse::<InstanceId>("instance_id", &open.instance_id)?,
            opens: Direction::ServerToClient,
            local: shared.settings,
            remote: session_settings(open.settings.as_ref())
                .map_err(|text| Refusal::new(Code::Invalid, format!("stream_open.{text}")))?,
            features: Features::from_bits(open.features),
            budget: shared.budget.clone(),
            runtime: Arc::new(TokioRuntime::current()),
        };
        let session = Session::tallied(config, shared.tally.clone());
        if shared.registry.list().len() >= shared.max_sessions {
            let text = "the gateway has as many agents as it takes";
            return Err(Refusal::new(Code::Overloaded, text).after(Duration::from_secs(5)));
        }
        let entry = Entry {
            session: session.clone(),
            credentials: self.identity.name.clone(),
            lane_key: lane_key.clone(),
            groups: names.groups,
            services: names.services,
            hosts: names.hosts,
            weight: open.weight.clamp(1, 1_000),
            zone: names.zone,
            stats: Arc::new(Stats::new(session.runtime().now())),
            control: self.replies.clone(),
            config: StatusCell::default(),
            version: open.version.chars().take(MAX_VERSION).collect::<String>().into(),
            peer: self.peer,
        };
        let registered = shared.registry.register(entry.clone()).map_err(|_| {
            let text =
                "this process of the agent is connected already; if it is not, its old session ends soon";
            Refusal::new(Code::AlreadyConnected, text).after(shared.heartbeat.interval)
        })?;
        let answer = control(Payload::StreamOpenResponse(self.answer(&session, &lane_key)));
        if self.replies.try_send(Ok(answer)).is_err() {
            return Err(Refusal::new(
                Code::Internal,
                "the stream ended while it was opened",
            ));
        }
        self.gateway.tell_late(&entry);
        info!(
            agent.id = %session.agent(), session.id = %session.id(), peer = ?self.peer,
            credentials = %self.identity.name, groups = ?open.groups, services = ?open.services,
            hosts = ?open.hosts, version = %open.version, "an agent connected"
        );
        Ok((registered, entry))
    }

    fn answer(&self, session: &Session, lane_key: &LaneKey) -> pb::StreamOpenResponse {
        let shared = &self.gateway.0;
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        pb::StreamOpenResponse {
            revision: REVISION,
            session_id: session.id().to_string(),
            lane_key: lane_key.as_bytes().to_vec().into(),
            settings: Some(wire_settings(shared.settings)),
            features: session.features().bits(),
            heartbeat_interval_ms: millis(shared.heartbeat.interval),
            heartbeat_timeout_ms: millis(shared.heartbeat.timeout),
            max_lanes: shared.max_lanes,
            gateway_id: shared.id.clone(),
        }
    }
}

fn tell(agent: &AgentId, state: &pb::ConfigState) {
    let running = state.applied_version;
    match state.refused_version {
        0 => info!(agent.id = %agent, version = running, "an agent runs its configuration"),
        version => {
            warn!(agent.id = %agent, version, running, error = ?state.error, "an agent refuses its configuration");
        }
    }
}
