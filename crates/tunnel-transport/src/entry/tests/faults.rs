use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use tokio::{io::AsyncWriteExt, sync::mpsc, time::timeout};

use super::*;

const HEAD_10: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
const HEAD_11: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Answers with two bytes, and then with an error or a clean end.
fn halves(breaks: bool) -> App {
    app(move |_| async move {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(2);
        tokio::spawn(async move {
            let _ = sender.send_data(Bytes::from_static(b"ab")).await;
            if breaks {
                sender.abort("the agent is gone".into());
            }
        });
        Ok(Response::new(body.boxed_unsync()))
    })
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_breaks_with_rst() {
    for breaks in [false, true] {
        let mut stream = connected(Entry::new(), halves(breaks)).await;
        stream.write_all(HEAD_10).await.unwrap();
        let (answer, end) = to_end(&mut stream).await;
        match end {
            Ok(()) => {
                assert!(!breaks, "a clean end after {answer}");
                assert!(answer.ends_with("\r\n\r\nab"), "{answer}");
            }
            Err(error) => {
                assert!(breaks, "{error}");
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
        }
    }
}

#[tokio::test]
async fn a_head_request_of_http_10_ends_cleanly() {
    let mut stream = connected(Entry::new(), halves(true)).await;
    stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await.unwrap();
    let (answer, end) = to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    end.unwrap();
}

#[tokio::test]
async fn a_chunked_body_that_breaks_has_no_last_chunk() {
    let mut stream = connected(Entry::new(), halves(true)).await;
    stream.write_all(HEAD_11).await.unwrap();
    let (answer, _) = to_end(&mut stream).await;
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    assert!(!answer.contains("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn an_error_of_the_service_is_no_response() {
    let app = app(|_| async { Err("defect".into()) });
    let mut stream = connected(Entry::new(), app).await;
    stream.write_all(HEAD_11).await.unwrap();
    assert_eq!(to_end(&mut stream).await.0, "");
}

/// Tells when the handler is dropped.
struct Guard(mpsc::Sender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

/// Tells when the handler is called and when it is dropped.
fn waiting() -> (App, mpsc::Receiver<()>, mpsc::Receiver<()>) {
    let (sender, dropped) = mpsc::channel(1);
    let (called, calls) = mpsc::channel(1);
    let app = app(move |_| {
        let (guard, called) = (Guard(sender.clone()), called.clone());
        async move {
            let _guard = guard;
            let _ = called.try_send(());
            std::future::pending().await
        }
    });
    (app, calls, dropped)
}

#[tokio::test]
async fn a_fin_drops_the_exchange() {
    // With the next request read already, hyper reads nothing.
    for heads in [HEAD_11.to_vec(), [HEAD_11, HEAD_11].concat()] {
        let (app, mut calls, mut dropped) = waiting();
        let mut stream = connected(Entry::new(), app).await;
        stream.write_all(&heads).await.unwrap();
        calls.recv().await.unwrap();
        stream.shutdown().await.unwrap();
        timeout(Duration::from_secs(5), dropped.recv())
            .await
            .unwrap()
            .unwrap();
    }
}
