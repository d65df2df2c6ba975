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

#[tokio::test(start_paused = true)]
async fn a_lame_duck_serves_everybody_and_sends_them_away() {
    let (stop, stopped) = oneshot::channel::<()>();
    let (dialer, pipes) = pipes();
    let serve = Entry::new().lame_duck(Duration::from_secs(5)).serve(pipes, ok());
    let served = tokio::spawn(
        serve
            .with_graceful_shutdown(async { drop(stopped.await) })
            .into_future(),
    );
    let mut kept = dialer.dial().await;
    kept.write_all(GET).await.unwrap();
    let answer = until(&mut kept, "\r\n\r\nok").await;
    assert!(!answer.contains("connection: close"), "{answer}");
    let (mut early, early_ended) = http2(&dialer).await;
    assert_eq!(ask(&mut early).await, 200);
    let (mut silent, silent_ended) = http2(&dialer).await;

    let start = Instant::now();
    stop.send(()).unwrap();
    early_ended.await.unwrap();
    std::future::poll_fn(|cx| early.poll_ready(cx)).await.unwrap_err();
    // Those that are idle are not closed, for a request may be on its way, and newcomers are served.
    for mut http1 in [kept, dialer.dial().await] {
        http1.write_all(GET).await.unwrap();
        let (answer, end) = to_end(&mut http1).await;
        assert!(
            answer.ends_with("\r\n\r\nok") && answer.contains("connection: close"),
            "{answer}"
        );
        end.unwrap();
    }
    assert!(!silent_ended.is_finished());
    assert_eq!(ask(&mut silent).await, 200);
    silent_ended.await.unwrap();
    let (mut late, late_ended) = http2(&dialer).await;
    assert_eq!(ask(&mut late).await, 200);
    late_ended.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    let mut idle = dialer.dial().await;
    served.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(to_end(&mut idle).await.0, "");
}

type Http2 = h2::client::SendRequest<Bytes>;

/// A connection of HTTP/2, and the task that ends with it.
async fn http2(dialer: &Dialer) -> (Http2, tokio::task::JoinHandle<()>) {
    let (sender, connection) = h2::client::handshake(dialer.dial().await).await.unwrap();
    (sender, tokio::spawn(async move { drop(connection.await) }))
}

async fn ask(client: &mut Http2) -> u16 {
    let request = Request::get("http://a/").body(()).unwrap();
    std::future::poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    answer.await.unwrap().status().as_u16()
}
