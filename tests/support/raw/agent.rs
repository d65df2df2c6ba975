//! A scripted agent.

use std::{
    net::{Shutdown, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response, Uri, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::{Status, Streaming, body::Body, client::Grpc};
use tower_service::Service;
use tunnel_core::{InstanceId, SessionId};
use tunnel_transport::{
    net::windows,
    wire::{
        self as pb, MAX_MESSAGE_BYTES, TunnelCodec, tunnel_message::Payload,
        tunnel_service_client::TunnelServiceClient,
    },
};

use super::{
    message::{Draft, control as of_control, settings},
    stream::{Pace, RawStream, script},
};

/// One HTTP/2 connection to a gateway, on which a script opens whatever streams it likes. Dropping it closes it.
#[derive(Debug)]
pub struct RawAgent {
    http2: Http2,
    origin: Uri,
    driver: JoinHandle<hyper::Result<()>>,
    /// The same socket again, because hyper keeps a connection while a stream of it is open.
    socket: std::net::TcpStream,
}

/// A registered session with one lane.
#[derive(Debug)]
pub struct RawSession {
    /// The connection.
    pub agent: RawAgent,
    /// The ControlStream.
    pub control: RawStream,
    /// The lane with the index 0.
    pub lane: RawStream,
    /// What the gateway said when it took the agent.
    pub opened: pb::StreamOpenResponse,
}

/// The `stream_open` of an agent of this name, as a new process of it.
#[must_use]
pub fn hello(agent_id: &str, groups: &[&str]) -> pb::StreamOpen {
    pb::StreamOpen {
        revision: 1,
        agent_id: agent_id.to_owned(),
        instance_id: InstanceId::from_random(rand::random()).to_string(),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        weight: 1,
        version: "raw".to_owned(),
        settings: Some(settings()),
        ..Default::default()
    }
}

impl RawAgent {
    /// Connects to the agents' port of a gateway.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub async fn dial(gateway: SocketAddr) -> Self {
        let stream = TcpStream::connect(gateway).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("the socket is open");
        let stream = stream.into_std().expect("the socket is open");
        let socket = stream.try_clone().expect("there are file descriptors");
        let stream = TcpStream::from_std(stream).expect("the socket is open");
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(windows::TUNNEL_STREAM_WINDOW)
            .initial_connection_window_size(windows::CONNECTION_WINDOW)
            .max_frame_size(windows::TUNNEL_MAX_FRAME)
            .handshake(TokioIo::new(stream))
            .await
            .expect("the gateway speaks HTTP/2");
        let origin = Uri::builder()
            .scheme("http")
            .authority(gateway.to_string())
            .path_and_query("/")
            .build()
            .expect("an address is an authority");
        Self {
            http2: Http2(sender),
            origin,
            driver: tokio::spawn(connection),
            socket,
        }
    }

    fn client(&self) -> TunnelServiceClient<Http2> {
        TunnelServiceClient::with_origin(self.http2.clone(), self.origin.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Whether the connection still stands: no GOAWAY has ended it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.driver.is_finished()
    }

    /// Calls `ControlStream`, and returns when the gateway has answered the call; nothing has been said yet.
    ///
    /// # Errors
    ///
    /// The gateway refuses the call.
    ///
    /// # Panics
    ///
    /// When `token` cannot stand in a header.
    pub async fn control_stream(&self, token: Option<&str>) -> Result<RawStream, Status> {
        let (outgoing, script) = script(Pace::Together);
        let mut request = tonic::Request::new(script);
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a token for a header");
            request.metadata_mut().insert("authorization", value);
        }
        let response = self.client().control_stream(request).await?;
        Ok(RawStream::new(outgoing, response.into_inner()))
    }

    /// Calls `Proxy`, and returns when the gateway has answered the call; nothing has been said yet.
    ///
    /// # Errors
    ///
    /// The gateway refuses the call.
    pub async fn proxy(&self, pace: Pace) -> Result<RawStream, Status> {
        let (outgoing, script) = script(pace);
        let response = self.client().proxy(script).await?;
        Ok(RawStream::new(outgoing, response.into_inner()))
    }

    /// Calls `ConfigSync`.
    ///
    /// # Errors
    ///
    /// The gateway refuses the call.
    pub async fn config_sync(
        &self,
        request: pb::ConfigSyncRequest,
    ) -> Result<pb::ConfigSyncResponse, Status> {
        let response = self.client().config_sync(request).await?;
        Ok(response.into_inner())
    }

    /// Calls `method` with messages of a type of the script's own: what another revision, or no revision at all, would send.
    ///
    /// # Errors
    ///
    /// The gateway refuses the call.
    pub async fn stream_of<M>(
        &self,
        method: &'static str,
        messages: impl Stream<Item = M> + Send + 'static,
    ) -> Result<Streaming<pb::TunnelMessage>, Status>
    where
        M: prost::Message + 'static,
    {
        let mut grpc = Grpc::with_origin(self.http2.clone(), self.origin.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static(method);
        let codec = TunnelCodec::<M, pb::TunnelMessage>::default();
        let response = grpc.streaming(tonic::Request::new(messages), path, codec).await?;
        Ok(response.into_inner())
    }

    /// Opens a lane of the session that `opened` speaks of, and does not wait for the gateway's consent.
    ///
    /// # Panics
    ///
    /// When the gateway refuses the call itself.
    pub async fn open_lane(&self, opened: &pb::StreamOpenResponse, index: u32, pace: Pace) -> RawStream {
        let lane = self.proxy(pace).await.expect("the call is answered at once");
        lane.send(lane_hello(&opened.session_id, &opened.lane_key, index))
            .await;
        lane
    }

    /// Opens a session with one lane.
    ///
    /// # Panics
    ///
    /// When the gateway refuses it.
    pub async fn register(self, token: Option<&str>, hello: pb::StreamOpen, pace: Pace) -> RawSession {
        let mut control = self.control_stream(token).await.expect("the call is answered");
        let open = Payload::StreamOpen(hello);
        control.send(of_control(open)).await;
        let opened = control.expect_opened().await;
        let mut lane = self.open_lane(&opened, 0, pace).await;
        lane.expect_opened().await;
        RawSession {
            agent: self,
            control,
            lane,
            opened,
        }
    }
}

/// The `stream_open` of a lane.
fn lane_hello(session_id: &str, lane_key: &Bytes, index: u32) -> Draft {
    of_control(Payload::StreamOpen(pb::StreamOpen {
        revision: 1,
        session_id: session_id.to_owned(),
        lane_key: lane_key.clone(),
        lane_index: index,
        ..Default::default()
    }))
}

impl RawSession {
    /// The session's name.
    ///
    /// # Panics
    ///
    /// When the gateway gave none.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.opened.session_id.parse().expect("a session has a UUID")
    }
}

impl Drop for RawAgent {
    fn drop(&mut self) {
        self.driver.abort();
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// A hyper connection as the service that a tonic client wants.
#[derive(Clone, Debug)]
struct Http2(SendRequest<Body>);

impl Service<Request<Body>> for Http2 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
