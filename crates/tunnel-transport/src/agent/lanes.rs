//! Keeps one lane of a session open.

use std::time::Duration;

use prost::Message as _;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tracing::warn;
use tunnel_core::{Cause, Initiator, LaneGuard, LaneKey, Session, TunnelError};

use super::{AgentError, Backoff, connect::LaneClient, session::OpenSession};
use crate::{
    dispatch::{LaneReader, LaneStream, LaneWriter, OnAccept, REVISION, control},
    generated::{self as pb, tunnel_message::Payload},
    heartbeat::Heartbeat,
};

/// Failures in a row after which the whole session is given up.
const MAX_FAILURES: u32 = 5;
/// The delays between tries to open a lost lane again.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

/// Opens one lane, and opens it again when it is lost.
pub(super) struct LaneKeeper {
    session: Session,
    client: LaneClient,
    lane_key: LaneKey,
    heartbeat: Heartbeat,
    index: u32,
    timeout: Duration,
    on_accept: OnAccept,
}

/// A lane that is open, and the stream that it reads from.
pub(super) type Opened = (LaneGuard, LaneStream);

impl LaneKeeper {
    pub(super) fn new(open: &OpenSession, index: u32, timeout: Duration, on_accept: OnAccept) -> Self {
        Self {
            session: open.session.clone(),
            client: open.connection.lanes.clone(),
            lane_key: open.lane_key.clone(),
            heartbeat: open.heartbeat,
            index,
            timeout,
            on_accept,
        }
    }

    /// Opens the lane.
    pub(super) async fn open(&self) -> Result<Opened, AgentError> {
        let lane = self.session.add_lane(self.index);
        let lane = lane.map_err(|error| AgentError::lost("the session ended").with_source(error))?;
        let guard = self.session.guard(lane.clone());
        let hello = Payload::StreamOpen(pb::StreamOpen {
            revision: REVISION,
            session_id: self.session.id().to_string(),
            lane_key: self.lane_key.as_bytes().to_vec().into(),
            lane_index: self.index,
            ..pb::StreamOpen::default()
        });
        let writer = LaneWriter::open(control(hello), self.session.guard(lane));
        let opening = async {
            let mut stream = self.client.open(writer).await?;
            let first = stream.message().await?;
            let first = first.map(|message| pb::TunnelMessage::decode(message.bytes().clone()));
            Ok::<_, Status>((stream, first.and_then(|message| message.ok()?.payload)))
        };
        match timeout(self.timeout, opening).await {
            Ok(Ok((stream, Some(Payload::StreamOpenResponse(_))))) => Ok((guard, stream)),
            Ok(Ok(_)) => Err(AgentError::lost(
                "the gateway did not answer a lane's stream_open",
            )),
            // Not a refusal of the agent: the session may have ended since it was opened.
            Ok(Err(status)) => Err(AgentError::lost("the gateway refused a lane").with_source(status)),
            Err(_) => Err(AgentError::connect("the gateway did not open a lane in time")),
        }
    }

    /// Reads the lane, and opens it again when it is lost, until the session is closed.
    pub(super) async fn keep(self, opened: Opened) {
        let mut opened = Some(opened);
        let mut failures = 0;
        loop {
            if let Some((guard, stream)) = opened.take() {
                let Self {
                    session,
                    heartbeat,
                    on_accept,
                    ..
                } = &self;
                let (session, on_accept) = (session.clone(), on_accept.clone());
                LaneReader {
                    session,
                    guard,
                    stream,
                    heartbeat: *heartbeat,
                    on_accept,
                }
                .run()
                .await;
            }
            if self.session.is_draining() {
                return;
            }
            failures += 1;
            if failures > MAX_FAILURES {
                let text = "a lane could not be opened again";
                return self
                    .session
                    .close(&TunnelError::new(Cause::AgentLost, Initiator::Peer, text));
            }
            sleep(BACKOFF.delay(failures, None)).await;
            match self.open().await {
                Ok(lane) => {
                    warn!(session.id = %self.session.id(), lane.index = self.index, "a lost lane is open again");
                    (opened, failures) = (Some(lane), 0);
                }
                Err(error) => {
                    warn!(session.id = %self.session.id(), lane.index = self.index, %error, "a lane is lost");
                }
            }
        }
    }
}
