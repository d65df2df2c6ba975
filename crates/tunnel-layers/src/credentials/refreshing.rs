use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderValue;
use tokio::{sync::oneshot, time::Instant};
use tunnel_core::BoxError;

use super::{Credentials, FixedCredentials};
use crate::flight::Flights;

/// The least time between two tries to get credentials, when the last one failed or what it got was refused.
pub const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(2);

/// Credentials, and for how long they are good.
#[derive(Clone, Debug)]
pub struct Fetched {
    credentials: FixedCredentials,
    good_for: Option<Duration>,
}

impl Fetched {
    /// Credentials that are good until somebody refuses them.
    #[must_use]
    pub const fn new(credentials: FixedCredentials) -> Self {
        Self {
            credentials,
            good_for: None,
        }
    }

    /// The same credentials, good for this long (`expires_in` of RFC 6749).
    #[must_use]
    pub const fn good_for(mut self, time: Duration) -> Self {
        self.good_for = Some(time);
        self
    }
}

/// Credentials that are fetched by an `async` function, and fetched anew: when four fifths of their time are over, while the
/// old ones still serve; and before the next request, when their time is over or a server refused them. However many requests
/// wait, they are fetched once at a time, by a task on the tokio runtime that polls the first of them.
///
/// ```
/// use std::time::Duration;
///
/// use tunnel_layers::credentials::{CredentialsLayer, Fetched, FixedCredentials, RefreshingCredentials};
///
/// let layer = CredentialsLayer::new(RefreshingCredentials::new(|| async {
///     // Here stands a call to whoever issues tokens.
///     let token = FixedCredentials::bearer("a-token-of-five-minutes")?;
///     Ok(Fetched::new(token).good_for(Duration::from_secs(300)))
/// }));
/// ```
#[derive(Clone)]
pub struct RefreshingCredentials(Arc<Shared>);

type Outcome = Result<HeaderValue, Arc<BoxError>>;

/// Spawns the function, and knows its type, so that nobody else has to.
type Fetch = Box<dyn Fn(&Arc<Shared>) -> Option<oneshot::Receiver<Outcome>> + Send + Sync>;

struct Shared {
    state: Mutex<State>,
    flights: Arc<Flights<(), Outcome>>,
    fetch: Fetch,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// When they were last fetched, or when that failed.
    tried: Option<Instant>,
}

struct Held {
    value: HeaderValue,
    /// When to fetch others, and when these are over.
    times: Option<(Instant, Instant)>,
}

impl RefreshingCredentials {
    /// Credentials that this function fetches. Nothing is fetched before the first request.
    pub fn new<F, Fut>(fetch: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Fetched, BoxError>> + Send + 'static,
    {
        let fetch: Fetch = Box::new(move |shared| {
            let begin = || {
                let (shared, fetching) = (shared.clone(), fetch());
                async move { shared.keep(fetching.await) }
            };
            shared.flights.join(&(), begin)
        });
        Self(Arc::new(Shared {
            state: Mutex::default(),
            flights: Flights::new(1),
            fetch,
        }))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, fetched: Result<Fetched, BoxError>) -> Outcome {
        let now = Instant::now();
        let mut state = self.state();
        state.tried = Some(now);
        let fetched = fetched.map_err(Arc::new)?;
        let value = fetched.credentials.into_value();
        let times = fetched.good_for.map(|time| (now + time / 5 * 4, now + time));
        state.held = Some(Held {
            value: value.clone(),
            times,
        });
        Ok(value)
    }

    /// What is there, if it is still good; others are fetched when its time comes.
    fn held(self: &Arc<Self>) -> Option<HeaderValue> {
        let now = Instant::now();
        let (value, is_old) = {
            let state = self.state();
            let held = state.held.as_ref()?;
            if held.times.is_some_and(|(_, over)| now >= over) {
                return None;
            }
            let is_old = held.times.is_some_and(|(old, _)| now >= old) && !state.tried_lately(now);
            (held.value.clone(), is_old)
        };
        if is_old {
            // Nobody waits for it.
            drop((self.fetch)(self));
        }
        Some(value)
    }

    fn begin(self: &Arc<Self>) -> Step {
        if let Some(value) = self.held() {
            return Step::Done(Ok(value));
        }
        // Those that fetch already are joined in any case.
        let too_soon = self.state().tried_lately(Instant::now()) && !self.flights.is_under_way(&());
        match (!too_soon).then(|| (self.fetch)(self)).flatten() {
            Some(receiver) => Step::Waiting(receiver),
            None => Step::Done(Err("the credentials could not be had a moment ago".into())),
        }
    }
}

impl State {
    fn tried_lately(&self, now: Instant) -> bool {
        self.tried
            .is_some_and(|tried| now.duration_since(tried) < MIN_FETCH_INTERVAL)
    }
}

impl Credentials for RefreshingCredentials {
    type Future = RefreshingFuture;

    fn credentials(&self) -> RefreshingFuture {
        RefreshingFuture(Step::Begin(self.0.clone()))
    }

    fn refused(&self, credentials: &HeaderValue) {
        let now = Instant::now();
        let mut state = self.0.state();
        let is_held = state.held.as_ref().is_some_and(|held| held.value == credentials);
        // Who refuses what was fetched just now would refuse the next as well.
        if is_held && !state.tried_lately(now) {
            state.held = None;
        }
    }
}

/// The future of [`RefreshingCredentials`]. Dropping it leaves what is being fetched alone.
pub struct RefreshingFuture(Step);

enum Step {
    Begin(Arc<Shared>),
    Waiting(oneshot::Receiver<Outcome>),
    Done(Result<HeaderValue, BoxError>),
    Over,
}

impl Future for RefreshingFuture {
    type Output = Result<HeaderValue, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.0 = match std::mem::replace(&mut self.0, Step::Over) {
                Step::Begin(shared) => shared.begin(),
                Step::Waiting(mut receiver) => match Pin::new(&mut receiver).poll(cx) {
                    Poll::Pending => {
                        self.0 = Step::Waiting(receiver);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(outcome)) => Step::Done(outcome.map_err(|error| Failed(error).into())),
                    Poll::Ready(Err(_)) => Step::Done(Err("fetching the credentials was broken off".into())),
                },
                Step::Done(result) => return Poll::Ready(result),
                Step::Over => return Poll::Pending,
            };
        }
    }
}

/// One failure, for all who waited.
#[derive(Debug)]
struct Failed(Arc<BoxError>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credentials could not be fetched")
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&**self.0)
    }
}

impl fmt::Debug for RefreshingCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshingCredentials").finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshingFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshingFuture").finish_non_exhaustive()
    }
}
