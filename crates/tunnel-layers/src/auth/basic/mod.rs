//! User names and passwords (RFC 7617).

mod future;
mod htpasswd;
#[cfg(all(test, feature = "full"))]
mod tests;

use std::{fmt, sync::Arc, thread, time::Duration};

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, time::Instant};
use tunnel_core::auth::{AuthRequest, Authenticator, Principal, Refusal, Rejection};

pub use self::{
    future::BasicFuture,
    htpasswd::{Htpasswd, MAX_USER_BYTES, MAX_USERS},
};
use super::{
    Realm, authorization,
    cache::{Cache, MAX_REMEMBERED},
    challenge,
    lookup::{Asked, Question, Verdict},
};
use crate::flight::Flights;

/// How long a password that was right is not checked again, unless set otherwise. A check costs as much as the hash was made
/// to cost, and browsers send the password with every request.
pub const DEFAULT_REMEMBER: Duration = Duration::from_secs(60);

/// The most passwords that are checked or wait for it at a time; more are answered 503.
const MAX_CHECKS: usize = 128;

/// The longest password, in bytes.
const MAX_PASSWORD_BYTES: usize = 1024;

/// Takes padding or none, as clients write it, and nothing else that has two forms.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Takes callers that show the name and the password of a user of a file.
///
/// Passwords are checked on tokio's threads for blocking work, as many at a time as there are processors, and each that is
/// right is remembered for a short time; what is remembered is a keyed hash, never the password. That a user is unknown costs
/// about as much time as that its password is wrong.
///
/// Whoever may guess as often as he likes makes us work: put a limit by address in front.
///
/// ```
/// use tunnel_layers::auth::{AuthLayer, Basic, Htpasswd};
///
/// let file = "alice:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC\n";
/// let layer = AuthLayer::new(Basic::new(file.parse()?));
/// # Ok::<(), tunnel_layers::auth::AuthConfigError>(())
/// ```
#[derive(Clone)]
pub struct Basic(Arc<Shared>);

#[derive(Clone)]
struct Settings {
    realm: Realm,
    remember: Duration,
}

struct Shared {
    users: Htpasswd,
    settings: Settings,
    /// Of this process alone, so that what is remembered is worth nothing elsewhere.
    key: [u8; 32],
    remembered: Cache<[u8; 32], Principal>,
    checks: Arc<Flights<[u8; 32], Verdict>>,
    threads: Arc<Semaphore>,
}

/// What a caller showed.
struct Shown {
    user: Box<str>,
    password: Box<[u8]>,
}

impl Basic {
    /// Takes the users of this file.
    #[must_use]
    pub fn new(users: Htpasswd) -> Self {
        let settings = Settings {
            realm: Realm::default(),
            remember: DEFAULT_REMEMBER,
        };
        Self::with(users, settings)
    }

    fn with(users: Htpasswd, settings: Settings) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Shared {
            users,
            settings,
            key: rand::random(),
            remembered: Cache::new(MAX_REMEMBERED),
            checks: Flights::new(MAX_CHECKS),
            threads: Arc::new(Semaphore::new(threads)),
        }))
    }

    /// What callers are told that their passwords are for. Set it before use: what is remembered is forgotten by it.
    #[must_use]
    pub fn realm(self, realm: Realm) -> Self {
        let settings = Settings {
            realm,
            ..self.0.settings.clone()
        };
        Self::with(self.0.users.clone(), settings)
    }

    /// How long a password that was right is not checked again: zero checks every request. Set it before use: what
    /// is remembered is forgotten by it.
    #[must_use]
    pub fn remember(self, time: Duration) -> Self {
        let settings = Settings {
            remember: time,
            ..self.0.settings.clone()
        };
        Self::with(self.0.users.clone(), settings)
    }
}

impl Shared {
    fn read(&self, headers: &HeaderMap) -> Result<Shown, Rejection> {
        let shown = match authorization::credentials(headers, "basic") {
            Ok(Some(shown)) => shown,
            Ok(None) => return Err(self.tell(Refusal::Missing, "the request has no user name and password")),
            Err(authorization::Twice) => {
                let text = "the request has more than one Authorization field";
                return Err(self.tell(Refusal::Malformed, text));
            }
        };
        parse(shown).ok_or_else(|| self.tell(Refusal::Invalid, "the credentials cannot be read"))
    }

    fn tell(&self, refusal: Refusal, message: &'static str) -> Rejection {
        let realm = &self.settings.realm;
        let challenge: HeaderValue = challenge::header(format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
        Rejection::new(refusal, message).with_challenge(challenge)
    }

    /// What is remembered of a user and a password.
    fn digest(&self, shown: &Shown) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update((shown.user.len() as u64).to_be_bytes());
        digest.update(shown.user.as_bytes());
        digest.update(&shown.password);
        digest.finalize().into()
    }

    /// Checks a password, in its turn.
    async fn check(self: Arc<Self>, shown: Shown, digest: [u8; 32]) -> Verdict {
        let busy = |_| Rejection::unavailable("the gateway is stopping");
        let permit = self.threads.clone().acquire_owned().await.map_err(busy)?;
        let (hash, is_known) = self.users.find(&shown.user);
        let Shown { user, password } = shown;
        let check = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            hash.verify(&password)
        });
        let is_right = check
            .await
            .map_err(|_| Rejection::unavailable("the check was broken off"))?;
        if !(is_right && is_known) {
            return Err(self.tell(Refusal::Invalid, "the user name or the password is wrong"));
        }
        let principal = Principal::new(user, "basic");
        let until = Instant::now() + self.settings.remember;
        self.remembered.put(digest, principal.clone(), until);
        Ok(principal)
    }
}

/// RFC 7617, section 2: the first colon ends the name.
fn parse(shown: &[u8]) -> Option<Shown> {
    let decoded = BASE64.decode(shown).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let fits = user.len() <= MAX_USER_BYTES && password.len() <= MAX_PASSWORD_BYTES;
    fits.then_some(())?;
    Some(Shown {
        user: std::str::from_utf8(user).ok()?.into(),
        password: password.into(),
    })
}

/// What a request asks of the users.
pub(super) struct Ask {
    shared: Arc<Shared>,
    shown: Result<Shown, Rejection>,
}

impl Question for Ask {
    fn ask(self) -> Asked {
        let Self { shared, shown } = self;
        let shown = match shown {
            Ok(shown) => shown,
            Err(rejection) => return Asked::Known(Err(rejection)),
        };
        let digest = shared.digest(&shown);
        if let Some(principal) = shared.remembered.get(&digest) {
            return Asked::Known(Ok(principal));
        }
        let checks = shared.checks.clone();
        match checks.join(&digest, || shared.check(shown, digest)) {
            Some(receiver) => Asked::Waiting(receiver),
            None => Asked::Known(Err(Rejection::unavailable(
                "too many passwords are being checked: try again",
            ))),
        }
    }
}

impl Authenticator for Basic {
    type Future = BasicFuture;

    fn authenticate(&self, request: &AuthRequest<'_>) -> BasicFuture {
        let shown = self.0.read(request.headers());
        let shared = self.0.clone();
        BasicFuture::new(Ask { shared, shown })
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic")
            .field("users", &self.0.users)
            .field("realm", &self.0.settings.realm)
            .field("remember", &self.0.settings.remember)
            .finish_non_exhaustive()
    }
}
