//! The task behind one `Proxy` stream.

use prost::Message as _;
use subtle::ConstantTimeEq;
use tokio::{sync::oneshot, time::timeout};
use tonic::Status;
use tunnel_core::{AgentCaller, PeerInfo};

use super::{Gateway, calls::Identity, control::OPEN_TIMEOUT, registry::Entry};
use crate::{
    dispatch::{LaneReader, LaneStream, Opened, REVISION, control, wire_settings},
    generated::{self as pb, tunnel_message::Payload},
};

/// Opens a lane by its first message, and reads it to its end.
pub(super) async fn run(
    gateway: Gateway,
    peer: PeerInfo,
    mut stream: LaneStream,
    opened: oneshot::Sender<Result<Opened, Status>>,
) {
    let first = match timeout(OPEN_TIMEOUT, stream.message()).await {
        Ok(Ok(Some(message))) => match pb::TunnelMessage::decode(message.bytes().clone()) {
            Ok(message) => message.payload,
            Err(_) => None,
        },
        _ => return drop(opened.send(Err(Status::invalid_argument("no stream_open came within 10 s")))),
    };
    let (entry, index) = match admit(&gateway, first) {
        Ok(found) => found,
        Err(status) => {
            tracing::warn!(error = status.message(), "a lane was refused");
            return drop(opened.send(Err(status)));
        }
    };
    let caller = caller(&entry);
    let session = entry.session;
    let guard = match session.add_lane(index) {
        Ok(lane) => session.guard(lane),
        Err(error) => return drop(opened.send(Err(Status::already_exists(error.to_string())))),
    };
    let answer = Payload::StreamOpenResponse(pb::StreamOpenResponse {
        revision: REVISION,
        session_id: session.id().to_string(),
        settings: Some(wire_settings(session.local_settings())),
        ..pb::StreamOpenResponse::default()
    });
    let writer = Opened {
        first: Some(control(answer)),
        guard: session.guard(guard.lane().clone()),
    };
    if opened.send(Ok(writer)).is_err() {
        return;
    }
    let heartbeat = gateway.0.heartbeat;
    LaneReader {
        session,
        guard,
        stream,
        heartbeat,
        on_accept: gateway.on_call(Identity { caller, peer }),
    }
    .run()
    .await;
}

/// The agent, as what it asks has it.
fn caller(entry: &Entry) -> AgentCaller {
    let Entry { session, groups, .. } = entry;
    AgentCaller::new(
        &entry.credentials,
        session.agent().clone(),
        session.id(),
        groups.iter().cloned(),
    )
}

/// Finds a session by its key, which is what proves that a call belongs to it; the session's name is no secret.
pub(super) fn of_key(gateway: &Gateway, session_id: &str, lane_key: &[u8]) -> Result<Entry, Status> {
    let entry = session_id.parse().ok().and_then(|id| gateway.0.registry.find(id));
    let is_key = |entry: &Entry| bool::from(entry.lane_key.as_bytes().as_slice().ct_eq(lane_key));
    entry
        .filter(is_key)
        .ok_or_else(|| Status::permission_denied("no session has this session_id and lane_key"))
}

/// Finds the session that a lane belongs to.
fn admit(gateway: &Gateway, first: Option<Payload>) -> Result<(Entry, u32), Status> {
    let Some(Payload::StreamOpen(open)) = first else {
        return Err(Status::invalid_argument(
            "the first message of a Proxy stream must be stream_open",
        ));
    };
    let entry = of_key(gateway, &open.session_id, &open.lane_key)?;
    if open.lane_index >= gateway.0.max_lanes {
        return Err(Status::invalid_argument(format!(
            "lane_index must be below {}",
            gateway.0.max_lanes
        )));
    }
    Ok((entry, open.lane_index))
}
