//! The task behind one ControlStream: registration, heartbeat, drain.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};
use tunnel_core::{
    AgentId, Cause, Direction, Features, GroupName, InstanceId, LaneKey, Session, SessionConfig, SessionId,
};

use super::{
    AgentCredentials, AgentIdentity, Gateway,
    recheck::revoked,
    registry::{Entry, Life, Registered},
};
use crate::{
    dispatch::{ControlStream, Event, REVISION, control, session_settings, wire_settings},
    generated::{self as pb, error_message::Code, tunnel_message::Payload},
    host_name::{HOST_RULE, host_name},
    runtime::{TokioRuntime, random},
    service_name::is_service_name,
};

/// How long an agent may take to say who it is.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// The most groups, services, hosts and labels that an agent may name.
const MAX_NAMES: usize = 1_000;

/// One agent's ControlStream, at the gateway.
#[derive(Debug)]
pub(super) struct ControlTask {
    pub(super) gateway: Gateway,
    pub(super) credentials: AgentCredentials,
    pub(super) identity: AgentIdentity,
    pub(super) peer: Option<SocketAddr>,
    pub(super) stream: Streaming<pb::TunnelMessage>,
    pub(super) replies: mpsc::Sender<Result<pb::TunnelMessage, Status>>,
}

/// Why an agent was not taken.
#[derive(Debug)]
struct Refusal {
    code: Code,
    message: String,
    retry_after: Duration,
}

impl Refusal {
    fn new(code: Code, message: impl Into<String>) -> Self {
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
        let (registered, session, suspect) = match self.open().await {
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
            stream,
            replies,
            ..
        } = self;
        let (agent, id) = (session.agent().clone(), session.id());
        let mut stream = ControlStream::new(stream, replies, gateway.0.heartbeat);
        let newest = watch::Sender::new(credentials);
        let mut revoked = pin!(revoked(&gateway, newest.subscribe(), id));
        let mut seen = 0;
        let why = loop {
            let event = tokio::select! {
                event = stream.next() => event,
                rejection = &mut revoked => {
                    stream.say(Payload::ErrorMessage(pb::ErrorMessage {
                        code: Code::Unauthenticated.into(),
                        message: rejection.to_string(),
                        retry_after_ms: 0,
                    }));
                    break format!("its credentials were taken back: {rejection}");
                }
                () = std::future::poll_fn(|cx| session.poll_changed(&mut seen, cx)) => {
                    gateway.0.registry.touch();
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
                }
                Event::Said(Payload::Credentials(shown)) => {
                    debug!(agent.id = %agent, session.id = %id, "an agent shows new credentials");
                    newest.send_modify(|credentials| credentials.show(&shown.authorization));
                }
                Event::Said(Payload::ErrorMessage(error)) => {
                    warn!(agent.id = %agent, session.id = %id, error = %error.message, "an agent reports an error");
                }
                // What a newer agent says and we do not know.
                Event::Said(_) => {}
                Event::Suspect(is_suspect) => {
                    suspect.store(is_suspect, Ordering::Relaxed);
                    gateway.0.registry.touch();
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
    async fn open(&mut self) -> Result<(Registered, Session, Arc<AtomicBool>), Refusal> {
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
        let groups = self.groups(&open)?;
        let services = self.services(&open)?;
        let hosts = self.hosts(&open)?;
        let lane_key = LaneKey::new(random());
        let session = Session::new(SessionConfig {
            id: SessionId::from_random(random()),
            agent: parse::<AgentId>("agent_id", &open.agent_id)?,
            instance: parse::<InstanceId>("instance_id", &open.instance_id)?,
            opens: Direction::ServerToClient,
            local: shared.settings,
            remote: session_settings(open.settings.as_ref())
                .map_err(|text| Refusal::new(Code::Invalid, format!("stream_open.{text}")))?,
            features: Features::from_bits(open.features),
            budget: shared.budget.clone(),
            runtime: Arc::new(TokioRuntime::current()),
        });
        let suspect = Arc::new(AtomicBool::new(false));
        if shared.registry.list().len() >= shared.max_sessions {
            let text = "the gateway has as many agents as it takes";
            return Err(Refusal::new(Code::Overloaded, text).after(Duration::from_secs(5)));
        }
        let entry = Entry {
            session: session.clone(),
            credentials: self.identity.name.clone(),
            lane_key: lane_key.clone(),
            groups,
            services,
            hosts,
            weight: open.weight.clamp(1, 1_000),
            control: self.replies.clone(),
            suspect: suspect.clone(),
        };
        let registered = shared.registry.register(entry).map_err(|_| {
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
        info!(
            agent.id = %session.agent(), session.id = %session.id(), peer = ?self.peer,
            credentials = %self.identity.name, groups = ?open.groups, services = ?open.services,
            hosts = ?open.hosts, version = %open.version, "an agent connected"
        );
        Ok((registered, session, suspect))
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

    /// The groups that the agent asks for, all of which it must be allowed.
    fn groups(&self, open: &pb::StreamOpen) -> Result<Vec<GroupName>, Refusal> {
        if open.groups.is_empty() || open.groups.len() > MAX_NAMES || open.labels.len() > MAX_NAMES {
            return Err(Refusal::new(
                Code::Invalid,
                "stream_open must name 1 to 1,000 groups, and at most 1,000 labels",
            ));
        }
        let mut groups = Vec::with_capacity(open.groups.len());
        for name in &open.groups {
            let group = parse::<GroupName>("groups", name)?;
            if !self.identity.groups.allows(&group) {
                let text = format!(
                    "the credentials {:?} may not register the group {name:?}",
                    self.identity.name
                );
                return Err(Refusal::new(Code::GroupNotAllowed, text));
            }
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(groups)
    }

    /// The gRPC services that the agent brings, all of which it must be allowed.
    fn services(&self, open: &pb::StreamOpen) -> Result<Vec<Arc<str>>, Refusal> {
        let services = services(open)?;
        match services.iter().find(|name| !self.identity.services.allows(name)) {
            Some(name) => {
                let text = format!(
                    "the credentials {:?} may not register the service {name:?}",
                    self.identity.name
                );
                Err(Refusal::new(Code::GroupNotAllowed, text))
            }
            None => Ok(services),
        }
    }

    /// The hosts that the agent serves, all of which it must be allowed.
    fn hosts(&self, open: &pb::StreamOpen) -> Result<Vec<Arc<str>>, Refusal> {
        let hosts = hosts(open)?;
        match hosts.iter().find(|host| !self.identity.hosts.allows(host)) {
            Some(host) => {
                let text = format!(
                    "the credentials {:?} may not register the host {host:?}: allow it in their rights at the gateway, or take it \
                     out of the agent's hosts",
                    self.identity.name
                );
                Err(Refusal::new(Code::GroupNotAllowed, text))
            }
            None => Ok(hosts),
        }
    }
}

/// The hosts that the agent serves, each once, in the form in which requests name them.
fn hosts(open: &pb::StreamOpen) -> Result<Vec<Arc<str>>, Refusal> {
    if open.hosts.len() > MAX_NAMES {
        let text = "stream_open must name at most 1,000 hosts";
        return Err(Refusal::new(Code::Invalid, text));
    }
    let each_once: Result<BTreeSet<String>, _> = open.hosts.iter().map(|host| parse_host(host)).collect();
    Ok(each_once?.into_iter().map(Arc::from).collect())
}

fn parse_host(text: &str) -> Result<String, Refusal> {
    host_name(text).ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        Refusal::new(
            Code::Invalid,
            format!("stream_open.hosts: {text:?} is no host: {HOST_RULE}"),
        )
    })
}

/// The gRPC services that the agent brings, each once.
fn services(open: &pb::StreamOpen) -> Result<Vec<Arc<str>>, Refusal> {
    if open.services.len() > MAX_NAMES {
        let text = "stream_open must name at most 1,000 services";
        return Err(Refusal::new(Code::Invalid, text));
    }
    if let Some(name) = open.services.iter().find(|name| !is_service_name(name)) {
        let name: String = name.chars().take(64).collect();
        let text = format!(
            "stream_open.services: {name:?} is no service: use 1 to 253 of the characters a-z, A-Z, 0-9, '_' and '.'"
        );
        return Err(Refusal::new(Code::Invalid, text));
    }
    let each_once: BTreeSet<&str> = open.services.iter().map(String::as_str).collect();
    Ok(each_once.into_iter().map(Arc::from).collect())
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, Refusal> {
    text.parse()
        .map_err(|error| Refusal::new(Code::Invalid, format!("stream_open.{field}: {error}")))
}
