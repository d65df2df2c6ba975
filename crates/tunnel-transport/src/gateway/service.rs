//! The gRPC service that agents call.

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    task::{Context, Poll},
};

use http_body::Body;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body as TonicBody,
    codegen::{BoxFuture, StdError},
    server::NamedService,
};
use tunnel_core::{Direction, PeerInfo};

use super::{AgentCredentials, AgentIdentity, Gateway, control::ControlTask, lanes};
use crate::{
    dispatch::{Control, LaneWriter, channel},
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
pub struct TunnelService(TunnelServiceServer<Service>);

impl TunnelService {
    pub(super) fn new(server: TunnelServiceServer<Service>) -> Self {
        Self(server)
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
        tower_service::Service::<http::Request<B>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        self.0.call(request)
    }
}

impl fmt::Debug for TunnelService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelService").finish_non_exhaustive()
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
    type ProxyStream = LaneWriter;

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

    async fn proxy(
        &self,
        request: Request<Streaming<pb::TunnelMessage>>,
    ) -> Result<Response<LaneWriter>, Status> {
        let (opened, writer) = LaneWriter::opening(Direction::ServerToClient);
        tokio::spawn(lanes::run(self.gateway.clone(), request.into_inner(), opened));
        Ok(Response::new(writer))
    }

    async fn config_sync(
        &self,
        _request: Request<pb::ConfigSyncRequest>,
    ) -> Result<Response<pb::ConfigSyncResponse>, Status> {
        Err(Status::unimplemented("this gateway does not push configuration"))
    }
}

fn peer_of<T>(request: &Request<T>) -> Option<SocketAddr> {
    request.extensions().get::<PeerInfo>().and_then(|peer| peer.addr)
}
