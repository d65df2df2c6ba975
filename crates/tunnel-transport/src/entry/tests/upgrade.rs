//! Upgraded streams: whose they are, what counts them, and what ends them.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::AsyncWriteExt,
    sync::oneshot,
    time::{Instant, timeout},
};
use tunnel_core::upgrade::{Relayed, Stopping};

use super::*;

const ASKING: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n";

type Stream = TokioIo<Upgraded>;

/// Switches whenever it is asked, and gives the streams away, each with the news of its entry's stop.
fn switching(is_relayed: bool) -> (App, mpsc::Receiver<(Stream, Stopping)>) {
    let (sender, receiver) = mpsc::channel(4);
    let app = app(move |mut request| {
        let sender = sender.clone();
        async move {
            let on_upgrade = hyper::upgrade::on(&mut request);
            let stopping = request
                .extensions()
                .get::<Stopping>()
                .expect("stands there")
                .clone();
            tokio::spawn(async move {
                if let Ok(upgraded) = on_upgrade.await {
                    let _ = sender.send((TokioIo::new(upgraded), stopping)).await;
                }
            });
            let mut response = Response::new(text(""));
            if is_relayed {
                response.extensions_mut().insert(Relayed);
            }
            if request.method() != Method::CONNECT {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                let fields = response.headers_mut();
                fields.insert("connection", HeaderValue::from_static("upgrade"));
                fields.insert("upgrade", HeaderValue::from_static("foo"));
            }
            Ok(response)
        }
    });
    (app, receiver)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("in time")
}

/// A client on a real socket and its stream.
async fn switched(is_relayed: bool) -> (TcpStream, Stream) {
    let (app, mut streams) = switching(is_relayed);
    let mut client = connected(Entry::new(), app).await;
    client.write_all(ASKING).await.unwrap();
    until(&mut client, "\r\n\r\n").await;
    let (stream, _) = soon(streams.recv()).await.unwrap();
    (client, stream)
}

#[tokio::test]
async fn what_was_sent_behind_the_request_is_the_first_of_the_stream() {
    let (app, mut streams) = switching(true);
    let mut client = connected(Entry::new(), app).await;
    client.write_all(&[ASKING, b"early"].concat()).await.unwrap();
    let head = until(&mut client, "\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 101") && !head.contains("close"),
        "{head}"
    );
    let (mut stream, _) = soon(streams.recv()).await.unwrap();
    let mut early = [0; 5];
    soon(stream.read_exact(&mut early)).await.unwrap();
    assert_eq!(&early, b"early");
    stream.write_all(b"x").await.unwrap();
    assert_eq!(soon(client.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn a_refusal_closes_the_connection_and_what_was_sent_behind_the_request_is_nothing() {
    let (calls, mut called) = mpsc::channel(4);
    let app = app(move |_| {
        let _ = calls.try_send(());
        async {
            let mut response = Response::new(text("no"));
            *response.status_mut() = StatusCode::FORBIDDEN;
            Ok(response)
        }
    });
    let mut client = connected(Entry::new(), app).await;
    let smuggled = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write_all(&[ASKING, smuggled].concat()).await.unwrap();
    // The end may be a reset, because what was sent is not read.
    let (answer, _) = soon(to_end(&mut client)).await;
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.ends_with("\r\n\r\nno"),
        "{answer}"
    );
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(called.try_recv().is_ok() && called.try_recv().is_err());
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_an_ordinary_request() {
    let mut client = connected(Entry::new(), ok()).await;
    let asking = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
        http2-settings: AAMAAABk\r\n\r\n";
    for _ in 0..2 {
        client.write_all(asking).await.unwrap();
        let answer = until(&mut client, "\r\n\r\nok").await;
        assert!(!answer.contains("close"), "{answer}");
    }
}

#[tokio::test]
async fn only_a_relayed_stream_breaks_when_it_is_dropped_as_it_is() {
    for (is_relayed, is_shut) in [(true, true), (true, false), (false, false)] {
        let (mut client, mut stream) = switched(is_relayed).await;
        stream.write_all(b"x").await.unwrap();
        assert_eq!(soon(client.read_u8()).await.unwrap(), b'x');
        if is_shut {
            stream.shutdown().await.unwrap();
        }
        drop(stream);
        let end = soon(client.read(&mut [0; 8])).await.map_err(|error| error.kind());
        let breaks = is_relayed && !is_shut;
        let expected = if breaks {
            Err(io::ErrorKind::ConnectionReset)
        } else {
            Ok(0)
        };
        assert_eq!(end, expected, "{is_relayed} {is_shut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_as_a_connection() {
    let (app, mut streams) = switching(true);
    let (dialer, pipes) = pipes();
    tokio::spawn(Entry::new().max_connections(1).serve(pipes, app).into_future());
    let mut first = dialer.dial().await;
    first.write_all(ASKING).await.unwrap();
    let (stream, _) = streams.recv().await.unwrap();
    let mut second = dialer.dial().await;
    second.write_all(ASKING).await.unwrap();
    let waits = timeout(Duration::from_secs(60), streams.recv()).await;
    assert!(waits.is_err(), "accepted beside the first one");
    drop(stream);
    assert!(streams.recv().await.is_some());
}

/// A client on a pipe, its stream, the means to stop the entry, and the entry.
async fn draining() -> (
    DuplexStream,
    (Stream, Stopping),
    oneshot::Sender<()>,
    tokio::task::JoinHandle<()>,
) {
    let (app, mut streams) = switching(true);
    let (dialer, pipes) = pipes();
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = Entry::new().serve(pipes, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let served = tokio::spawn(serve.into_future());
    let mut client = dialer.dial().await;
    client.write_all(ASKING).await.unwrap();
    until(&mut client, "\r\n\r\n").await;
    let stream = streams.recv().await.unwrap();
    (client, stream, stop, served)
}

#[tokio::test(start_paused = true)]
async fn a_stream_hears_of_the_stop_and_the_entry_waits_for_it() {
    let (mut client, (mut stream, stopping), stop, served) = draining().await;
    let start = Instant::now();
    let mut wait = tokio_test::task::spawn(stopping.wait());
    assert!(wait.poll().is_pending());
    stop.send(()).unwrap();
    wait.await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!served.is_finished());
    stream.write_all(b"bye").await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    assert_eq!(to_end(&mut client).await.0, "bye");
    served.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn the_drains_deadline_cuts_streams_whoever_holds_which_half() {
    let (mut client, (stream, _), stop, served) = draining().await;
    let start = Instant::now();
    let (mut read, mut write) = tokio::io::split(stream);
    let reader = tokio::spawn(async move { read.read(&mut [0; 8]).await });
    // As much as the pipe takes, and then it waits.
    let writer = tokio::spawn(async move { write.write_all(&[0; 1 << 20]).await });
    stop.send(()).unwrap();
    served.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 30);
    for error in [
        reader.await.unwrap().unwrap_err(),
        writer.await.unwrap().unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
    to_end(&mut client).await.1.unwrap();
}

#[tokio::test]
async fn http2_streams_switch_as_well() {
    let (app, mut streams) = switching(true);
    let io = TokioIo::new(connected(Entry::new(), app).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::connect("http://a/chat")
        .body(Empty::<Bytes>::new())
        .unwrap();
    request
        .extensions_mut()
        .insert(hyper::ext::Protocol::from_static("websocket"));
    let mut response = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut near = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    let (mut far, _) = soon(streams.recv()).await.unwrap();
    near.write_all(b"up").await.unwrap();
    let mut two = [0; 2];
    soon(far.read_exact(&mut two)).await.unwrap();
    far.write_all(b"do").await.unwrap();
    soon(near.read_exact(&mut two)).await.unwrap();
    assert_eq!(&two, b"do");
    near.shutdown().await.unwrap();
    assert_eq!(soon(far.read(&mut two)).await.unwrap(), 0);
}
