//! Decides where a request goes.
//!
//! [`Rules`] are compiled once from a list of [`Rule`]s. [`RouteLayer`] looks up the first rule that a request matches, puts
//! [`Routed`](tunnel_core::Routed) (the rule's id, target and timeouts) into its extensions, applies the rule's rewrites, and
//! hands it to the wrapped service; on the way back it changes the response's headers. A rule may also answer itself. What
//! no rule matches, and no agent has registered, goes to the service given to [`RouteLayer::or`], else it is answered 404, or NOT_FOUND.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::{BoxError, Routed};
//! use tunnel_layers::route::{RouteLayer, Rule, Rules};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let rules = Rules::compile([
//!     Rule::group("api", "billing".parse()?).host("*.example.com").path_prefix("/api").strip_prefix(),
//! ])?;
//! let service = ServiceBuilder::new()
//!     .layer(RouteLayer::new(rules))
//!     .service(service_fn(|request: Request<String>| async move {
//!         let rule = request.extensions().get::<Routed>().unwrap().rule.clone();
//!         Ok::<_, BoxError>(Response::new(format!("{rule} {}", request.uri().path())))
//!     }));
//!
//! let to = |path: &str| Request::builder().uri(path).header("host", "eu.example.com").body(String::new()).unwrap();
//! let answer = service.clone().oneshot(to("/api/invoices")).await?;
//! # use http_body_util::BodyExt;
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), "api /invoices");
//!
//! let answer = service.oneshot(to("/other")).await?;
//! assert_eq!(answer.status(), 404);
//! # Ok(())
//! # }
//! ```
//!
//! # Which rule is first
//!
//! The one with the higher priority. Among equal ones the more specific: by host (exact, then `*.` with the longer name, then
//! none), then by path:
//!
//! 1. a gRPC method,
//! 2. an exact path,
//! 3. a gRPC service,
//! 4. a prefix of gRPC services, the longer one first,
//! 5. any call of gRPC,
//! 6. a prefix of the path, the longer one first,
//! 7. a pattern,
//! 8. none.
//!
//! What is still equal is tried in the order of declaration. Host and path are those of [`Canonical`](tunnel_core::admit::Canonical), never what a header says, so
//! that auth and routing cannot be told two different things; a rewrite does not change them.
//!
//! A lookup costs a few hash lookups (for the host and the names above it, for the path and its prefixes, and if there are rules
//! for gRPC, for the service and the packages around it), whatever the number of rules; only rules that share host and path,
//! or that have a pattern or no path, are tried one by one.
//!
//! # gRPC
//!
//! Rules may name what is called: [`grpc_service`](Rule::grpc_service), [`grpc_service_prefix`](Rule::grpc_service_prefix),
//! [`grpc_method`](Rule::grpc_method), or [`grpc`](Rule::grpc) for any call. They match only requests that are gRPC by their
//! content type, so a page at the same path is another rule's. The path is taken apart once a request, and only if there is a
//! rule for it.
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use tunnel_core::{BoxError, Routed};
//! # use tunnel_layers::route::{RouteLayer, Rule, Rules};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let rules = Rules::compile([
//!     Rule::group("acme", "acme".parse()?).grpc_service_prefix("acme."),
//!     Rule::group("invoices", "billing".parse()?).grpc_service("acme.billing.v1.Invoices"),
//! ])?;
//! # let service = ServiceBuilder::new()
//! #     .layer(RouteLayer::new(rules))
//! #     .service(service_fn(|request: Request<String>| async move {
//! #         let rule = request.extensions().get::<Routed>().unwrap().rule.clone();
//! #         Ok::<_, BoxError>(Response::new(rule.to_string()))
//! #     }));
//! let call = Request::post("http://example.com/acme.billing.v1.Invoices/Get")
//!     .header("host", "example.com")
//!     .header("content-type", "application/grpc")
//!     .body(String::new())?;
//! let answer = service.oneshot(call).await?;
//! # use http_body_util::BodyExt;
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), "invoices");
//! # Ok(())
//! # }
//! ```
//!
//! Agents bring services of their own. With [`RouteLayer::services`], a call that no rule matches goes to the group whose agents
//! registered the service, so that nobody types its name twice; a rule for the same service comes first.
//!
//! # Hosts of agents
//!
//! Agents may also bring the hosts that they serve. A rule with [`registered_hosts`](Rule::registered_hosts) matches only those of its
//! group's connected agents, as [`RouteLayer::hosts`] knows them, and its requests go only to agents that have registered the host. So
//! one rule serves many customers, each by agents of their own; what nobody has registered is the next rule's, or a miss.
//!
//! # WebSocket
//!
//! [`protocol`](Rule::protocol) makes a rule one for [`WebSocket`](RuleProtocol::WebSocket), or for another
//! [`RuleProtocol`]. It does not make a rule more specific, so of two rules with the same host and path the one with a
//! protocol is declared first.
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use tunnel_core::{BoxError, Routed};
//! # use tunnel_layers::route::{RouteLayer, Rule, RuleProtocol, Rules};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let rules = Rules::compile([
//!     Rule::group("sockets", "chat".parse()?).path_prefix("/chat").protocol(RuleProtocol::WebSocket),
//!     Rule::group("pages", "web".parse()?),
//! ])?;
//! # let service = ServiceBuilder::new()
//! #     .layer(RouteLayer::new(rules))
//! #     .service(service_fn(|request: Request<String>| async move {
//! #         let rule = request.extensions().get::<Routed>().unwrap().rule.clone();
//! #         Ok::<_, BoxError>(Response::new(rule.to_string()))
//! #     }));
//! let handshake = Request::get("http://example.com/chat")
//!     .header("host", "example.com")
//!     .header("connection", "upgrade")
//!     .header("upgrade", "websocket")
//!     .body(String::new())?;
//! let page = Request::get("http://example.com/chat").header("host", "example.com").body(String::new())?;
//! for (request, rule) in [(handshake, "sockets"), (page, "pages")] {
//!     let answer = service.clone().oneshot(request).await?;
//! #   use http_body_util::BodyExt;
//!     assert_eq!(answer.into_body().collect().await?.to_bytes(), rule);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Upstreams
//!
//! A rule may also send requests to an upstream that this process reaches itself. Such rules are an error of
//! [`Rules::compile`], and [`Rules::compile_with_upstreams`] makes another type of them, which only
//! [`RouteLayer::with_upstreams`] takes, with the service for upstreams. It returns the layer and a [`SplitLayer`]:
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! # use tunnel_core::BoxError;
//! # use tunnel_layers::route::{RouteLayer, Rule, Rules};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let agents = service_fn(|_: Request<String>| async { Ok::<_, BoxError>(Response::new(String::from("agent"))) });
//! # let upstreams = service_fn(|_: Request<String>| async { Ok::<_, BoxError>(Response::new(String::from("upstream"))) });
//! let rules = Rules::compile_with_upstreams([Rule::upstream("static", "files").path_prefix("/static")])?;
//! let (route, split) = RouteLayer::with_upstreams(rules, upstreams);
//! let service = ServiceBuilder::new()
//!     .layer(route)
//!     // auth, limits and deadline stand here, for both
//!     .layer(split)
//!     // balance and the rest of the tunnel stand here
//!     .service(agents);
//!
//! # use http_body_util::BodyExt;
//! let request = Request::builder().uri("/static/a.css").header("host", "example.com").body(String::new())?;
//! let answer = service.oneshot(request).await?;
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), "upstream");
//! # Ok(())
//! # }
//! ```
//!
//! # Rules that change
//!
//! [`RouteLayer::handle`] gives a [`RouteHandle`], by which all rules are replaced at once while they are in use. A request keeps the
//! rule that it has matched.
//!
//! # Order
//!
//! Inside [`RescueLayer`](crate::rescue) and [`TraceIdLayer`](crate::trace_id); outside auth, limits and
//! [`DeadlineLayer`](crate::deadline), which read what the rule asks for, and which a miss must not cost anything. It is
//! always ready, because axum asks for readiness once a request and never waits with it: the wrapped services become ready
//! inside the future, so that load that they cannot take has to be shed, or waits there.

mod access;
mod body;
mod compiled;
mod error;
pub mod future;
mod grpc;
mod handle;
mod host;
mod layer;
mod limits;
mod not_found;
mod protocol;
mod registered;
mod rewrite;
mod rule;
mod rules;
mod service;
mod split;

pub use self::{
    body::EitherBody,
    compiled::{MAX_ID_BYTES, MAX_PATTERN_BYTES},
    error::RuleError,
    handle::{NoUpstreams, RouteHandle},
    layer::RouteLayer,
    not_found::NotFound,
    protocol::RuleProtocol,
    rule::{Action, Rule},
    rules::{MAX_RULES, Rules, RulesWithUpstreams},
    service::Route,
    split::{Split, SplitLayer},
};

#[cfg(all(test, feature = "full"))]
mod tests;
