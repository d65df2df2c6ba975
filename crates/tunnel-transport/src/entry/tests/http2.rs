use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame};
use http_body_util::Empty;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

async fn client(entry: Entry, app: App) -> SendRequest<Empty<Bytes>> {
    let io = TokioIo::new(connected(entry, app).await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .expect("handshake");
    tokio::spawn(connection);
    sender
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("http://a/")
        .body(Empty::new())
        .expect("a valid request")
}

/// So many empty data frames, and then the end or an error.
struct Empties(usize, bool);

impl Body for Empties {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.0 == 0 {
            return Poll::Ready(self.1.then(|| Err("the agent is gone".into())));
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

#[tokio::test]
async fn empty_frames_do_not_reach_h2() {
    let app = app(|_| async { Ok(Response::new(Empties(1_000, false).boxed_unsync())) });
    let mut client = client(Entry::new(), app).await;
    for _ in 0..2 {
        let mut body = client.send_request(get()).await.unwrap().into_body();
        while let Some(frame) = body.frame().await {
            assert!(frame.unwrap().data_ref().is_none_or(|data| data.is_empty()));
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_resets_its_stream_alone() {
    let app = app(|_| async { Ok(Response::new(Empties(1, true).boxed_unsync())) });
    let mut client = client(Entry::new(), app).await;
    for _ in 0..2 {
        // A reset overtakes a head that h2 has not written yet, so either of the two may fail.
        let error = match client.send_request(get()).await {
            Ok(response) => response.into_body().collect().await.unwrap_err(),
            Err(error) => error,
        };
        let reset = tunnel_core::error::cause_ref::<h2::Error>(&error).expect("an h2 error");
        assert!(reset.is_reset() && reset.is_remote(), "{reset:?}");
    }
}

#[tokio::test]
async fn extended_connect_is_offered() {
    let mut stream = connected(Entry::new(), ok()).await;
    let (sender, connection) = h2::client::handshake(&mut stream).await.unwrap();
    let mut connection = std::pin::pin!(connection);
    std::future::poll_fn(|cx| {
        assert!(connection.as_mut().poll(cx).is_pending(), "the connection lives");
        match sender.is_extended_connect_protocol_enabled() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// Tells how each body ended that was sent to it: its bytes, or the cause of its failure. It reads in a task of its own,
/// because a reset drops the exchange.
fn reader() -> (App, mpsc::Receiver<Result<Bytes, BoxError>>) {
    let (sender, ends) = mpsc::channel(16);
    let app = app(move |request: Request<RequestBody>| {
        let sender = sender.clone();
        tokio::spawn(async move {
            let whole = request.into_body().collect().await;
            let _ = sender.send(whole.map(|body| body.to_bytes())).await;
        });
        async { Ok(Response::new(text("ok"))) }
    });
    (app, ends)
}

/// Sends two bytes, and then ends the request in this way.
async fn send(
    stream: TcpStream,
    end: impl FnOnce(&mut h2::SendStream<Bytes>),
) -> tokio::task::JoinHandle<()> {
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let mut sender = sender.ready().await.unwrap();
    let head = Request::post("http://a/").body(()).unwrap();
    let (response, mut body) = sender.send_request(head, false).unwrap();
    body.send_data(Bytes::from_static(b"ab"), false).unwrap();
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    // The answer comes without a look at the body, so the body's bytes are on their way before its end is.
    assert_eq!(response.await.unwrap().status(), 200);
    end(&mut body);
    connection
}

#[tokio::test]
async fn a_request_that_is_reset_is_never_complete() {
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL] {
        let (app, mut ends) = reader();
        let stream = connected(Entry::new(), app).await;
        let _connection = send(stream, |body| body.send_reset(reason)).await;
        let error = ends.recv().await.unwrap().unwrap_err();
        let reset = tunnel_core::error::cause_ref::<h2::Error>(&*error).expect("an h2 error");
        assert_eq!(reset.reason(), Some(reason));
    }
}

#[tokio::test]
async fn a_request_that_ends_is_complete() {
    let ends: [fn(&mut h2::SendStream<Bytes>); 2] = [
        |body| body.send_data(Bytes::new(), true).unwrap(),
        |body| body.send_trailers(http::HeaderMap::new()).unwrap(),
    ];
    for end in ends {
        let (app, mut ends) = reader();
        let stream = connected(Entry::new(), app).await;
        let _connection = send(stream, end).await;
        assert_eq!(ends.recv().await.unwrap().unwrap(), "ab");
    }
}
