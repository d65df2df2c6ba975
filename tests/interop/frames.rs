//! A gRPC client of bare HTTP/2, which looks at the frames that it gets.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use pin_project::pin_project;
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::JoinSet,
};

/// What a frame of the call's stream was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Data { is_end: bool },
    Headers { is_end: bool },
    Reset,
}

/// A call that is over.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<()>,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    /// The frames by which it came; data frames one after the other count as one.
    pub(crate) frames: Vec<Frame>,
}

/// A message as it stands in a body.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    prefixed(false, &message.encode_to_vec())
}

/// A message that is these bytes, and is compressed if the flag says so.
pub(crate) fn prefixed(is_compressed: bool, message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5 + message.len());
    bytes.put_u8(u8::from(is_compressed));
    bytes.put_u32(message.len() as u32);
    bytes.put_slice(message);
    bytes.freeze()
}

/// Makes a call with this body.
pub(crate) async fn call(addr: SocketAddr, path: &str, fields: &[(&str, &str)], body: Bytes) -> Answer {
    let (tape, socket) = Tape::connect(addr).await;
    // A window for whatever comes: the body is read when it is all there.
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(64 << 20)
        .initial_connection_window_size(64 << 20)
        .handshake::<_, Bytes>(socket)
        .await
        .expect("the entry speaks HTTP/2");
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let mut request = Request::post(format!("http://{addr}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let mut send = send.ready().await.expect("the connection is open");
    let (response, mut stream) = send
        .send_request(request.body(()).expect("a request"), false)
        .expect("a request that HTTP/2 takes");
    stream.send_data(body, true).expect("the stream is open");
    let (parts, mut incoming) = response.await.expect("an answer").into_parts();
    let mut body = BytesMut::new();
    while let Some(data) = incoming.data().await {
        body.put(data.expect("the body does not break off"));
    }
    let trailers = incoming.trailers().await.expect("the stream is not reset");
    Answer {
        response: Response::from_parts(parts, ()),
        body: body.freeze(),
        trailers,
        frames: tape.frames(1),
    }
}

/// What was read from a socket.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Tape {
    async fn connect(addr: SocketAddr) -> (Self, Recorded) {
        let socket = TcpStream::connect(addr).await.expect("somebody listens");
        socket.set_nodelay(true).expect("the connection is open");
        let tape = Self::default();
        let recorded = Recorded {
            socket,
            tape: tape.clone(),
        };
        (tape, recorded)
    }

    /// The frames of one stream (RFC 9113, section 4.1).
    fn frames(&self, stream: u32) -> Vec<Frame> {
        let bytes = self.0.lock().expect("nobody panicked");
        let mut rest = &bytes[..];
        let mut frames = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<9>() {
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let is_end = head[4] & 1 == 1;
            let frame = match head[3] {
                0 => Some(Frame::Data { is_end }),
                1 => Some(Frame::Headers { is_end }),
                3 => Some(Frame::Reset),
                _ => None,
            };
            if let Some(frame) = frame.filter(|_| id == stream) {
                frames.push(frame);
            }
            rest = after.get(len..).unwrap_or_default();
        }
        frames.dedup();
        frames
    }
}

#[pin_project]
struct Recorded {
    #[pin]
    socket: TcpStream,
    tape: Tape,
}

impl AsyncRead for Recorded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        ready!(this.socket.poll_read(cx, buffer))?;
        let mut tape = this.tape.0.lock().expect("nobody panicked");
        tape.extend_from_slice(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().socket.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().socket.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().socket.poll_shutdown(cx)
    }
}
