//! Requests of the test service, and how their answers are looked at.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tonic::{Code, Request, Status, Streaming, metadata::MetadataValue};

use crate::{
    calls::CALL,
    pb::{
        AwaitCallRequest, CallState, EchoStatus, InputRequest, OutputParameters, OutputRequest,
        OutputResponse, UnaryRequest,
    },
    server::payload,
    world::Client,
};

/// A stream of requests that the test feeds. It ends when the sender is dropped.
pub(crate) fn fed<T: Send + 'static>() -> (mpsc::Sender<T>, impl Stream<Item = T> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(1);
    let stream = stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    (sender, stream)
}

pub(crate) fn unary(request: usize, response: u32) -> UnaryRequest {
    UnaryRequest {
        payload: payload(request),
        response_size: response,
        ..UnaryRequest::default()
    }
}

pub(crate) fn input(size: usize) -> InputRequest {
    let payload = payload(size);
    InputRequest { payload }
}

/// Asks for a message of each of these sizes.
pub(crate) fn output(request: usize, sizes: &[u32]) -> OutputRequest {
    let responses = sizes.iter().map(|size| OutputParameters {
        size: *size,
        times: 1,
    });
    OutputRequest {
        payload: payload(request),
        responses: responses.collect(),
        ..OutputRequest::default()
    }
}

/// Asks for the end of the call.
pub(crate) fn ending(code: Code, message: &str) -> EchoStatus {
    EchoStatus {
        code: code.into(),
        message: message.to_owned(),
    }
}

/// A call with a name that no other call has.
pub(crate) struct Named(String);

impl Named {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("call-{}-{number}", std::process::id()))
    }

    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let name = MetadataValue::try_from(&self.0).expect("a name is ASCII");
        request.metadata_mut().insert(CALL, name);
        request
    }

    /// Waits until the server's handler runs.
    pub(crate) async fn started(&self, client: &mut Client) {
        self.wait(client, CallState::Started).await;
    }

    /// Waits until the server has seen that the call was canceled.
    pub(crate) async fn canceled(&self, client: &mut Client) {
        self.wait(client, CallState::Canceled).await;
    }

    async fn wait(&self, client: &mut Client, state: CallState) {
        let call = self.0.clone();
        let request = AwaitCallRequest {
            call,
            state: state.into(),
        };
        client.await_call(request).await.expect("the server tells");
    }
}

/// The sizes of all messages of a call that ends well.
pub(crate) async fn sizes(mut messages: Streaming<OutputResponse>) -> Result<Vec<usize>, Status> {
    let mut sizes = Vec::new();
    while let Some(message) = messages.message().await? {
        sizes.push(message.payload.len());
    }
    Ok(sizes)
}

/// The size of the next message.
pub(crate) async fn next(messages: &mut Streaming<OutputResponse>) -> usize {
    let message = messages.message().await.expect("the call goes on");
    message.expect("there is one more").payload.len()
}

/// Asserts that this is how the call ended.
pub(crate) fn assert_status<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, message: &str) {
    let status = result.expect_err("the call fails");
    assert_eq!((status.code(), status.message()), (code, message), "{status:?}");
}
