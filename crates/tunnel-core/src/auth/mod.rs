//! Who calls: the words that everybody shares who checks credentials, or reads what was found out.
//!
//! An [`Authenticator`] looks at the head of a request, never at its body, and answers a [`Principal`] or a [`Rejection`].
//! The guarding layer puts the principal into the request's extensions, where limits, logs and your own code find it. A
//! gateway may guard the port of its agents by the same authenticators.
//!
//! A plain `async fn` is one, by way of [`auth_fn`]:
//!
//! ```
//! use tunnel_core::auth::{AuthParts, Authenticator, Principal, Rejection, auth_fn};
//!
//! async fn by_key(request: AuthParts) -> Result<Principal, Rejection> {
//!     match request.headers.get("x-api-key").map(|key| key.as_bytes()) {
//!         Some(b"a secret that nobody knows") => Ok(Principal::new("partner", "api-key")),
//!         Some(_) => Err(Rejection::invalid("the key is not valid")),
//!         None => Err(Rejection::missing("send a key in x-api-key")),
//!     }
//! }
//!
//! fn is_authenticator<A: Authenticator>(_: A) {}
//! is_authenticator(auth_fn(by_key));
//! ```

mod agent;
mod authenticator;
mod boxed;
mod principal;
mod rejection;
mod request;
mod tls;

pub use self::{
    agent::AgentCaller,
    authenticator::{AuthFn, Authenticator, Decision, auth_fn},
    boxed::{BoxAuthFuture, BoxAuthenticator},
    principal::Principal,
    rejection::{Refusal, Rejection},
    request::{AuthParts, AuthRequest},
    tls::{SubjectAltName, TlsIdentity},
};
