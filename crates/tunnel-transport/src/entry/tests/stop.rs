use std::{sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    sync::{Semaphore, oneshot},
    time::Instant,
};

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// An entry that answers once the semaphore lets it, a connection with a running exchange, an idle one, and the means to
/// stop it.
async fn running() -> (
    [DuplexStream; 2],
    Arc<Semaphore>,
    oneshot::Sender<()>,
    tokio::task::JoinHandle<()>,
) {
    let gate = Arc::new(Semaphore::new(1));
    let started = Arc::new(Semaphore::new(0));
    let app = app({
        let (gate, started) = (Arc::clone(&gate), Arc::clone(&started));
        move |_| {
            let (gate, started) = (Arc::clone(&gate), Arc::clone(&started));
            async move {
                started.add_permits(1);
                gate.acquire().await.expect("open").forget();
                Ok(Response::new(text("ok")))
            }
        }
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let (dialer, pipes) = pipes();
    let serve = Entry::new().serve(pipes, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let served = tokio::spawn(serve.into_future());

    let mut idle = dialer.dial().await;
    idle.write_all(GET).await.unwrap();
    until(&mut idle, "\r\n\r\nok").await;
    let mut busy = dialer.dial().await;
    busy.write_all(GET).await.unwrap();
    started.acquire_many(2).await.unwrap().forget();
    ([idle, busy], gate, stop, served)
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_what_is_idle_and_finishes_what_runs() {
    let ([mut idle, mut busy], gate, stop, served) = running().await;
    let start = Instant::now();
    stop.send(()).unwrap();
    assert_eq!(to_end(&mut idle).await.0, "");
    assert_eq!(start.elapsed(), Duration::ZERO);

    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!served.is_finished());
    gate.add_permits(1);
    let (answer, _) = to_end(&mut busy).await;
    assert!(
        answer.ends_with("\r\n\r\nok") && answer.contains("connection: close"),
        "{answer}"
    );
    served.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_drain_has_a_deadline() {
    let ([_idle, mut busy], _gate, stop, served) = running().await;
    let start = Instant::now();
    stop.send(()).unwrap();
    assert_eq!(to_end(&mut busy).await.0, "");
    served.await.unwrap();
    assert!(
        (30..31).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_entry_cuts_its_connections() {
    let ([mut idle, mut busy], _gate, _stop, served) = running().await;
    served.abort();
    assert_eq!(to_end(&mut idle).await.0, "");
    assert_eq!(to_end(&mut busy).await.0, "");
}
