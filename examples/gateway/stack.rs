//! The layers of a gateway: what carries requests, wherever they come from.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{Service, ServiceBuilder};
use tunnel_core::BoxError;
use tunnel_examples::config::{GatewayConfig, Guards};
use tunnel_layers::{
    chunk::ChunkLayer,
    correlate::CorrelateLayer,
    grpc_web::GrpcWebLayer,
    observe::ObserveLayer,
    rescue::RescueLayer,
    retry::RetryLayer,
    route::{RouteLayer, RulesWithUpstreams},
    trace::{HopLayer, StageLayer},
    trace_id::TraceIdLayer,
};
use tunnel_transport::{Gateway, TokioRuntime};

use super::policy::PolicyLayer;

/// A type of stack. Which one a gateway has depends on what it watches, once and for all: what nobody asks for does not stand in
/// it, and costs nothing.
pub(super) trait Stack: Send + 'static {
    /// What carries requests by these rules and behind these guards.
    fn of<B>(
        &self,
        gateway: &Gateway,
        config: &GatewayConfig,
        rules: RulesWithUpstreams,
        guards: Guards,
    ) -> impl Service<
        Request<B>,
        Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + use<Self, B>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + use<Self, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>;
}

/// Nothing is watched.
pub(super) struct Plain {
    pub(super) trace: TraceIdLayer,
}

/// Exchanges are measured, or logged.
pub(super) struct Observed {
    pub(super) observe: ObserveLayer,
    pub(super) trace: TraceIdLayer,
}

/// The steps of traces are told. Exchanges may be measured and logged.
pub(super) struct Traced {
    pub(super) observe: ObserveLayer,
    pub(super) trace: TraceIdLayer,
}

/// Makes a type a stack: the layers from the outside in, with what only this type has where it belongs.
macro_rules! stack {
    (
        $type:ty: |$this:ident, $guards:ident| $of_guards:expr,
        outermost: [$($outermost:expr),*], upstream: [$($upstream:expr)?], route: [$($route:expr)?], tunnel: [$($tunnel:expr)?]
    ) => {
        impl Stack for $type {
            fn of<B>(
                &self,
                gateway: &Gateway,
                config: &GatewayConfig,
                rules: RulesWithUpstreams,
                $guards: Guards,
            ) -> impl Service<
                Request<B>,
                Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + use<B>>,
                Error = Infallible,
                Future: Send,
            > + Clone
            + Send
            + Sync
            + use<B>
            where
                B: Body<Data = Bytes> + Send + 'static,
                B::Error: Into<BoxError>,
            {
                let $this = self;
                let grpc_web = match config.cors.clone() {
                    Some(cors) => GrpcWebLayer::new().cors(cors),
                    None => GrpcWebLayer::new(),
                };
                let runtime = Arc::new(TokioRuntime::current());
                let upstreams = ServiceBuilder::new()
                    .layer(RetryLayer::new(runtime.clone()))
                    $(.layer($upstream))?
                    .layer(config.upgrade.clone().runtime(runtime))
                    .service(config.upstreams.clone());
                let (route, split) = RouteLayer::with_upstreams(rules, upstreams);
                let route = route.hosts(gateway.agents());
                let route = if config.route_services {
                    route.services(gateway.agents())
                } else {
                    route
                };
                ServiceBuilder::new()
                    .layer(PolicyLayer::new(&config.policy))
                    $(.layer($outermost))*
                    .layer(grpc_web)
                    .layer(RescueLayer::new())
                    $(.layer($route))?
                    .layer(route)
                    .layer($of_guards)
                    // From here on, requests for the gateway's own upstreams go another way.
                    .layer(split)
                    .layer(config.balance.clone().layer(gateway.agents()))
                    $(.layer($tunnel))?
                    .layer(config.upgrade.clone())
                    .layer(ChunkLayer::new())
                    .layer(CorrelateLayer::new())
                    .service(gateway.transport())
            }
        }
    };
}

stack! {
    Plain: |this, guards| guards,
    outermost: [this.trace.clone()], upstream: [], route: [], tunnel: []
}

stack! {
    Observed: |this, guards| guards,
    outermost: [this.observe.clone(), this.trace.clone()], upstream: [], route: [], tunnel: []
}

stack! {
    Traced: |this, guards| guards.staged(),
    outermost: [this.observe.clone(), this.trace.clone()],
    upstream: [HopLayer::upstream()], route: [StageLayer::new("route")], tunnel: [HopLayer::tunnel()]
}
