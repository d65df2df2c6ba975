//! Several authenticators as one.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tunnel_core::auth::{
    AuthRequest, Authenticator, BoxAuthFuture, BoxAuthenticator, Principal, Refusal, Rejection,
};

use super::AuthConfigError;

/// Takes callers that one of several authenticators takes. They are asked in their order, until one does.
///
/// If none does, the caller is told the most telling of the reasons: that it may not, that its request is malformed, that
/// nobody could say, that its credentials are not valid, or else that it showed none; and all that would be taken.
#[derive(Clone)]
pub struct AnyOf(Arc<[BoxAuthenticator]>);

/// Takes callers that each of several authenticators takes. They are asked in their order, until one does not.
///
/// The principal is that of the first; it gets the claims of the others where it has none of that name, and is valid as long
/// as all of them are.
#[derive(Clone)]
pub struct AllOf(Arc<[BoxAuthenticator]>);

impl AnyOf {
    /// One of these.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn new(authenticators: impl IntoIterator<Item = BoxAuthenticator>) -> Result<Self, AuthConfigError> {
        some(authenticators).map(Self)
    }
}

impl AllOf {
    /// All of these.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn new(authenticators: impl IntoIterator<Item = BoxAuthenticator>) -> Result<Self, AuthConfigError> {
        some(authenticators).map(Self)
    }
}

fn some(
    authenticators: impl IntoIterator<Item = BoxAuthenticator>,
) -> Result<Arc<[BoxAuthenticator]>, AuthConfigError> {
    let list: Arc<[_]> = authenticators.into_iter().collect();
    if list.is_empty() {
        return Err(AuthConfigError::empty("authenticators"));
    }
    Ok(list)
}

/// In the order in which they are asked, the next one last.
fn questions(list: &[BoxAuthenticator], request: &AuthRequest<'_>) -> Vec<BoxAuthFuture> {
    list.iter()
        .rev()
        .map(|authenticator| authenticator.authenticate(request))
        .collect()
}

impl Authenticator for AnyOf {
    type Future = AnyOfFuture;

    fn authenticate(&self, request: &AuthRequest<'_>) -> AnyOfFuture {
        AnyOfFuture {
            left: questions(&self.0, request),
            refused: None,
        }
    }
}

impl Authenticator for AllOf {
    type Future = AllOfFuture;

    fn authenticate(&self, request: &AuthRequest<'_>) -> AllOfFuture {
        AllOfFuture {
            left: questions(&self.0, request),
            taken: None,
        }
    }
}

/// The future of [`AnyOf`].
pub struct AnyOfFuture {
    left: Vec<BoxAuthFuture>,
    refused: Option<Rejection>,
}

impl Future for AnyOfFuture {
    type Output = Result<Principal, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some(next) = self.left.last_mut() {
            match ready!(next.as_mut().poll(cx)) {
                Ok(principal) => return Poll::Ready(Ok(principal)),
                Err(rejection) => {
                    self.left.pop();
                    let refused = match self.refused.take() {
                        Some(other) => merge(other, rejection),
                        None => rejection,
                    };
                    self.refused = Some(refused);
                }
            }
        }
        match self.refused.take() {
            Some(rejection) => Poll::Ready(Err(rejection)),
            // It was polled after its end.
            None => Poll::Pending,
        }
    }
}

/// The more telling of the two, with the challenges of both.
fn merge(first: Rejection, second: Rejection) -> Rejection {
    let rank = |rejection: &Rejection| match rejection.refusal() {
        Refusal::Missing => 0,
        Refusal::Invalid => 1,
        Refusal::Unavailable => 2,
        Refusal::Malformed => 3,
        Refusal::Forbidden => 4,
    };
    let challenges: Vec<_> = first
        .challenges()
        .iter()
        .chain(second.challenges())
        .cloned()
        .collect();
    let telling = if rank(&second) > rank(&first) {
        second
    } else {
        first
    };
    let mut merged = telling.clone().without_challenges();
    for challenge in challenges {
        if !merged.challenges().contains(&challenge) {
            merged = merged.with_challenge(challenge);
        }
    }
    merged
}

/// The future of [`AllOf`].
pub struct AllOfFuture {
    left: Vec<BoxAuthFuture>,
    taken: Option<Principal>,
}

impl Future for AllOfFuture {
    type Output = Result<Principal, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some(next) = self.left.last_mut() {
            let principal = ready!(next.as_mut().poll(cx))?;
            self.left.pop();
            let taken = match self.taken.take() {
                Some(first) => join(first, &principal),
                None => principal,
            };
            self.taken = Some(taken);
        }
        match self.taken.take() {
            Some(principal) => Poll::Ready(Ok(principal)),
            // It was polled after its end.
            None => Poll::Pending,
        }
    }
}

fn join(mut first: Principal, other: &Principal) -> Principal {
    for (name, values) in other.claims() {
        if first.claim(name).is_empty() {
            first = first.with_claim(name, values.iter().cloned());
        }
    }
    match (first.expires(), other.expires()) {
        (mine, Some(theirs)) if mine.is_none_or(|mine| theirs < mine) => first.with_expiry(theirs),
        _ => first,
    }
}

macro_rules! debug {
    ($($type:ident: $name:literal $field:tt,)+) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", $name, self.$field.len())
            }
        }
    )+};
}

debug! {
    AnyOf: "AnyOf" 0,
    AllOf: "AllOf" 0,
    AnyOfFuture: "AnyOfFuture" left,
    AllOfFuture: "AllOfFuture" left,
}
