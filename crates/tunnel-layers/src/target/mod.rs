//! Says where requests go, without rules.
//!
//! [`TargetLayer`] puts a fixed [`Routed`](tunnel_core::Routed) into the extensions of every request, as
//! [`RouteLayer`](crate::route) does with that of a rule, so that a program can call the services behind a group of agents
//! itself. Requests that are made in a process often name no host, as those of a generated gRPC client do, for which an
//! origin is optional: they get the group's name.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::{Canonical, Routed, Target};
//! use tunnel_layers::target::TargetLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(TargetLayer::group("billing".parse()?))
//!     .service(service_fn(|request: Request<String>| async move {
//!         let routed = request.extensions().get::<Routed>().unwrap();
//!         assert_eq!(routed.target, Target::Group("billing".parse().unwrap()));
//!         assert_eq!(request.extensions().get::<Canonical>().unwrap().host(), "billing");
//!         Ok::<_, Infallible>(Response::new(String::new()))
//!     }));
//! let answer = service.oneshot(Request::new(String::new())).await?;
//! assert_eq!(answer.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # A channel for typed clients
//!
//! A stack with this layer is a cloneable service that a generated tonic client takes in the place of a channel. Failures of
//! the tunnel come as statuses, with their details, because [`RescueLayer`](crate::rescue) stands in it:
//!
#![cfg_attr(feature = "full", doc = "```")]
#![cfg_attr(not(feature = "full"), doc = "```ignore")]
//! # use std::{sync::Arc, task::{Context, Poll}};
//! # use tower::ServiceBuilder;
//! # use tower_service::Service;
//! # use tunnel_core::{Agents, Enqueue, GroupName, Member, Outgoing, TunnelError};
//! # use tunnel_layers::{
//! #     balance::{BalanceLayer, RoundRobin}, chunk::ChunkLayer, correlate::CorrelateLayer, deadline::DeadlineLayer,
//! #     rescue::RescueLayer, target::TargetLayer, upgrade::UpgradeLayer,
//! # };
//! # #[derive(Clone, Debug)]
//! # struct Nobody;
//! # impl Agents for Nobody {
//! #     fn members(&self, _: &GroupName) -> Arc<[Member]> { Arc::new([]) }
//! # }
//! # #[derive(Clone)]
//! # struct Transport;
//! # impl Service<Outgoing> for Transport {
//! #     type Response = ();
//! #     type Error = TunnelError;
//! #     type Future = Enqueue;
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TunnelError>> { Poll::Ready(Ok(())) }
//! #     fn call(&mut self, outgoing: Outgoing) -> Enqueue { outgoing.enqueue() }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (agents, transport) = (Nobody, Transport);
//! let channel = ServiceBuilder::new()
//!     .layer(TargetLayer::group("billing".parse()?))
//!     .layer(RescueLayer::new())
//!     .layer(DeadlineLayer::new())
//!     .layer(BalanceLayer::new(agents, RoundRobin::new()))
//!     .layer(UpgradeLayer::new())
//!     .layer(ChunkLayer::new())
//!     .layer(CorrelateLayer::new())
//!     .service(transport);
//!
//! // A generated client's `InvoicesClient::new(channel)` holds one of these.
//! let mut client = tonic::client::Grpc::new(channel);
//! client.ready().await?;
//! # let request = tonic::Request::new(String::new());
//! # let path = http::uri::PathAndQuery::from_static("/billing.Invoices/Get");
//! # let codec = text::Text;
//! let status = client.unary(request, path, codec).await.unwrap_err();
//! assert_eq!(status.code(), tonic::Code::Unavailable);
//! assert_eq!(status.message(), "no healthy agent");
//! # Ok(())
//! # }
//! # mod text {
//! #     use bytes::{Buf, BufMut};
//! #     use tonic::{Status, codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder}};
//! #     pub struct Text;
//! #     impl Codec for Text {
//! #         type Encode = String;
//! #         type Decode = String;
//! #         type Encoder = Self;
//! #         type Decoder = Self;
//! #         fn encoder(&mut self) -> Self { Self }
//! #         fn decoder(&mut self) -> Self { Self }
//! #     }
//! #     impl Encoder for Text {
//! #         type Item = String;
//! #         type Error = Status;
//! #         fn encode(&mut self, item: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> { to.put(item.as_bytes()); Ok(()) }
//! #     }
//! #     impl Decoder for Text {
//! #         type Item = String;
//! #         type Error = Status;
//! #         fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
//! #             from.advance(from.remaining());
//! #             Ok(Some(String::new()))
//! #         }
//! #     }
//! # }
//! ```
//!
//! With a gateway at hand, [`GroupExt::group`](crate::target) gives that stack under one name: `gateway.group(name)`.
//!
//! The other way round, [`ClientExt::client`](crate::target) of an agent gives the same stack around the agent's gateways:
//! `agent.client()`.
//!
//! # Order
//!
//! Outermost, or just inside [`TraceIdLayer`](crate::trace_id) when requests name their host, because layers admit the
//! requests that they see and a request without a host is refused. It stands in the place of
//! [`RouteLayer`](crate::route); inside it, its target holds.

#[cfg(all(
    feature = "balance",
    feature = "chunk",
    feature = "correlate",
    feature = "deadline",
    feature = "rescue",
    feature = "upgrade"
))]
mod channel;
mod future;
mod layer;
mod service;
#[cfg(all(test, feature = "full"))]
mod tests;

#[cfg(all(
    feature = "balance",
    feature = "chunk",
    feature = "correlate",
    feature = "deadline",
    feature = "rescue",
    feature = "upgrade"
))]
pub use self::channel::{ClientExt, GATEWAY, GroupChannel, GroupExt};
pub use self::{future::ResponseFuture, layer::TargetLayer, service::ToTarget};
