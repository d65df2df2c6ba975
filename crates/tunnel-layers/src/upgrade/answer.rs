//! What the answer to an upgrade becomes.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Body;
use tunnel_core::{
    BoxError, Cause, Initiator, TunnelError,
    upgrade::{Kind, Relay, Relayed, Switched, split},
};

use super::{ask::Asked, counted::Counted, io::Outside};
use crate::reject::ResponseBody;

/// The answer to a request that asked for nothing, by its status.
///
/// # Errors
///
/// It switches the protocol.
pub(super) fn check_plain(status: StatusCode) -> Result<(), TunnelError> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(bad_upgrade(
            "the upstream switched the protocol without having been asked",
        ));
    }
    Ok(())
}

impl Asked {
    /// The answer for the client. If it grants the upgrade, a task is spawned that carries it out.
    ///
    /// # Errors
    ///
    /// The server has not understood what was asked.
    pub(super) fn answered<RB>(
        self: Box<Self>,
        response: Response<RB>,
    ) -> Result<Response<ResponseBody<RB>>, TunnelError>
    where
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.refused(response);
        }
        self.check(&response)?;
        let (mut parts, body) = response.into_parts();
        parts.extensions.remove::<Switched>();
        parts.extensions.insert(Relayed);
        for gone in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            parts.headers.remove(gone);
        }
        if self.is_connect {
            // RFC 8441, section 5.
            parts.status = StatusCode::OK;
            for gone in [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_ACCEPT] {
                parts.headers.remove(gone);
            }
        } else {
            let upgrade = HeaderValue::from_static("upgrade");
            parts.headers.insert(header::CONNECTION, upgrade);
        }
        self.start(body);
        Ok(Response::from_parts(parts, ResponseBody::empty()))
    }

    /// An answer that is no upgrade. What the client has sent behind its request must not become another one.
    fn refused<RB>(
        self: Box<Self>,
        mut response: Response<RB>,
    ) -> Result<Response<ResponseBody<RB>>, TunnelError> {
        if self.is_connect && response.status().is_success() {
            // To the client, this would say that it was granted.
            return Err(bad_upgrade(
                "the upstream answered an upgrade as if it were a plain request",
            ));
        }
        if !self.is_connect {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        self.slot.empty();
        Ok(response.map(ResponseBody::inner))
    }

    fn check<RB>(&self, response: &Response<RB>) -> Result<(), TunnelError> {
        if response.extensions().get::<Switched>().is_none() {
            return Err(bad_upgrade(
                "the body of a 101 is no stream: the service speaks another contract",
            ));
        }
        let one = |name| {
            let mut values = response.headers().get_all(name).iter();
            values.next().filter(|_| values.next().is_none())
        };
        let asked = self.protocol.protocol.as_bytes();
        if !one(header::UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(asked)) {
            return Err(bad_upgrade(
                "the upstream switched to a protocol that was not asked for",
            ));
        }
        if self.protocol.is_websocket()
            && (self.accept.is_none() || one(header::SEC_WEBSOCKET_ACCEPT) != self.accept.as_ref())
        {
            return Err(bad_upgrade(
                "the upstream did not prove that it understood the handshake",
            ));
        }
        Ok(())
    }

    /// Spawns what carries the two directions, once the client has the answer.
    fn start<RB>(self: Box<Self>, body: RB)
    where
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        let runtime = self.runtime.clone();
        runtime.spawn(Box::pin(async move {
            let this = *self;
            // Without a stream, both bodies are dropped, and with them the exchange.
            let Ok(upgraded) = this.on_upgrade.await else {
                return;
            };
            let kind = if this.protocol.is_websocket() {
                Kind::WebSocket
            } else {
                Kind::Opaque
            };
            let (reader, writer) = split(Outside(upgraded));
            let relay = Relay::new(Counted::new(body, this.record), writer)
                .runtime(this.runtime)
                .kind(kind)
                .idle_timeout(this.settings.idle)
                .ping_interval(this.settings.ping)
                .deadline(this.deadline)
                .expiry(this.expiry)
                .stopping(this.stopping.as_ref())
                .lifetime(this.lifetime);
            this.slot.fill(reader);
            relay.await;
        }));
    }
}

fn bad_upgrade(text: &'static str) -> TunnelError {
    TunnelError::new(Cause::BadUpgrade, Initiator::Peer, text)
}
