//! Waiting for what has no event.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// After so long, of the runtime's time, a test has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How often is looked.
const STEP: Duration = Duration::from_millis(1);

/// Waits until `is_so`, which is first asked when everything that could run has run. While time is paused that costs no time.
///
/// # Panics
///
/// When it is not so within [`LIMIT`]; `why` says what is wrong.
pub async fn until(mut is_so: impl FnMut() -> bool, why: impl FnOnce() -> String) {
    let waiting = async {
        loop {
            sleep(STEP).await;
            if is_so() {
                return;
            }
        }
    };
    if timeout(LIMIT, waiting).await.is_err() {
        panic!("{}", why());
    }
}

/// Runs a part of a test, and fails it instead of letting it hang.
///
/// # Panics
///
/// When it is not done within [`LIMIT`].
pub async fn within_limit<F: Future>(part: F) -> F::Output {
    match timeout(LIMIT, part).await {
        Ok(output) => output,
        Err(_) => panic!("the test waits for something that does not happen"),
    }
}
