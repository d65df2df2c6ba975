//! For any answer and any request: what is read and written here is what hyper reads and writes.

mod answers;
mod requests;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proptest::{sample::select, strategy::Strategy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_test::task;
use tunnel_core::admit;

use super::head;
use crate::upstream::upload::Upload;

/// What a client of hyper's makes of an exchange.
struct ByHyper {
    written: Vec<u8>,
    answer: Response<Bytes>,
    /// Whether the connection takes another request.
    is_kept: bool,
}

/// The exchange, if hyper gets to its end with an `answer` behind which the upstream is silent.
fn by_hyper(request: Request<Upload>, answer: &[u8]) -> Option<ByHyper> {
    let (mut upstream, ours) = duplex(64 * 1024);
    let handshake = http1::handshake(TokioIo::new(ours)).now_or_never();
    let (mut sender, connection) = handshake.expect("nothing to wait for").expect("no error yet");
    let exchange = async {
        let sent = sender.send_request(request);
        let served = async {
            let mut written = vec![0; 8 * 1024];
            let len = upstream.read(&mut written).await.ok()?;
            written.truncate(len);
            upstream.write_all(answer).await.ok()?;
            Some(written)
        };
        let (response, written) = tokio::join!(sent, served);
        let (mut parts, body) = response.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        admit::clean_response(&mut parts);
        Some(ByHyper {
            written: written?,
            answer: Response::from_parts(parts, body),
            is_kept: sender.ready().await.is_ok(),
        })
    };
    let mut exchange = task::spawn(exchange);
    let mut connection = task::spawn(connection.fuse());
    loop {
        let _ = connection.poll();
        if let std::task::Poll::Ready(done) = exchange.poll() {
            return done;
        }
        // Nobody does anything more.
        if !connection.is_woken() && !exchange.is_woken() {
            return None;
        }
    }
}

/// One of the pieces between the bars.
fn one_of(pieces: &'static str) -> impl Strategy<Value = &'static str> {
    select(pieces.split('|').collect::<Vec<_>>())
}
