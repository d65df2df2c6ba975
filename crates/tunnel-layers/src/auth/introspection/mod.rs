//! Tokens that an authorization server knows (RFC 7662).

mod answer;
mod call;
mod future;
#[cfg(all(test, feature = "full"))]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Uri};
use sha2::{Digest, Sha256};
use tokio::{sync::oneshot, time::Instant};
use tunnel_core::auth::{AuthRequest, Authenticator, Rejection};

pub use self::future::IntrospectionFuture;
use self::{answer::Demands, call::Endpoint};
use super::{
    AuthConfigError, HttpClient, Realm,
    cache::{Cache, MAX_REMEMBERED, Weight},
    challenge::BearerChallenge,
    lookup::{Asked, Question, Verdict},
};
use crate::flight::Flights;

/// How long a token that is active is not asked about again, unless set otherwise: a token that is taken back still works for
/// so long.
pub const DEFAULT_ACTIVE_TIME: Duration = Duration::from_secs(60);

/// How long a token that is not active is not asked about again, unless set otherwise.
pub const DEFAULT_INACTIVE_TIME: Duration = Duration::from_secs(10);

/// How long the server may take, unless set otherwise.
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The most tokens that are asked about at a time; for more, callers are answered 503.
const MAX_CALLS: usize = 128;

/// What an [`Introspection`] has to know.
#[must_use]
pub struct IntrospectionBuilder<C> {
    uri: Uri,
    client: C,
    authorization: Option<HeaderValue>,
    demands: Demands,
    active: Duration,
    inactive: Duration,
    timeout: Duration,
    realm: Realm,
}

/// Takes callers that show a token which an authorization server calls active (RFC 7662).
///
/// Answers are remembered: that a token is active for [`DEFAULT_ACTIVE_TIME`], but not longer than it is valid, and that it is
/// not for [`DEFAULT_INACTIVE_TIME`]. What is remembered is the SHA-256 of the token. However many requests show the same
/// token, the server is asked once at a time. If it does not answer, callers get 503: it fails closed, and it is no 401,
/// because clients would throw away tokens that may be good.
///
/// ```
/// # use std::convert::Infallible;
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use http_body_util::Full;
/// use tunnel_layers::auth::{AuthLayer, Introspection};
///
/// # let client = tower::service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
/// let introspection = Introspection::builder("https://id.example.com/introspect".parse()?, client)
///     .client_credentials("gateway", "a secret that the server knows")
///     .audience("api")
///     .build()?;
/// let layer = AuthLayer::new(introspection);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Introspection(Arc<Shared>);

type Key = [u8; 32];

/// Spawns the call, and knows the client, so that nobody else has to.
type Call = Box<dyn Fn(&Arc<Shared>, Key, Box<str>) -> Option<oneshot::Receiver<Verdict>> + Send + Sync>;

struct Shared {
    endpoint: Endpoint,
    demands: Demands,
    active: Duration,
    inactive: Duration,
    challenge: BearerChallenge,
    taken: Cache<Key, Verdict>,
    /// Apart from the others, so that tokens that somebody made up do not push out good ones.
    refused: Cache<Key, Verdict>,
    calls: Arc<Flights<Key, Verdict>>,
    call: Call,
}

impl Introspection {
    /// Asks the server at `uri` by `client`, on the tokio runtime that polls the futures. Tokens go there: use `https` but
    /// within one machine.
    pub fn builder<C: HttpClient>(uri: Uri, client: C) -> IntrospectionBuilder<C> {
        IntrospectionBuilder {
            uri,
            client,
            authorization: None,
            demands: Demands::default(),
            active: DEFAULT_ACTIVE_TIME,
            inactive: DEFAULT_INACTIVE_TIME,
            timeout: DEFAULT_CALL_TIMEOUT,
            realm: Realm::default(),
        }
    }
}

impl<C: HttpClient> IntrospectionBuilder<C> {
    /// Who we are to the server: a client with a secret. These, or [`bearer`](Self::bearer), have to be set.
    pub fn client_credentials(mut self, client_id: &str, secret: &str) -> Self {
        self.authorization = Some(call::basic(client_id, secret));
        self
    }

    /// Who we are to the server: the bearer of a token.
    ///
    /// # Errors
    ///
    /// The token cannot stand in a header.
    pub fn bearer(mut self, token: &str) -> Result<Self, AuthConfigError> {
        let value = super::authorization::token68(token.as_bytes())
            .and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let mut value = value.ok_or_else(|| {
            AuthConfigError::new("introspection", "our own token has characters that no token has")
        })?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// Takes only tokens for this audience (`aud`), which the server then has to tell.
    pub fn audience(mut self, audience: impl Into<Box<str>>) -> Self {
        self.demands.audience = Some(audience.into());
        self
    }

    /// Takes only tokens of this issuer (`iss`), which the server then has to tell.
    pub fn issuer(mut self, issuer: impl Into<Box<str>>) -> Self {
        self.demands.issuer = Some(issuer.into());
        self
    }

    /// How long a token that is active is not asked about again; zero asks for every request.
    pub fn active_time(mut self, time: Duration) -> Self {
        self.active = time;
        self
    }

    /// How long a token that is not active is not asked about again.
    pub fn inactive_time(mut self, time: Duration) -> Self {
        self.inactive = time;
        self
    }

    /// How long the server may take.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// What callers are told that their tokens are for.
    pub fn realm(mut self, realm: Realm) -> Self {
        self.realm = realm;
        self
    }

    /// Makes the authenticator.
    ///
    /// # Errors
    ///
    /// The address is no URL of `http` or `https`, or nobody said who we are to the server, which has to know (RFC 7662,
    /// section 2.1).
    pub fn build(self) -> Result<Introspection, AuthConfigError> {
        let missing = || {
            AuthConfigError::new(
                "introspection",
                "say who we are to the server: it answers nobody else",
            )
        };
        let authorization = self.authorization.ok_or_else(missing)?;
        let client = self.client;
        let call: Call = Box::new(move |shared, key, token| {
            let work = || ask(shared.clone(), key, token, client.clone());
            shared.calls.join(&key, work)
        });
        Ok(Introspection(Arc::new(Shared {
            endpoint: Endpoint::new(self.uri, authorization, self.timeout)?,
            demands: self.demands,
            active: self.active,
            inactive: self.inactive,
            challenge: BearerChallenge::new(self.realm),
            taken: Cache::new(MAX_REMEMBERED),
            refused: Cache::new(MAX_REMEMBERED),
            calls: Flights::new(MAX_CALLS),
            call,
        })))
    }
}

async fn ask(shared: Arc<Shared>, key: Key, token: Box<str>, client: impl HttpClient) -> Verdict {
    // What did not come is not remembered.
    let answer = shared.endpoint.clone().ask(token, client).await?;
    let wall = SystemTime::now();
    let now = Instant::now();
    match answer.judge(&shared.demands, wall) {
        Ok(principal) => {
            let left = principal
                .expires()
                .map(|expires| expires.duration_since(wall).unwrap_or_default());
            let time = left.map_or(shared.active, |left| left.min(shared.active));
            shared.taken.put(key, Ok(principal.clone()), now + time);
            Ok(principal)
        }
        Err(reason) => {
            let refused: Verdict = Err(shared.challenge.invalid(reason));
            shared.refused.put(key, refused.clone(), now + shared.inactive);
            refused
        }
    }
}

impl Weight for Verdict {
    fn bytes(&self) -> usize {
        match self {
            Ok(principal) => principal.bytes(),
            Err(rejection) => rejection.challenges().iter().map(HeaderValue::len).sum(),
        }
    }
}

/// What a request asks of the server.
pub(super) struct Ask {
    shared: Arc<Shared>,
    token: Result<Box<str>, Rejection>,
}

impl Question for Ask {
    fn ask(self) -> Asked {
        let Self { shared, token } = self;
        let token = match token {
            Ok(token) => token,
            Err(rejection) => return Asked::Known(Err(rejection)),
        };
        let key: Key = Sha256::digest(token.as_bytes()).into();
        if let Some(verdict) = shared.taken.get(&key).or_else(|| shared.refused.get(&key)) {
            return Asked::Known(verdict);
        }
        match (shared.call)(&shared, key, token) {
            Some(receiver) => Asked::Waiting(receiver),
            None => Asked::Known(Err(Rejection::unavailable(
                "too many tokens are being asked about: try again",
            ))),
        }
    }
}

impl Authenticator for Introspection {
    type Future = IntrospectionFuture;

    fn authenticate(&self, request: &AuthRequest<'_>) -> IntrospectionFuture {
        let token = self.0.challenge.token(request.headers()).map(Into::into);
        let shared = self.0.clone();
        IntrospectionFuture::new(Ask { shared, token })
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("host", &self.0.endpoint.host())
            .field("demands", &self.0.demands)
            .finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for IntrospectionBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionBuilder")
            .field("host", &self.uri.host())
            .field("demands", &self.demands)
            .finish_non_exhaustive()
    }
}
