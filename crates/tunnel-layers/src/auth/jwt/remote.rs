//! Keys that an issuer publishes.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::{sync::oneshot, time::Instant};
use tunnel_core::auth::Rejection;

use super::keys::JwtKeys;
use crate::{
    auth::fetch::{FetchLimits, HttpClient},
    flight::Flights,
};

/// The largest JWK Set that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// How long one call may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The least time between two calls, however many tokens name keys that are not known: those may come from anybody.
pub const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// When keys are asked for again while the ones that are known still serve, so that those that an issuer takes back go.
pub const REFRESH_AFTER: Duration = Duration::from_secs(600);

/// When keys are no longer believed, because their issuer was out of reach for so long.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// What came of a call.
pub(super) type Fetched = Result<(), Rejection>;

/// Spawns the call, and knows the client, so that nobody else has to.
type Fetch = Box<dyn Fn(&Arc<Shared>) -> Option<oneshot::Receiver<Fetched>> + Send + Sync>;

/// The keys of an issuer, as it publishes them.
pub(super) struct Remote {
    shared: Arc<Shared>,
    fetch: Fetch,
}

struct Shared {
    uri: Uri,
    state: Mutex<State>,
    calls: Arc<Flights<(), Fetched>>,
}

#[derive(Default)]
struct State {
    keys: Option<Known>,
    /// How often keys have come.
    generation: u64,
    /// When a call was last begun, and whether it failed.
    tried: Option<Instant>,
    failed: bool,
}

struct Known {
    keys: Arc<JwtKeys>,
    since: Instant,
}

/// What there is at the moment.
pub(super) struct Now {
    pub(super) keys: Option<Arc<JwtKeys>>,
    /// Which these are, in the order in which they came.
    pub(super) generation: u64,
    /// They should be asked for again.
    pub(super) is_old: bool,
    /// The last call failed.
    pub(super) failed: bool,
}

impl Remote {
    pub(super) fn new(uri: Uri, client: impl HttpClient) -> Self {
        let shared = Arc::new(Shared {
            uri,
            state: Mutex::default(),
            calls: Flights::new(1),
        });
        let fetch = Box::new(move |shared: &Arc<Shared>| {
            let work = || fetch(shared.clone(), client.clone());
            shared.calls.join(&(), work)
        });
        Self { shared, fetch }
    }

    pub(super) fn now(&self) -> Now {
        let state = self.shared.state();
        let known = state
            .keys
            .as_ref()
            .filter(|known| known.since.elapsed() < MAX_AGE);
        Now {
            keys: known.map(|known| known.keys.clone()),
            generation: state.generation,
            is_old: known.is_none_or(|known| known.since.elapsed() >= REFRESH_AFTER),
            failed: state.failed,
        }
    }

    /// Asks the issuer, or waits with those who have; none if somebody has a moment ago.
    pub(super) fn refresh(&self) -> Option<oneshot::Receiver<Fetched>> {
        {
            let mut state = self.shared.state();
            let too_soon = state
                .tried
                .is_some_and(|tried| tried.elapsed() < MIN_REFRESH_INTERVAL);
            if too_soon && !self.shared.calls.is_under_way(&()) {
                return None;
            }
            if !too_soon {
                state.tried = Some(Instant::now());
            }
        }
        (self.fetch)(&self.shared)
    }

    pub(super) fn unavailable() -> Rejection {
        Rejection::unavailable("the keys of the token's issuer are out of reach")
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(shared: Arc<Shared>, client: impl HttpClient) -> Fetched {
    let result = keys(&shared.uri, client).await;
    let mut state = shared.state();
    state.failed = result.is_err();
    let keys = result.inspect_err(|rejection| log(&shared.uri, rejection))?;
    state.generation += 1;
    state.keys = Some(Known {
        keys: Arc::new(keys),
        since: Instant::now(),
    });
    Ok(())
}

async fn keys(uri: &Uri, client: impl HttpClient) -> Result<JwtKeys, Rejection> {
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri.clone();
    let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
    request.headers_mut().insert(header::ACCEPT, accept);
    let limits = FetchLimits {
        bytes: MAX_BYTES,
        time: FETCH_TIMEOUT,
    };
    let (status, body) = client
        .fetch(request, limits)
        .await
        .map_err(|error| Remote::unavailable().with_source(error))?;
    if status != StatusCode::OK {
        return Err(Remote::unavailable().with_source(format!("the issuer answered {status}")));
    }
    JwtKeys::public_jwks(&body).map_err(|error| Remote::unavailable().with_source(error))
}

/// While old keys serve, nobody else would hear of it.
fn log(uri: &Uri, rejection: &Rejection) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        host = uri.host(), error = %rejection, source = std::error::Error::source(rejection),
        "the keys of an issuer were not read"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (uri, rejection);
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("host", &self.shared.uri.host())
            .finish_non_exhaustive()
    }
}
