//! The test service, with tonic.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{body::Body, extract::Request, middleware};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderMap, HeaderName, Response};
use http_body_util::BodyExt as _;
use tonic::{Code, Status, Streaming, async_trait, service::Routes};

use crate::{
    calls::{Call, Calls, State},
    pb::{
        AwaitCallRequest, CallState, EchoStatus, Empty, InputRequest, InputResponse, OutputParameters,
        OutputRequest, OutputResponse, UnaryRequest, UnaryResponse,
        test_service_server::{TestService, TestServiceServer},
    },
};

/// Metadata that come back at the beginning, and under what name.
pub(crate) const ECHO_INITIAL: [&str; 2] = ["x-echo-initial", "x-echo-initial-bin"];
/// Metadata that come back at the end.
pub(crate) const ECHO_TRAILING: [&str; 2] = ["x-echo-trailing", "x-echo-trailing-bin"];

/// Metadata of a call that streams to the server and is never answered.
pub(crate) const HANG: &str = "x-hang";

type Answer<T> = Result<tonic::Response<T>, Status>;

/// A server of the test service. Clones share what they know of calls.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) calls: Calls,
    /// Messages that streaming handlers have made, and read.
    pub(crate) made: Arc<AtomicUsize>,
    pub(crate) read: Arc<AtomicUsize>,
    /// How often a handler gives way to others after each message that it read.
    pub(crate) yields: usize,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            calls: Calls::new(),
            made: Arc::default(),
            read: Arc::default(),
            yields: 0,
        }
    }

    /// As a service that tonic's server, or an agent, takes; it gives metadata back, too.
    pub(crate) fn routes(&self) -> Routes {
        let router = Routes::new(self.service()).into_axum_router();
        Routes::from(router.layer(middleware::from_fn(echo)))
    }

    /// The generated server, which takes messages of any size.
    pub(crate) fn service(&self) -> TestServiceServer<Self> {
        TestServiceServer::new(self.clone()).max_decoding_message_size(usize::MAX)
    }
}

#[async_trait]
impl TestService for Server {
    type StreamingOutputCallStream = BoxStream<'static, Result<OutputResponse, Status>>;
    type FullDuplexCallStream = BoxStream<'static, Result<OutputResponse, Status>>;

    async fn empty_call(&self, request: tonic::Request<Empty>) -> Answer<Empty> {
        self.calls.begin(request.metadata()).finish();
        Ok(tonic::Response::new(Empty {}))
    }

    async fn unary_call(&self, request: tonic::Request<UnaryRequest>) -> Answer<UnaryResponse> {
        let mut call = self.calls.begin(request.metadata());
        let request = request.into_inner();
        if request.hang {
            std::future::pending::<()>().await;
        }
        call.finish();
        if let Some(status) = request.status.and_then(failed) {
            return Err(status);
        }
        let payload = payload(request.response_size as usize);
        Ok(tonic::Response::new(UnaryResponse { payload }))
    }

    async fn streaming_input_call(
        &self,
        request: tonic::Request<Streaming<InputRequest>>,
    ) -> Answer<InputResponse> {
        let mut call = self.calls.begin(request.metadata());
        let hangs = request.metadata().contains_key(HANG);
        let mut messages = request.into_inner();
        let mut size = 0;
        while let Some(message) = messages.message().await? {
            size += message.payload.len() as u64;
            self.read.fetch_add(1, Ordering::Relaxed);
            for _ in 0..self.yields {
                tokio::task::yield_now().await;
            }
        }
        // When the client has left, tonic says that its last message has come.
        if hangs {
            std::future::pending::<()>().await;
        }
        call.finish();
        Ok(tonic::Response::new(InputResponse { size }))
    }

    async fn streaming_output_call(
        &self,
        request: tonic::Request<OutputRequest>,
    ) -> Answer<Self::StreamingOutputCallStream> {
        let output = Output::new(self, request.metadata(), None).with(request.into_inner());
        Ok(tonic::Response::new(output.stream()))
    }

    async fn full_duplex_call(
        &self,
        request: tonic::Request<Streaming<OutputRequest>>,
    ) -> Answer<Self::FullDuplexCallStream> {
        let (metadata, _, messages) = request.into_parts();
        let output = Output::new(self, &metadata, Some(messages));
        Ok(tonic::Response::new(output.stream()))
    }

    async fn await_call(&self, request: tonic::Request<AwaitCallRequest>) -> Answer<Empty> {
        let AwaitCallRequest { call, state } = request.into_inner();
        match CallState::try_from(state) {
            Ok(CallState::Started) => self.calls.wait(&call, |_| true).await,
            Ok(CallState::Canceled) => self.calls.wait(&call, |state| state == State::Canceled).await,
            _ => return Err(Status::invalid_argument("no state to wait for")),
        }
        Ok(tonic::Response::new(Empty {}))
    }
}

/// The answers of a call, as they are asked for.
struct Output {
    server: Server,
    call: Call,
    /// Where requests come from, as long as they may.
    messages: Option<Streaming<OutputRequest>>,
    queue: VecDeque<OutputParameters>,
    status: Option<EchoStatus>,
    hangs: bool,
}

impl Output {
    fn new(
        server: &Server,
        metadata: &tonic::metadata::MetadataMap,
        messages: Option<Streaming<OutputRequest>>,
    ) -> Self {
        Self {
            server: server.clone(),
            call: server.calls.begin(metadata),
            messages,
            queue: VecDeque::new(),
            status: None,
            hangs: false,
        }
    }

    fn with(mut self, request: OutputRequest) -> Self {
        self.queue.extend(request.responses);
        self.status = request.status;
        self.hangs |= request.hang;
        self
    }

    fn stream(self) -> BoxStream<'static, Result<OutputResponse, Status>> {
        stream::unfold(Some(self), |output| async { output?.next().await }).boxed()
    }

    async fn next(mut self) -> Option<(Result<OutputResponse, Status>, Option<Self>)> {
        loop {
            if let Some(payload) = self.pop() {
                self.server.made.fetch_add(1, Ordering::Relaxed);
                return Some((Ok(OutputResponse { payload }), Some(self)));
            }
            if let Some(status) = self.status.take() {
                self.call.finish();
                return failed(status).map(|status| (Err(status), None));
            }
            match self.messages.as_mut() {
                None if self.hangs => std::future::pending::<()>().await,
                None => break,
                Some(messages) => match messages.message().await {
                    Ok(Some(request)) => self = self.with(request),
                    Ok(None) => self.messages = None,
                    Err(status) => return Some((Err(status), None)),
                },
            }
        }
        self.call.finish();
        None
    }

    fn pop(&mut self) -> Option<Bytes> {
        let first = self.queue.front_mut()?;
        let payload = payload(first.size as usize);
        if first.times > 1 {
            first.times -= 1;
        } else {
            self.queue.pop_front();
        }
        Some(payload)
    }
}

/// The bytes of a payload of this size.
pub(crate) fn payload(size: usize) -> Bytes {
    static ZEROS: [u8; 1024] = [0; 1024];
    if size <= ZEROS.len() {
        Bytes::from_static(&ZEROS[..size])
    } else {
        Bytes::from(vec![0; size])
    }
}

fn failed(status: EchoStatus) -> Option<Status> {
    (status.code != 0).then(|| Status::new(Code::from_i32(status.code), status.message))
}

/// Gives metadata back.
async fn echo(request: Request, next: middleware::Next) -> Response<Body> {
    let initial = pick(request.headers(), ECHO_INITIAL);
    let trailing = pick(request.headers(), ECHO_TRAILING);
    let mut response = next.run(request).await;
    response.headers_mut().extend(initial);
    if trailing.is_empty() {
        return response;
    }
    // tonic has no other way to end a call well with metadata of one's own.
    response.map(|body| Body::new(body.with_trailers(std::future::ready(Some(Ok(trailing))))))
}

fn pick(from: &HeaderMap, names: [&'static str; 2]) -> HeaderMap {
    let mut picked = HeaderMap::new();
    for name in names {
        for value in from.get_all(name) {
            picked.append(HeaderName::from_static(name), value.clone());
        }
    }
    picked
}
