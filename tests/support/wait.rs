//! Waiting for events. Nothing here waits for a time to pass.

use std::{future::poll_fn, time::Duration};

use tunnel_core::{Session, TunnelError};

/// After this a test has failed. The longest takes a few seconds, and a machine may be busy.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test, and fails it instead of letting it hang.
///
/// # Panics
///
/// When the test takes longer than [`LIMIT`].
pub async fn within_limit<F: Future>(test: F) -> F::Output {
    match tokio::time::timeout(LIMIT, test).await {
        Ok(output) => output,
        Err(_) => panic!("the test waits for something that does not happen"),
    }
}

/// Gives every other task its turns until `is_so`. For what has no event: prefer one where there is.
pub async fn eventually(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Waits until no exchange of `session` is open.
///
/// # Panics
///
/// When the pending table is not empty then.
pub async fn idle(session: &Session) {
    poll_fn(|cx| session.poll_idle(cx)).await;
    assert_eq!(session.pending(), 0, "{session:?}");
}

/// Waits until `session` is closed, and says why.
///
/// # Panics
///
/// When its pending table is not empty then.
pub async fn closed(session: &Session) -> TunnelError {
    let error = poll_fn(|cx| session.poll_closed(cx)).await;
    assert_eq!(session.pending(), 0, "{session:?}");
    error
}
