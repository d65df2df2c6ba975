//! The gRPC service that agents call.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    net::SocketAddr,
    task::{Context, Poll},
};

use http_body::Body;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body as TonicBody,
    codegen::{BoxFuture, StdError},
    server::{Grpc, NamedService, StreamingService},
};
use tunnel_core::{Direction, PeerInfo};

use super::{AgentCredentials, AgentIdentity, Gateway, configs, control::ControlTask, lanes};
use crate::{
    codec::MAX_MESSAGE_BYTES,
    dispatch::{Control, LaneCodec, LaneStream, LaneWriter, PROXY, ToLane, channel},
    entry::Certificate,
    generated::{
        self as pb,
        tunnel_service_server::{TunnelService as Rpc, TunnelServiceServer},
    },
};

/// The gRPC service that agents call: a `Service` and a `NamedService`, so it fits into `tonic::transport::Server`,
/// `tonic::service::Routes` and axum.
///
/// Each call spawns a task on the tokio runtime that polls it; the task ends with the agent's stream.
#[derive(Clone)]
pub struct TunnelService {
    server: TunnelServiceServer<Service>,
    gateway: Gateway,
}

impl TunnelService {
    pub(super) fn new(gateway: &Gateway) -> Self {
        let server = TunnelServiceServer::new(Service::new(gateway.clone()));
        Self {
            server: server.max_decoding_message_size(MAX_MESSAGE_BYTES),
            gateway: gateway.clone(),
        }
    }
}

impl NamedService for TunnelService {
    const NAME: &'static str = <TunnelServiceServer<Service> as NamedService>::NAME;
}

impl<B> tower_service::Service<http::Request<B>> for TunnelService
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<TonicBody>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        tower_service::Service::<http::Request<B>>::poll_ready(&mut self.server, cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != PROXY {
            return self.server.call(request);
        }
        // tonic sees the head of the request; its body is read here.
        let (head, body) = request.into_parts();
        let method = OpenLane(self.gateway.clone(), Some(LaneStream::new(body)));
        Box::pin(async move {
            let mut rpc = Grpc::new(LaneCodec::new(Direction::ServerToClient));
            let request = http::Request::from_parts(head, TonicBody::empty());
            Ok(rpc.streaming(method, request).await)
        })
    }
}

impl fmt::Debug for TunnelService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelService").finish_non_exhaustive()
    }
}

/// One call of `Proxy`, and what comes on it. It does not pass through the generated server, because lanes have a codec of their own.
struct OpenLane(Gateway, Option<LaneStream>);

impl StreamingService<Infallible> for OpenLane {
    type Response = ToLane;
    type ResponseStream = LaneWriter;
    type Future = Ready<Result<Response<LaneWriter>, Status>>;

    /// At once: the agent's call does not return before it has the response's head.
    fn call(&mut self, request: Request<Streaming<Infallible>>) -> Self::Future {
        let Some(stream) = self.1.take() else {
            return ready(Err(Status::internal("a call is made once")));
        };
        let (opened, writer) = LaneWriter::opening();
        let peer = request.extensions().get().cloned();
        let peer = peer.unwrap_or_else(PeerInfo::unknown).of_connection();
        tokio::spawn(lanes::run(self.0.clone(), peer, stream, opened));
        ready(Ok(Response::new(writer)))
    }
}

/// What the generated server calls.
#[derive(Clone, Debug)]
pub(super) struct Service {
    gateway: Gateway,
}

impl Service {
    pub(super) fn new(gateway: Gateway) -> Self {
        Self { gateway }
    }

    async fn authenticate<T>(
        &self,
        request: &Request<T>,
    ) -> Result<(AgentCredentials, AgentIdentity), Status> {
        let mut headers = request.metadata().clone().into_headers();
        if let Some(value) = headers.get_mut(http::header::AUTHORIZATION) {
            value.set_sensitive(true);
        }
        let credentials = AgentCredentials {
            headers,
            peer: peer_of(request),
            tls: request.extensions().get().cloned(),
        };
        match self.gateway.authenticate(credentials.clone()).await {
            Ok(identity) => Ok((credentials, identity)),
            Err(rejection) => {
                tracing::warn!(peer = ?peer_of(request), error = %rejection, "an agent was refused");
                Err(match rejection.is_temporary() {
                    true => Status::unavailable(rejection.to_string()),
                    false => Status::unauthenticated(rejection.to_string()),
                })
            }
        }
    }
}

#[tonic::async_trait]
impl Rpc for Service {
    type ControlStreamStream = Control;
    /// Never made; see [`OpenLane`].
    type ProxyStream = Control;

    async fn control_stream(
        &self,
        request: Request<Streaming<pb::TunnelMessage>>,
    ) -> Result<Response<Control>, Status> {
        // Before the credentials are looked at, so that no change of who may connect is missed.
        let looked = self.gateway.0.looked.subscribe();
        let (credentials, identity) = self.authenticate(&request).await?;
        let peer = peer_of(&request);
        let certificate = request.extensions().get::<Certificate>().cloned();
        let (replies, control) = channel();
        let task = ControlTask {
            gateway: self.gateway.clone(),
            credentials,
            certificate,
            identity,
            peer,
            looked,
            stream: request.into_inner(),
            replies,
        };
        tokio::spawn(task.run());
        // At once: the agent's call does not return before it has the response's head.
        Ok(Response::new(Control(control)))
    }

    async fn proxy(&self, _: Request<Streaming<pb::TunnelMessage>>) -> Result<Response<Control>, Status> {
        Err(Status::unimplemented(
            "lanes are opened before the generated server is asked",
        ))
    }

    async fn config_sync(
        &self,
        request: Request<pb::ConfigSyncRequest>,
    ) -> Result<Response<pb::ConfigSyncResponse>, Status> {
        let pb::ConfigSyncRequest {
            session_id,
            lane_key,
            state,
        } = request.into_inner();
        let entry = lanes::of_key(&self.gateway, &session_id, &lane_key)?;
        let update = configs::answer(&self.gateway.0.configs, &entry.groups, state);
        Ok(Response::new(pb::ConfigSyncResponse { update }))
    }
}

fn peer_of<T>(request: &Request<T>) -> Option<SocketAddr> {
    request.extensions().get::<PeerInfo>().and_then(|peer| peer.addr)
}
