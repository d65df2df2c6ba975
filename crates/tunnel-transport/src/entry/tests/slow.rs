//! Every way in which a client can be slow, with the defaults and paused time: each connection is closed, and when.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use http_body_util::StreamBody;
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, sleep},
};
use tunnel_core::{Cause, TunnelError, route::BodyIdle};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// SETTINGS with INITIAL_WINDOW_SIZE = 0.
const NO_WINDOW: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// `GET http://a/` on stream 1: HEADERS with END_HEADERS, and END_STREAM if the flags say so.
fn headers(flags: u8, method: u8) -> Vec<u8> {
    let block = [&[method, 0x86, 0x84, 0x41, 1, b'a'][..]].concat();
    let mut frame = vec![0, 0, block.len() as u8, 1, flags, 0, 0, 0, 1];
    frame.extend(block);
    frame
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// What the app does: it answers the length of the body, or why it failed, or it sends without end.
fn busy() -> App {
    app(|request: Request<RequestBody>| async move {
        if request.uri().path() == "/endless" || request.method() == http::Method::GET {
            let piece = Bytes::from(vec![b'x'; 16 * 1024]);
            let pieces = futures_util::stream::repeat_with(move || {
                Ok::<_, BoxError>(http_body::Frame::data(piece.clone()))
            });
            return Ok(Response::new(StreamBody::new(pieces).boxed_unsync()));
        }
        Ok(match request.into_body().collect().await {
            Ok(body) => Response::new(text(body.to_bytes().len().to_string())),
            Err(error) => {
                let cause = TunnelError::find(&*error).map(TunnelError::cause);
                assert_eq!(cause, Some(Cause::BodyIdle));
                let mut response = Response::new(text("slow"));
                *response.status_mut() = http::StatusCode::REQUEST_TIMEOUT;
                response
            }
        })
    })
}

async fn serve(entry: Entry, app: App) -> DuplexStream {
    let (dialer, pipes) = pipes();
    tokio::spawn(entry.serve(pipes, app).into_future());
    // The entry lives as long as the runtime.
    Box::leak(Box::new(dialer)).dial().await
}

/// Reads until the connection is closed, answering PINGs of HTTP/2 if it is told to. What came, and the seconds that it took.
async fn closed(mut pipe: DuplexStream, answers: bool) -> (Vec<u8>, u64) {
    let start = Instant::now();
    let (mut all, mut unread) = (Vec::new(), BytesMut::new());
    while let Ok(read) = pipe.read_buf(&mut unread).await {
        if read == 0 {
            break;
        }
        if !answers {
            all.extend_from_slice(&unread.split());
        }
        while unread.len() >= 9 {
            let len = 9 + usize::from(u16::from_be_bytes([unread[1], unread[2]]));
            if unread.len() < len {
                break;
            }
            let mut frame = unread.split_to(len);
            all.extend_from_slice(&frame);
            let is_question = frame[4] & 1 == 0;
            if is_question && matches!(frame[3], 4 | 6) {
                frame[4] = 1;
                let reply = if frame[3] == 4 {
                    &[0, 0, 0, 4, 1, 0, 0, 0, 0][..]
                } else {
                    &frame
                };
                if pipe.write_all(reply).await.is_err() {
                    break;
                }
            }
        }
    }
    (all, start.elapsed().as_secs())
}

/// How long the entry bears a client that sends this and then nothing, which reads, and answers PINGs only if told to.
async fn borne(sent: &[u8], answers: bool) -> u64 {
    let mut pipe = serve(Entry::new(), busy()).await;
    pipe.write_all(sent).await.unwrap();
    closed(pipe, answers).await.1
}

#[tokio::test(start_paused = true)]
async fn silence_and_slow_heads() {
    assert_eq!(borne(b"", false).await, 10);
    assert_eq!(borne(&PREFACE[..12], false).await, 5);
    // A head byte by byte.
    let mut pipe = serve(Entry::new(), busy()).await;
    let start = Instant::now();
    let head = b"GET / HTTP/1.1\r\nhost: a\r\nx: "
        .iter()
        .chain(std::iter::repeat(&b'y'));
    for byte in head {
        if pipe.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(900)).await;
    }
    assert!(
        (10..12).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn http2_that_is_silent_or_idle() {
    // It answers no PING: 15 s of silence and 10 s more.
    assert_eq!(borne(PREFACE, false).await, 25);
    let begun = [PREFACE, SETTINGS].concat();
    assert_eq!(borne(&begun, false).await, 25);
    // Half a head, or a head whose end never comes, lets no answer through.
    let head = headers(5, GET);
    assert_eq!(borne(&[&begun, &head[..11]].concat(), false).await, 25);
    assert_eq!(borne(&[&begun, &headers(1, GET)[..]].concat(), false).await, 25);
    // It answers, and asks for nothing.
    assert_eq!(borne(&begun, true).await, 60);
}

#[tokio::test(start_paused = true)]
async fn a_head_of_http2_byte_by_byte() {
    let mut pipe = serve(Entry::new(), busy()).await;
    let (start, mut sent) = (Instant::now(), [PREFACE, SETTINGS, &headers(1, GET)].concat());
    // CONTINUATION frames of one byte, each complete.
    sent.extend(std::iter::repeat_n([0, 0, 1, 9, 0, 0, 0, 0, 1, 0x82], 1_000).flatten());
    pipe.write_all(&sent[..PREFACE.len() + SETTINGS.len()])
        .await
        .unwrap();
    for piece in sent[PREFACE.len() + SETTINGS.len()..].chunks(5) {
        if pipe.write_all(piece).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(900)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still() {
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nab";
    let mut pipe = serve(Entry::new(), busy()).await;
    pipe.write_all(head).await.unwrap();
    let (answer, seconds) = closed(pipe, false).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(seconds, 30, "and the connection is closed");

    // HTTP/2: the stream is over, and the connection goes when it is idle.
    let sent = [PREFACE, SETTINGS, &headers(4, POST)].concat();
    assert_eq!(borne(&sent, true).await, 30 + 60);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_moves_has_no_limit_and_a_layer_may_lift_it() {
    let mut pipe = serve(Entry::new(), busy()).await;
    pipe.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..5 {
        sleep(Duration::from_secs(29)).await;
        pipe.write_all(b"x").await.unwrap();
    }
    until(&mut pipe, "\r\n\r\n5").await;

    let lifting = app(|request: Request<RequestBody>| async move {
        request.extensions().get::<BodyIdle>().expect("a limit").set(None);
        let body = request.into_body().collect().await?.to_bytes();
        Ok(Response::new(text(body)))
    });
    let mut pipe = serve(Entry::new(), lifting).await;
    pipe.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_secs(3_600)).await;
    pipe.write_all(b"x").await.unwrap();
    until(&mut pipe, "\r\n\r\nx").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_silent_while_its_caller_answers() {
    let (app, mut ends) = {
        let (sender, ends) = mpsc::channel(1);
        let app = app(move |request: Request<RequestBody>| {
            let sender = sender.clone();
            async move {
                assert!(request.extensions().get::<BodyIdle>().is_none());
                let body = request.into_body().collect().await?;
                let _ = sender.send(body.to_bytes()).await;
                Ok(Response::new(text("")))
            }
        });
        (app, ends)
    };
    let pipe = serve(Entry::new(), app).await;
    let (sender, connection) = h2::client::handshake(pipe).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let call = Request::post("http://a/")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (_answer, mut body) = sender.send_request(call, false).unwrap();
    sleep(Duration::from_secs(600)).await;
    body.send_data(Bytes::from_static(b"late"), true).unwrap();
    assert_eq!(ends.recv().await.unwrap(), "late");
}

/// An answer without end, and what ends when its body is dropped.
fn held() -> (App, mpsc::Receiver<()>) {
    let (sender, dropped) = mpsc::channel(1);
    let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
    let app = app(move |_| {
        let held = sender.lock().unwrap().take();
        async move {
            let pieces = futures_util::stream::repeat_with(move || {
                let _held = &held;
                Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(&[b'x'; 4096])))
            });
            Ok(Response::new(StreamBody::new(pieces).boxed_unsync()))
        }
    });
    (app, dropped)
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing() {
    // Over HTTP/1.1 and over HTTP/2 with a socket that nobody reads.
    let get = headers(5, GET);
    let http2 = [
        PREFACE,
        SETTINGS,
        &get,
        &[0, 0, 4, 8, 0, 0, 0, 0, 1, 0x7f, 0, 0, 0],
    ]
    .concat();
    for sent in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], &http2] {
        let (app, mut dropped) = held();
        let mut pipe = serve(Entry::new(), app).await;
        pipe.write_all(sent).await.unwrap();
        let start = Instant::now();
        assert!(dropped.recv().await.is_none());
        let took = start.elapsed().as_secs();
        // An HTTP/2 connection that is not read answers no PING either.
        assert!((25..=121).contains(&took), "{took}");
        assert!(sent[0] != b'G' || took >= 120, "{took}");
        let end = tokio::time::timeout(Duration::from_secs(100), closed(pipe, false));
        end.await.expect("it is closed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_stays_closed() {
    let (app, mut dropped) = held();
    let mut pipe = serve(Entry::new(), app).await;
    pipe.write_all(&[PREFACE, NO_WINDOW, &headers(5, GET)].concat())
        .await
        .unwrap();
    let client = tokio::spawn(closed(pipe, true));
    let start = Instant::now();
    assert!(dropped.recv().await.is_none());
    assert_eq!(start.elapsed().as_secs(), 120);
    let (frames, seconds) = client.await.unwrap();
    let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    assert!(
        frames.windows(reset.len()).any(|at| at == reset),
        "RST_STREAM with CANCEL"
    );
    assert_eq!(seconds, 120 + 60, "the connection itself lived");
}

#[tokio::test(start_paused = true)]
async fn the_settings_hold_and_can_be_taken_away() {
    let second = Duration::from_secs(1);
    let entry = Entry::new()
        .body_idle_timeout(Some(second))
        .idle_timeout(Some(2 * second));
    let mut pipe = serve(entry, busy()).await;
    pipe.write_all(&[PREFACE, SETTINGS, &headers(4, POST)].concat())
        .await
        .unwrap();
    assert_eq!(closed(pipe, true).await.1, 3);

    let entry = Entry::new()
        .body_idle_timeout(None)
        .send_timeout(None)
        .idle_timeout(None);
    let mut pipe = serve(entry, busy()).await;
    pipe.write_all(&[PREFACE, NO_WINDOW, &headers(4, POST)].concat())
        .await
        .unwrap();
    let lives = tokio::time::timeout(Duration::from_secs(3_600), closed(pipe, true)).await;
    assert!(lives.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_port_for_agents_closes_them_as_well() {
    for (sent, answers, seconds) in [
        (b"".to_vec(), false, 10),
        (PREFACE[..12].to_vec(), false, 5),
        ([PREFACE, SETTINGS].concat(), false, 25),
        ([PREFACE, SETTINGS].concat(), true, 60),
        (
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n".to_vec(),
            false,
            30,
        ),
    ] {
        let mut pipe = serve(Entry::for_agents(), busy()).await;
        pipe.write_all(&sent).await.unwrap();
        assert_eq!(closed(pipe, answers).await.1, seconds, "{}", sent.len());
    }
}
