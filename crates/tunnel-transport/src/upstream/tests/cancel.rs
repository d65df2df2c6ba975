use tokio::sync::mpsc;

use super::*;

/// Tells when it is dropped.
struct Guard(mpsc::Sender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

/// An origin that reads the request body and answers by `answer`; what comes out first is that a handler runs, and what
/// comes second is that the exchange is over there.
fn watched(answers: bool) -> (Origin, mpsc::Receiver<()>, mpsc::Receiver<()>) {
    let (started, starts) = mpsc::channel(1);
    let (sender, dropped) = mpsc::channel(1);
    let origin = Origin::start(move |request: Request<Incoming>| {
        let (started, guard) = (started.clone(), Guard(sender.clone()));
        async move {
            let _ = started.try_send(());
            if !answers {
                let _guard = guard;
                // A server that does not read sees nothing of a client that leaves.
                request.into_body().collect().await?;
                return std::future::pending().await;
            }
            let (mut sender, body) = streamed();
            tokio::spawn(async move {
                let _guard = guard;
                let mut upload = request.into_body();
                while let Some(Ok(frame)) = upload.frame().await {
                    let _ = sender.send_data(frame.into_data().unwrap_or_default()).await;
                }
            });
            Ok(Response::new(body))
        }
    });
    (origin, starts, dropped)
}

#[tokio::test]
async fn dropping_the_future_drops_the_call() {
    for protocol in BOTH {
        for upload in [false, true] {
            let (origin, mut starts, mut dropped) = watched(false);
            let (_sender, streamed) = streamed();
            let request = post(if upload { streamed } else { body("") });
            let exchange = tokio::spawn(origin.upstream(protocol).oneshot(request));
            soon(starts.recv()).await.unwrap();
            exchange.abort();
            soon(dropped.recv()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn dropping_the_body_drops_the_call_and_the_upload() {
    for protocol in BOTH {
        let (origin, _starts, mut dropped) = watched(true);
        let upstream = origin.upstream(protocol);
        let (mut sender, upload) = streamed();
        let exchange = tokio::spawn(upstream.clone().oneshot(post(upload)));
        sender.send_data(Bytes::from_static(b"abc")).await.unwrap();
        let mut response = soon(exchange).await.unwrap().unwrap().into_body();
        assert_eq!(data(&mut response).await, "abc");
        drop(response);
        soon(dropped.recv()).await.unwrap();
        // And our side has let go of the body.
        soon(async { while sender.send_data(Bytes::from_static(b"x")).await.is_ok() {} }).await;
    }
}

#[tokio::test]
async fn a_cancelled_h2_exchange_gives_its_place_back() {
    let (origin, mut starts, mut dropped) = watched(false);
    let upstream = to(origin.addr, UpstreamProtocol::H2c)
        .max_connections(1)
        .build()
        .unwrap();
    for _ in 0..250 {
        let exchange = tokio::spawn(upstream.clone().oneshot(get()));
        soon(starts.recv()).await.unwrap();
        exchange.abort();
        soon(dropped.recv()).await.unwrap();
    }
    assert_eq!(origin.accepted(), 1);
}
