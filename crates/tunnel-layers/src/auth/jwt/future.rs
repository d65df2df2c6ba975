use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::oneshot;
use tunnel_core::auth::Rejection;

use super::{
    Shared, Source, Verdict,
    remote::{Fetched, Remote},
    verify::Outcome,
};

/// The future of [`Jwt`](super::Jwt). It waits only for keys that are not known yet. Dropping it leaves a call for them alone.
pub struct JwtFuture {
    shared: Arc<Shared>,
    /// None when it is over.
    token: Option<Result<Box<str>, Rejection>>,
    waiting: Option<oneshot::Receiver<Fetched>>,
}

impl JwtFuture {
    pub(super) const fn new(shared: Arc<Shared>, token: Result<Box<str>, Rejection>) -> Self {
        Self {
            shared,
            token: Some(token),
            waiting: None,
        }
    }
}

impl Future for JwtFuture {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let token = match &this.token {
            Some(Ok(token)) => token,
            Some(Err(rejection)) => return Poll::Ready(Err(rejection.clone())),
            // It was polled after its end.
            None => return Poll::Pending,
        };
        let verdict = match &mut this.waiting {
            None => match ask(&this.shared, token) {
                Ok(verdict) => verdict,
                Err(mut receiver) => {
                    let Poll::Ready(fetched) = Pin::new(&mut receiver).poll(cx) else {
                        this.waiting = Some(receiver);
                        return Poll::Pending;
                    };
                    again(&this.shared, token, fetched)
                }
            },
            Some(receiver) => again(&this.shared, token, ready!(Pin::new(receiver).poll(cx))),
        };
        this.token = None;
        Poll::Ready(verdict)
    }
}

/// The verdict, or what to wait for.
fn ask(shared: &Shared, token: &str) -> Result<Verdict, oneshot::Receiver<Fetched>> {
    let remote = match &shared.source {
        Source::Fixed(keys) => {
            return Ok(match shared.check(token, keys, 0) {
                Outcome::Verdict(verdict) => verdict,
                Outcome::UnknownKey => shared.demands.unknown_key(),
            });
        }
        Source::Remote(remote) => remote,
    };
    let now = remote.now();
    if let Some(keys) = &now.keys
        && let Outcome::Verdict(verdict) = shared.check(token, keys, now.generation)
    {
        if now.is_old {
            // Nobody waits for it: what is known still serves.
            drop(remote.refresh());
        }
        return Ok(verdict);
    }
    match remote.refresh() {
        Some(receiver) => Err(receiver),
        None if now.keys.is_none() || now.failed => Ok(Err(Remote::unavailable())),
        None => Ok(shared.demands.unknown_key()),
    }
}

/// The verdict by the keys that have come.
fn again(shared: &Shared, token: &str, fetched: Result<Fetched, oneshot::error::RecvError>) -> Verdict {
    fetched.unwrap_or_else(|_| Err(Remote::unavailable()))?;
    let now = match &shared.source {
        Source::Remote(remote) => Some(remote.now()),
        Source::Fixed(_) => None,
    };
    let keys = now.and_then(|now| Some((now.keys?, now.generation)));
    match keys.map(|(keys, generation)| shared.check(token, &keys, generation)) {
        Some(Outcome::Verdict(verdict)) => verdict,
        Some(Outcome::UnknownKey) => shared.demands.unknown_key(),
        None => Err(Remote::unavailable()),
    }
}

impl fmt::Debug for JwtFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtFuture").finish_non_exhaustive()
    }
}
