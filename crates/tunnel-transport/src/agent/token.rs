//! What an agent shows to its gateway, and what it shows after that.

use std::{
    fmt,
    future::{Future, pending},
    io::Read as _,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use tokio::time::{Instant, sleep_until, timeout};
use tunnel_core::BoxError;

use super::AgentError;
use crate::files::{is_near, is_short};

/// How long a source may take.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest file of a token, in bytes: what a header may have.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// A token, as the source of an agent gives it. `Debug` does not show it.
#[derive(Clone)]
pub struct AgentToken {
    text: Box<str>,
    refresh: Duration,
}

impl AgentToken {
    /// How soon a source is asked again whether there is another token, unless it says itself when. It is short beside the minute
    /// after which gateways look at credentials again.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

    /// The least time after which a source is asked again.
    pub const MIN_INTERVAL: Duration = Duration::from_millis(100);

    /// A token; its source is asked again after [`DEFAULT_INTERVAL`](Self::DEFAULT_INTERVAL).
    pub fn new(token: impl Into<Box<str>>) -> Self {
        Self {
            text: token.into(),
            refresh: Self::DEFAULT_INTERVAL,
        }
    }

    /// Asks the source for another one after this time, at least [`MIN_INTERVAL`](Self::MIN_INTERVAL): well before this one expires, and
    /// before the gateway looks at it again, which it does every minute unless it is set otherwise.
    #[must_use]
    pub fn refresh_after(mut self, time: Duration) -> Self {
        self.refresh = time.max(Self::MIN_INTERVAL);
        self
    }
}

impl fmt::Debug for AgentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentToken")
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}

/// What a source answers: boxed, because it is called once for each session and a few times in each.
type Asking = Pin<Box<dyn Future<Output = Result<AgentToken, BoxError>> + Send>>;

type Ask = dyn Fn() -> Asking + Send + Sync;

/// Where an agent's token comes from.
#[derive(Clone)]
pub(super) enum TokenSource {
    /// It shows none.
    None,
    Fixed(HeaderValue),
    Asked(Arc<Ask>),
}

impl TokenSource {
    pub(super) fn asked<F, Fut>(source: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<AgentToken, BoxError>> + Send + 'static,
    {
        Self::Asked(Arc::new(move || Box::pin(source())))
    }

    pub(super) fn file(path: PathBuf) -> Self {
        let path: Arc<Path> = path.into();
        // Now, where nobody waits yet.
        let is_near = is_near(&path);
        Self::asked(move || {
            let path = path.clone();
            async move {
                if is_near && is_short(&path) {
                    return read(&path);
                }
                tokio::task::spawn_blocking(move || read(&path)).await?
            }
        })
    }

    /// The token of a new session.
    pub(super) async fn first(&self) -> Result<Shown, AgentError> {
        let (value, next) = match self {
            Self::None => (None, None),
            Self::Fixed(value) => (Some(value.clone()), None),
            Self::Asked(ask) => {
                let (value, next) = fetch(ask).await.map_err(|error| {
                    AgentError::connect("the agent got no token to show to the gateway").with_source(error)
                })?;
                (Some(value), Some(next))
            }
        };
        Ok(Shown {
            source: self.clone(),
            value,
            next,
        })
    }
}

async fn fetch(ask: &Arc<Ask>) -> Result<(HeaderValue, Instant), BoxError> {
    let late = |_| "the source of the token took too long";
    let token = timeout(SOURCE_TIMEOUT, ask()).await.map_err(late)??;
    let value = bearer(&token.text).ok_or("the token has characters other than visible ASCII")?;
    Ok((value, Instant::now() + token.refresh))
}

/// What a session has shown to its gateway.
pub(super) struct Shown {
    source: TokenSource,
    value: Option<HeaderValue>,
    /// When the source is asked again; never if its token stays the same.
    next: Option<Instant>,
}

impl Shown {
    pub(super) const fn value(&self) -> Option<&HeaderValue> {
        self.value.as_ref()
    }

    /// Notes that this is what the gateway knows now.
    pub(super) fn showed(&mut self, value: HeaderValue) {
        self.value = Some(value);
    }

    /// Waits until the source has another token than the one that was shown. Cancel safe. A source that fails is asked again: the
    /// session goes on with what the gateway has.
    pub(super) async fn changed(&mut self) -> HeaderValue {
        loop {
            let (TokenSource::Asked(ask), Some(next)) = (&self.source, self.next) else {
                return pending().await;
            };
            sleep_until(next).await;
            match fetch(ask).await {
                Ok((value, next)) => {
                    self.next = Some(next);
                    if self.value.as_ref() != Some(&value) {
                        return value;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the agent got no new token; it goes on with the one that it has shown");
                    self.next = Some(Instant::now() + AgentToken::DEFAULT_INTERVAL);
                }
            }
        }
    }
}

/// The metadata that shows this token; `None` if it cannot stand there.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn read(path: &Path) -> Result<AgentToken, BoxError> {
    let told = |problem: String| format!("`{}` {problem}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| told(format!("cannot be read: {error}")))?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| told(format!("cannot be read: {error}")))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(told(format!("is larger than {MAX_FILE_BYTES} bytes")).into());
    }
    match text.trim() {
        "" => Err(told("is empty".to_owned()).into()),
        token => Ok(AgentToken::new(token)),
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Fixed(_) => "Fixed(..)",
            Self::Asked(_) => "Asked(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Gives what it is told to, and counts.
    #[derive(Clone, Default)]
    struct Script(Arc<(Mutex<Option<&'static str>>, AtomicUsize)>);

    impl Script {
        fn say(&self, token: Option<&'static str>) {
            *self.0.0.lock().unwrap() = token;
        }

        fn asked(&self) -> usize {
            self.0.1.load(Ordering::SeqCst)
        }

        fn source(&self) -> TokenSource {
            let this = self.clone();
            TokenSource::asked(move || {
                this.0.1.fetch_add(1, Ordering::SeqCst);
                let token = *this.0.0.lock().unwrap();
                async move { Ok(AgentToken::new(token.ok_or("there is none")?).refresh_after(SECOND)) }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_asked_again_and_a_change_is_told_once() {
        let script = Script::default();
        script.say(Some("first"));
        let mut shown = script.source().first().await.unwrap();
        assert_eq!(shown.value().unwrap(), "Bearer first");
        assert!(shown.value().unwrap().is_sensitive());
        let unchanged = timeout(10 * SECOND + SECOND / 2, shown.changed()).await;
        assert!(unchanged.is_err());
        assert_eq!(script.asked(), 11);
        script.say(Some("second"));
        let value = shown.changed().await;
        assert_eq!(value, "Bearer second");
        shown.showed(value);
        assert!(timeout(5 * SECOND, shown.changed()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_gateway_was_not_told_is_told_again() {
        let script = Script::default();
        script.say(Some("first"));
        let mut shown = script.source().first().await.unwrap();
        script.say(Some("second"));
        assert_eq!(shown.changed().await, "Bearer second");
        assert_eq!(shown.changed().await, "Bearer second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_fails_costs_no_session_but_opens_none() {
        let script = Script::default();
        let error = script.source().first().await.err().unwrap();
        assert!(
            !error.is_refused() && error.to_string().contains("no token"),
            "{error}"
        );
        script.say(Some("first"));
        let mut shown = script.source().first().await.unwrap();
        script.say(None);
        assert!(timeout(15 * SECOND, shown.changed()).await.is_err());
        script.say(Some("second"));
        assert_eq!(shown.changed().await, "Bearer second");

        let hangs = TokenSource::asked(pending);
        let begun = Instant::now();
        assert!(hangs.first().await.is_err());
        assert_eq!(begun.elapsed(), SOURCE_TIMEOUT);
        let odd = TokenSource::asked(async || Ok(AgentToken::new("a\nb")));
        assert!(odd.first().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_given_never_changes() {
        for source in [TokenSource::None, TokenSource::Fixed(bearer("fixed").unwrap())] {
            let mut shown = source.first().await.unwrap();
            assert!(timeout(1_000 * SECOND, shown.changed()).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_file_holds_the_token_alone() {
        let path = std::env::temp_dir().join(format!("tunnel-token-{}", std::process::id()));
        let source = TokenSource::file(path.clone());
        for (content, expected) in [
            ("hush-hush\n", Some("Bearer hush-hush")),
            ("  other \r\n", Some("Bearer other")),
            ("\n", None),
            ("two words", Some("Bearer two words")),
        ] {
            std::fs::write(&path, content).unwrap();
            let shown = source.first().await;
            let value = shown.as_ref().ok().and_then(Shown::value);
            assert_eq!(value.map(|value| value.to_str().unwrap()), expected);
        }
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        assert!(source.first().await.is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(source.first().await.is_err());
    }

    #[test]
    fn no_secret_is_printed() {
        let token = AgentToken::new("hush-hush");
        let fixed = TokenSource::Fixed(bearer("hush-hush").unwrap());
        let text = format!("{token:?} {fixed:?}");
        assert!(!text.contains("hush"), "{text}");
    }
}
