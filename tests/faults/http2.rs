//! An HTTP/2 client, one frame at a time.

use std::{future::poll_fn, net::SocketAddr};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{Request, Response};
use tokio::{net::TcpStream, task::JoinSet};

/// The window of a stream, in bytes.
pub(crate) const WINDOW: u32 = 64 * 1024;

/// One connection.
pub(crate) struct H2 {
    send: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

impl H2 {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.expect("the entry listens");
        socket.set_nodelay(true).expect("the connection is open");
        // Small frames that this client does not read are its own affair.
        let (send, driver) = Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size((1 << 31) - 1)
            .handshake(socket)
            .await
            .expect("the entry speaks HTTP/2");
        let mut connection = JoinSet::new();
        connection.spawn(driver);
        Self { send, connection }
    }

    /// Sends a head; the body is to come if there is a stream.
    pub(crate) async fn open(
        &self,
        request: Request<()>,
        is_end: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut send = self.send.clone().ready().await.expect("the connection is open");
        send.send_request(request, is_end).expect("a valid request")
    }

    /// Asks for `path`; the stream is ours to reset.
    pub(crate) async fn get(&self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        self.open(request("GET", path), true).await
    }

    /// Begins to post to `path`.
    pub(crate) async fn post(&self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        self.open(request("POST", path), false).await
    }

    /// A whole exchange: `/fast` must say `ok`.
    pub(crate) async fn fast(&self) {
        let (response, _) = self.get("/fast").await;
        let response = response.await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(read_all(response.into_body()).await.expect("a whole body"), "ok");
    }

    /// Asserts that the connection has not ended.
    pub(crate) fn assert_open(&mut self) {
        let ended = self.connection.try_join_next();
        assert!(ended.is_none(), "the connection ended: {ended:?}");
    }
}

pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://demo.example{path}"));
    request.body(()).expect("a valid request")
}

/// Reads a body to its end.
pub(crate) async fn read_all(mut body: RecvStream) -> Result<Bytes, h2::Error> {
    let mut whole = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len())?;
        whole.extend_from_slice(&bytes);
    }
    body.trailers().await?;
    Ok(whole.into())
}

/// Reads at least so many bytes of a body.
pub(crate) async fn read(body: &mut RecvStream, bytes: usize) {
    let mut count = 0;
    while count < bytes {
        let bytes = body.data().await.expect("more bytes").expect("more bytes");
        body.flow_control()
            .release_capacity(bytes.len())
            .expect("they were received");
        count += bytes.len();
    }
}

/// Sends one DATA frame of these bytes, waiting for the window.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, bytes: Bytes) -> Result<(), h2::Error> {
    stream.reserve_capacity(bytes.len());
    while stream.capacity() < bytes.len() {
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(capacity) => capacity?,
            None => return Err(h2::Reason::CANCEL.into()),
        };
    }
    stream.send_data(bytes, false)
}

/// The head of an answer that must come.
pub(crate) async fn head(response: ResponseFuture) -> Response<RecvStream> {
    response.await.expect("an answer")
}
