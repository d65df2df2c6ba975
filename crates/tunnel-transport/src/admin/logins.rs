//! Browsers that have shown the token, and have a cookie in its place: they cannot be made to send a header with a stream of events.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, header};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::runtime::random;

/// How long a browser stays logged in.
pub(super) const LOGIN_FOR: Duration = Duration::from_secs(8 * 3_600);

/// The browsers that may be logged in at one time; one more ends the oldest login.
const MAX_LOGINS: usize = 64;

/// The name of the cookie.
pub(super) const COOKIE: &str = "tunnel_admin";

/// Who is logged in.
#[derive(Default)]
pub(super) struct Logins(Mutex<Vec<Login>>);

struct Login {
    cookie: Box<str>,
    until: Instant,
}

impl Logins {
    /// Notes that a browser has shown the token; gives the value of its cookie.
    pub(super) fn add(&self) -> Box<str> {
        let cookie: String = random::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|login| login.until > now);
        if all.len() >= MAX_LOGINS {
            all.remove(0);
        }
        all.push(Login {
            cookie: cookie.as_str().into(),
            until: now + LOGIN_FOR,
        });
        cookie.into()
    }

    /// Whether one of the cookies is that of a browser that is logged in.
    pub(super) fn has(&self, headers: &HeaderMap) -> bool {
        let (now, all) = (Instant::now(), self.lock());
        let is_login = |shown: &str| {
            let mut found = false;
            for login in all.iter() {
                // All of them, whichever matches, so that the time tells nothing.
                found |= bool::from(login.cookie.as_bytes().ct_eq(shown.as_bytes())) && login.until > now;
            }
            found
        };
        cookies(headers).any(is_login)
    }

    /// Forgets the browser that has these cookies.
    pub(super) fn remove(&self, headers: &HeaderMap) {
        self.lock()
            .retain(|login| !cookies(headers).any(|shown| *shown == *login.cookie));
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Login>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of our cookie.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(header::COOKIE).into_iter();
    let pairs = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'));
    pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let text = format!("other=1; {COOKIE}={cookie}");
        headers.insert(header::COOKIE, text.parse().unwrap());
        headers
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_ends_by_itself_or_when_it_is_told_to() {
        let logins = Logins::default();
        let (first, second) = (logins.add(), logins.add());
        assert_ne!(first, second);
        assert!(logins.has(&shown(&first)) && logins.has(&shown(&second)));
        for wrong in ["", "x", &first[1..]] {
            assert!(!logins.has(&shown(wrong)), "{wrong}");
        }
        logins.remove(&shown(&first));
        assert!(!logins.has(&shown(&first)) && logins.has(&shown(&second)));
        tokio::time::advance(LOGIN_FOR).await;
        assert!(!logins.has(&shown(&second)));
    }

    #[tokio::test]
    async fn one_login_too_many_ends_the_oldest() {
        let logins = Logins::default();
        let first = logins.add();
        let others: Vec<_> = (0..MAX_LOGINS).map(|_| logins.add()).collect();
        assert!(!logins.has(&shown(&first)));
        assert!(others.iter().all(|cookie| logins.has(&shown(cookie))));
    }
}
