//! Asks callers who they are.
//!
//! [`AuthLayer`] shows the head of each request to an [`Authenticator`], and never its body. A caller that is taken is a
//! [`Principal`](tunnel_core::Principal) in the request's extensions, where limits, logs and your own code find it; any other is answered at once:
//!
//! | the caller | HTTP | gRPC |
//! | --- | --- | --- |
//! | showed no credentials, or wrong ones | 401 and `WWW-Authenticate` | UNAUTHENTICATED |
//! | showed credentials twice | 400 (RFC 6750, section 3.1) | INTERNAL |
//! | is known and may not do this | 403 | PERMISSION_DENIED |
//! | could not be found out about, because what decides was not there | 503 and `Retry-After` | UNAVAILABLE |
//!
//! The last one fails closed, and is no 401, because a client that is told so throws good credentials away.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tunnel_core::Principal;
//! use tunnel_layers::auth::{AuthLayer, BearerToken, BearerTokens};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tunnel_core::BoxError> {
//! let tokens = BearerTokens::new([BearerToken::new("ci", "correct-horse-battery")?])?;
//! let service = ServiceBuilder::new()
//!     .layer(AuthLayer::new(tokens))
//!     .service(service_fn(|request: Request<_>| async move {
//!         let who = request.extensions().get::<Principal>().unwrap().name().to_owned();
//!         Ok::<_, Infallible>(Response::new(who))
//!     }));
//!
//! let request = Request::builder().header("host", "example.com");
//! let answer = service.clone().oneshot(request.body(String::new())?).await?;
//! assert_eq!(answer.status(), 401);
//! assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"tunnel\"");
//!
//! let request = Request::builder()
//!     .header("host", "example.com")
//!     .header("authorization", "Bearer correct-horse-battery");
//! let answer = service.oneshot(request.body(String::new())?).await?;
//! # use http_body_util::BodyExt;
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), "ci");
//! # Ok(())
//! # }
//! ```
//!
//! # Authenticators
//!
//! | | takes | feature |
//! | --- | --- | --- |
//! | [`BearerTokens`] | tokens that are configured (RFC 6750) | `auth` |
//! | [`Basic`] | names and passwords of an htpasswd file (RFC 7617), hashed by bcrypt or Argon2id | `auth-basic` |
//! | [`Jwt`] | signed tokens (RFC 7519), by keys that are given or that the issuer publishes | `auth-jwt` |
//! | [`Introspection`] | tokens that an authorization server calls active (RFC 7662) | `auth-introspection` |
//! | [`MutualTls`] | certificates that the server has verified, by their names | `auth` |
//! | [`AgentCallers`] | agents, by the session through which their requests come | `auth` |
//! | [`auth_fn`] | what your own `async fn` takes | `auth` |
//! | [`AnyOf`], [`AllOf`], [`Require`] | what others take, combined, or with certain claims | `auth` |
//! | [`Replaceable`] | what another one takes, which can be replaced while it is in use | `auth` |
//!
//! # Rules
//!
//! A rule of [`RouteLayer`](crate::route) may be public, or name one of several [`Policies`]. Without a rule, or where it says
//! nothing, the default holds.
//!
//! Browsers ask by OPTIONS whether they may send credentials, and send none with that (CORS): where an app answers it, a rule
//! for the method has to be public.
//!
//! # The principal
//!
//! [`AuthLayer::principal_header`] tells the service inside who calls, in a header that outsiders cannot forge: what they send
//! under that name is taken away first, from every request that passes here, its trailers included. A request that leaves the stack further out (a miss
//! that [`RouteLayer::or`](crate::route::RouteLayer::or) gives to another service) does not pass here.
//!
//! With the feature `tracing`, the field `enduser.id` of the span around it has the name.
//!
//! # What outlives its credentials
//!
//! Credentials are checked once, when the request comes. [`AuthLayer::end_at_expiry`] also ends what is still open when they
//! expire, if that is known ([`Principal::expires`](tunnel_core::Principal::expires)):
//!
//! * before the head, the caller is answered 401, or UNAUTHENTICATED;
//! * after the head of a gRPC response, trailers say UNAUTHENTICATED and the body ends;
//! * after any other head, the body fails, so that the server breaks the transfer;
//! * a stream of another protocol outlives the response that switched to it, and this layer does not see it. So the end stands in
//!   the request's extensions as [`Expiry`](tunnel_core::route::Expiry), for whoever carries the stream to end it then:
//!   [`UpgradeLayer`](crate::upgrade) does, and a WebSocket client hears a Close with 1008.
//!
//! # Order
//!
//! Inside [`RouteLayer`](crate::route), which knows the rule's policy, and outside limits by principal. It is always ready, and
//! waits in its future until the wrapped service is, so that callers that are not let in take no place in it. An upgrade (a
//! WebSocket) is asked for by a request like any other; what flows after it is not looked at. What it wraps gets requests with
//! a [`CleanBody`].

mod agents;
mod authorization;
#[cfg(feature = "auth-basic")]
mod basic;
mod bearer;
mod body;
#[cfg(any(feature = "auth-basic", feature = "auth-introspection", feature = "auth-jwt"))]
mod cache;
mod challenge;
mod combine;
mod error;
mod expiry;
#[cfg(any(feature = "auth-introspection", feature = "auth-jwt"))]
mod fetch;
mod forward;
pub mod future;
#[cfg(feature = "auth-introspection")]
mod introspection;
#[cfg(feature = "auth-jwt")]
mod jwt;
mod layer;
#[cfg(any(feature = "auth-basic", feature = "auth-introspection"))]
mod lookup;
mod mutual_tls;
mod policies;
mod replaceable;
mod require;
mod san;
mod service;

pub use tunnel_core::auth::{
    AuthParts, AuthRequest, Authenticator, BoxAuthenticator, Decision, Rejection, auth_fn,
};

#[cfg(feature = "auth-basic")]
pub use self::basic::{Basic, BasicFuture, DEFAULT_REMEMBER, Htpasswd, MAX_USER_BYTES, MAX_USERS};
#[cfg(any(feature = "auth-introspection", feature = "auth-jwt"))]
pub use self::fetch::{FetchError, FetchLimits, HttpClient};
#[cfg(feature = "auth-introspection")]
pub use self::introspection::{
    DEFAULT_ACTIVE_TIME, DEFAULT_CALL_TIMEOUT, DEFAULT_INACTIVE_TIME, Introspection, IntrospectionBuilder,
    IntrospectionFuture,
};
#[cfg(feature = "auth-jwt")]
pub use self::jwt::{
    DEFAULT_JWT_REMEMBER, DEFAULT_LEEWAY, Jwt, JwtAlgorithm, JwtBuilder, JwtFuture, JwtKeys, MAX_AGE,
    MAX_KEYS, MAX_LEEWAY, MIN_REFRESH_INTERVAL, MIN_SECRET_BYTES, REFRESH_AFTER,
};
pub use self::{
    agents::AgentCallers,
    bearer::{BearerToken, BearerTokens, MAX_TOKENS, MIN_TOKEN_BYTES},
    body::{AuthBody, CleanBody},
    challenge::Realm,
    combine::{AllOf, AllOfFuture, AnyOf, AnyOfFuture},
    error::AuthConfigError,
    layer::AuthLayer,
    mutual_tls::MutualTls,
    policies::Policies,
    replaceable::Replaceable,
    require::{Require, RequireFuture},
    san::SanPattern,
    service::Auth,
};

#[cfg(all(test, feature = "full"))]
mod test_server;
#[cfg(all(test, feature = "full"))]
mod tests;
