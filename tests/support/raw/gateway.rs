//! A scripted gateway.

use std::{net::SocketAddr, pin::Pin};

use futures_core::Stream;
use futures_util::StreamExt as _;
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};
use tunnel_core::SessionId;
use tunnel_transport::{
    net::{DEFAULT_BACKLOG, bind, windows},
    wire::{
        self as pb, MAX_MESSAGE_BYTES,
        tunnel_message::Payload,
        tunnel_service_server::{TunnelService, TunnelServiceServer},
    },
};

use super::{
    message::{control, settings},
    stream::{Pace, RawStream, Script, script},
};

/// A listening port whose connections a script takes one after the other. Dropping it closes the port.
#[derive(Debug)]
pub struct RawGateway {
    listener: TcpListener,
    pace: Pace,
}

/// One agent's connection. Dropping it breaks it.
#[derive(Debug)]
pub struct RawConnection {
    calls: mpsc::Receiver<RawCall>,
    driver: JoinHandle<hyper::Result<()>>,
}

/// A call that the script has not answered yet.
#[derive(Debug)]
pub struct RawCall {
    /// Whether it is `ControlStream`, and not `Proxy`.
    pub is_control: bool,
    /// What the agent showed.
    pub metadata: MetadataMap,
    incoming: Streaming<pb::TunnelMessage>,
    pace: Pace,
    answer: oneshot::Sender<Result<Script, Status>>,
}

impl RawGateway {
    /// Listens on a port of the system's choice.
    ///
    /// # Panics
    ///
    /// When that does not work.
    #[must_use]
    pub fn bind() -> Self {
        Self::bind_to(([127, 0, 0, 1], 0).into())
    }

    /// Listens on this address.
    ///
    /// # Panics
    ///
    /// When that does not work.
    #[must_use]
    pub fn bind_to(addr: SocketAddr) -> Self {
        let listener = bind(addr, DEFAULT_BACKLOG).expect("the address is free");
        Self {
            listener,
            pace: Pace::Together,
        }
    }

    /// Puts every message into a DATA frame of its own.
    #[must_use]
    pub fn one_message_per_frame(mut self) -> Self {
        self.pace = Pace::OnePerFrame;
        self
    }

    /// Where it listens.
    ///
    /// # Panics
    ///
    /// Never while the port is open.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("the port is open")
    }

    /// What an agent has to dial.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Waits for the next connection.
    ///
    /// # Panics
    ///
    /// When the port is broken.
    pub async fn accept(&self) -> RawConnection {
        let (stream, _) = self.listener.accept().await.expect("the port is open");
        stream.set_nodelay(true).expect("the socket is open");
        let (sender, calls) = mpsc::channel(16);
        let calling = Calls {
            sender,
            pace: self.pace,
        };
        RawConnection {
            calls,
            driver: tokio::spawn(serve(stream, calling)),
        }
    }

    /// Waits for the next connection, and opens a session with one lane on it.
    pub async fn accept_session(&self) -> RawGatewaySession {
        self.accept_session_with(consent()).await
    }

    /// The same with another consent than the usual one.
    pub async fn accept_session_with(&self, consent: pb::StreamOpenResponse) -> RawGatewaySession {
        let mut connection = self.accept().await;
        let (stream, hello) = connection.hear_control().await;
        stream.send(control(Payload::StreamOpenResponse(consent))).await;
        let (lane, _) = connection.accept_lane().await;
        RawGatewaySession {
            connection,
            control: stream,
            lane,
            hello,
        }
    }
}

async fn serve(stream: TcpStream, calls: Calls) -> hyper::Result<()> {
    let service = TunnelServiceServer::new(calls).max_decoding_message_size(MAX_MESSAGE_BYTES);
    http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(windows::TUNNEL_STREAM_WINDOW)
        .initial_connection_window_size(windows::CONNECTION_WINDOW)
        .max_frame_size(windows::TUNNEL_MAX_FRAME)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await
}

/// A session of a real agent at a scripted gateway.
#[derive(Debug)]
pub struct RawGatewaySession {
    /// The connection.
    pub connection: RawConnection,
    /// The ControlStream.
    pub control: RawStream,
    /// The lane with the index 0.
    pub lane: RawStream,
    /// What the agent said of itself.
    pub hello: pb::StreamOpen,
}

impl RawConnection {
    /// Waits for the next call.
    ///
    /// # Panics
    ///
    /// When the connection ends instead.
    pub async fn call(&mut self) -> RawCall {
        self.calls.recv().await.expect("the connection stands")
    }

    /// Whether the connection still stands: no GOAWAY has ended it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.driver.is_finished()
    }

    /// Waits until the connection has ended.
    pub async fn ended(mut self) {
        drop((&mut self.driver).await);
    }

    /// Waits for a ControlStream and consents to it.
    ///
    /// # Panics
    ///
    /// When another call comes.
    pub async fn accept_control(&mut self) -> (RawStream, pb::StreamOpen) {
        let (stream, hello) = self.hear_control().await;
        stream.send(control(Payload::StreamOpenResponse(consent()))).await;
        (stream, hello)
    }

    /// Waits for a ControlStream and what the agent says on it, and does not answer that yet.
    ///
    /// # Panics
    ///
    /// When another call comes.
    pub async fn hear_control(&mut self) -> (RawStream, pb::StreamOpen) {
        let call = self.call().await;
        assert!(call.is_control, "a session begins with ControlStream");
        let mut stream = call.accept();
        let hello = stream.expect_open().await;
        (stream, hello)
    }

    /// Waits for a lane and consents to it.
    ///
    /// # Panics
    ///
    /// When another call comes.
    pub async fn accept_lane(&mut self) -> (RawStream, pb::StreamOpen) {
        let call = self.call().await;
        assert!(!call.is_control, "a lane is a call of Proxy");
        let mut stream = call.accept();
        let open = stream.expect_open().await;
        let session_id = open.session_id.clone();
        let consent = pb::StreamOpenResponse {
            session_id,
            ..Default::default()
        };
        stream.send(control(Payload::StreamOpenResponse(consent))).await;
        (stream, open)
    }
}

/// The consent to a new session, with the default settings and slow heartbeats.
#[must_use]
pub fn consent() -> pb::StreamOpenResponse {
    pb::StreamOpenResponse {
        revision: 1,
        session_id: SessionId::from_random(rand::random()).to_string(),
        lane_key: rand::random::<[u8; 16]>().to_vec().into(),
        settings: Some(settings()),
        heartbeat_interval_ms: 10_000,
        heartbeat_timeout_ms: 20_000,
        max_lanes: 8,
        gateway_id: "raw".to_owned(),
        ..Default::default()
    }
}

impl RawCall {
    /// Answers the call; the streams are open then.
    ///
    /// # Panics
    ///
    /// When the agent is gone.
    #[must_use]
    pub fn accept(self) -> RawStream {
        let (outgoing, script) = script(self.pace);
        assert!(self.answer.send(Ok(script)).is_ok(), "the agent is gone");
        RawStream::new(outgoing, self.incoming)
    }

    /// Refuses the call.
    ///
    /// # Panics
    ///
    /// When the agent is gone.
    pub fn refuse(self, status: Status) {
        assert!(self.answer.send(Err(status)).is_ok(), "the agent is gone");
    }
}

impl Drop for RawConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Hands every call to the script.
struct Calls {
    sender: mpsc::Sender<RawCall>,
    pace: Pace,
}

type Messages = Pin<Box<dyn Stream<Item = Result<pb::TunnelMessage, Status>> + Send>>;

impl Calls {
    async fn hand_over(
        &self,
        is_control: bool,
        request: Request<Streaming<pb::TunnelMessage>>,
    ) -> Result<Response<Messages>, Status> {
        let (metadata, _, incoming) = request.into_parts();
        let (answer, answered) = oneshot::channel();
        let call = RawCall {
            is_control,
            metadata,
            incoming,
            pace: self.pace,
            answer,
        };
        let gone = || Status::unavailable("the script is over");
        self.sender.send(call).await.map_err(|_| gone())?;
        let script = answered.await.map_err(|_| gone())??;
        Ok(Response::new(Box::pin(script.map(Ok))))
    }
}

#[tonic::async_trait]
impl TunnelService for Calls {
    type ControlStreamStream = Messages;
    type ProxyStream = Messages;

    async fn control_stream(
        &self,
        request: Request<Streaming<pb::TunnelMessage>>,
    ) -> Result<Response<Messages>, Status> {
        self.hand_over(true, request).await
    }

    async fn proxy(
        &self,
        request: Request<Streaming<pb::TunnelMessage>>,
    ) -> Result<Response<Messages>, Status> {
        self.hand_over(false, request).await
    }

    async fn config_sync(
        &self,
        _: Request<pb::ConfigSyncRequest>,
    ) -> Result<Response<pb::ConfigSyncResponse>, Status> {
        Err(Status::unimplemented("the script has no configuration"))
    }
}
