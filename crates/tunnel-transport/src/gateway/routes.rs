//! What stands on the port that agents dial.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tonic::{body::Body as TonicBody, codegen::StdError, server::NamedService as _, service::Routes};
use tonic_reflection::{pb, server::Builder};
use tower_service::Service;

use super::{Gateway, TunnelService, health};
use crate::generated;

/// The largest request for a description, in bytes: names, and room.
const MAX_REFLECTION_BYTES: usize = 16 * 1024;

impl Gateway {
    /// Everything that stands on the port for agents, for a server of your own: the
    /// [`tunnel_service`](Self::tunnel_service), health and reflection, as [`health_routes`](Self::health_routes) says.
    /// Goes into `tonic::transport::Server::add_routes`, and, as a `Router`, into axum.
    ///
    /// What `tunnel_service` says about windows is true here.
    #[must_use]
    pub fn agent_routes(&self) -> Routes {
        self.health_routes().add_service(self.tunnel_service())
    }

    /// gRPC health and reflection alone, for a port of yours.
    ///
    /// `grpc.health.v1.Health` knows these services, with `Check` and `Watch`:
    ///
    /// | service | SERVING while |
    /// | --- | --- |
    /// | the empty name, or `tunnel.v1.TunnelService` | the gateway does not [leave](Self::leave) |
    /// | `group:NAME` | an agent of the group NAME could take a request: it has a lane, does not drain and is not silent |
    ///
    /// A group is known from its first agent on. To any other name `Check` answers NOT_FOUND and `Watch`
    /// SERVICE_UNKNOWN, and goes on. A `Watch` ends with UNAVAILABLE when the gateway has stopped. At most 1,000 of them
    /// run at one time.
    ///
    /// `grpc.reflection` (v1 and v1alpha) describes `tunnel.v1`, health and itself.
    ///
    /// Neither asks for credentials: who reaches the port can learn whether a group exists.
    #[must_use]
    pub fn health_routes(&self) -> Routes {
        let (v1, v1alpha) = (descriptors().build_v1(), descriptors().build_v1alpha());
        let valid = "the descriptors are made by generators, and a test reads them";
        let (v1, v1alpha) = (v1.expect(valid), v1alpha.expect(valid));
        Routes::new(health::server(self.agents()))
            .add_service(v1.max_decoding_message_size(MAX_REFLECTION_BYTES))
            .add_service(v1alpha.max_decoding_message_size(MAX_REFLECTION_BYTES))
    }
}

fn descriptors() -> Builder<'static> {
    Builder::configure()
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(generated::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(pb::v1alpha::FILE_DESCRIPTOR_SET)
}

/// The same as [`Gateway::agent_routes`], without a router's boxes around the tunnel's own streams.
#[derive(Clone, Debug)]
pub(super) struct AgentsPort {
    tunnel: TunnelService,
    others: Routes,
}

impl AgentsPort {
    pub(super) fn new(gateway: &Gateway) -> Self {
        Self {
            tunnel: gateway.tunnel_service(),
            others: gateway.health_routes().prepare(),
        }
    }
}

fn is_for_tunnel(path: &str) -> bool {
    let rest = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(TunnelService::NAME));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

impl<B> Service<Request<B>> for AgentsPort
where
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = Response<TonicBody>;
    type Error = Infallible;
    type Future =
        PortFuture<<TunnelService as Service<Request<B>>>::Future, <Routes as Service<Request<B>>>::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Both are always ready, as generated servers and routers are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if is_for_tunnel(request.uri().path()) {
            PortFuture::Tunnel(self.tunnel.call(request))
        } else {
            PortFuture::Other(self.others.call(request))
        }
    }
}

/// One call on the agents' port, until the head of its response.
#[pin_project(project = PortProjection)]
pub(super) enum PortFuture<T, O> {
    Tunnel(#[pin] T),
    Other(#[pin] O),
}

impl<T, O> Future for PortFuture<T, O>
where
    T: Future,
    O: Future<Output = T::Output>,
{
    type Output = T::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        match self.project() {
            PortProjection::Tunnel(future) => future.poll(cx),
            PortProjection::Other(future) => future.poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_are_valid() {
        let _ = Gateway::builder().open_to_any_agent().build().agent_routes();
    }

    #[test]
    fn the_tunnel_has_its_paths_and_no_others() {
        assert!(is_for_tunnel("/tunnel.v1.TunnelService/Proxy"));
        for other in [
            "/tunnel.v1.TunnelServiceX/Proxy",
            "/tunnel.v1.TunnelService",
            "tunnel.v1.TunnelService/Proxy",
            "/",
        ] {
            assert!(!is_for_tunnel(other), "{other}");
        }
    }
}
