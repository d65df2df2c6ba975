//! Clients and servers of tonic with our layers between them, as they stand in a gateway's process.

use std::{convert::Infallible, time::Duration};

use bytes::{Buf, BufMut};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, uri::PathAndQuery};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tunnel_core::{Session, TunnelError};

use crate::{
    balance::{BalanceLayer, Lent, RoundRobin},
    deadline::{DeadlineLayer, UploadBody},
    rescue::RescueLayer,
    target::TargetLayer,
    test_session::{group, session},
    upgrade::{UpgradeBody, UpgradeLayer},
};

/// Messages that are texts.
#[derive(Clone, Copy)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let text = String::from_utf8(bytes.to_vec());
        text.map(Some).map_err(|_| Status::internal("not a text"))
    }
}

/// The body of a call where the server gets it.
type Carried = UpgradeBody<Lent<UploadBody<Body>>>;

type Channel = BoxCloneService<http::Request<Body>, http::Response<Body>, Infallible>;

/// What a typed client takes as its channel, with `server` behind the sessions.
fn channel<S>(sessions: &[&Session], server: S) -> Grpc<Channel>
where
    S: Service<http::Request<Carried>, Response = http::Response<Body>, Error = TunnelError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let stack = ServiceBuilder::new()
        .layer(TargetLayer::group("billing".parse().unwrap()))
        .layer(RescueLayer::new())
        .layer(DeadlineLayer::new())
        .layer(BalanceLayer::new(group(sessions), RoundRobin::new()))
        .layer(UpgradeLayer::new())
        .service(server);
    Grpc::new(
        stack
            .map_response(|response| response.map(Body::new))
            .boxed_clone(),
    )
}

/// A server of one unary method.
fn unary<F, Fut>(
    handler: F,
) -> impl Service<http::Request<Carried>, Response = http::Response<Body>, Error = TunnelError, Future: Send>
+ Clone
+ Send
+ 'static
where
    F: Fn(Request<String>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<String>, Status>> + Send,
{
    service_fn(move |request| {
        let handler = handler.clone();
        async move {
            Ok(tonic::server::Grpc::new(Text)
                .unary(service_fn(handler), request)
                .await)
        }
    })
}

/// A server of one method with streams both ways.
fn streaming<F, St>(
    handler: F,
) -> impl Service<http::Request<Carried>, Response = http::Response<Body>, Error = TunnelError, Future: Send>
+ Clone
+ Send
+ 'static
where
    F: Fn(tonic::Streaming<String>) -> St + Clone + Send + Sync + 'static,
    St: Stream<Item = Result<String, Status>> + Send + 'static,
{
    service_fn(move |request| {
        let handler = handler.clone();
        async move {
            let method = service_fn(move |request: Request<tonic::Streaming<String>>| {
                let response = Response::new(handler(request.into_inner()));
                async move { Ok::<_, Status>(response) }
            });
            Ok(tonic::server::Grpc::new(Text).streaming(method, request).await)
        }
    })
}

fn path() -> PathAndQuery {
    PathAndQuery::from_static("/billing.Invoices/Get")
}

async fn get(mut client: Grpc<Channel>, request: Request<String>) -> Result<Response<String>, Status> {
    client.ready().await.unwrap();
    client.unary(request, path(), Text).await
}

async fn talk(
    mut client: Grpc<Channel>,
    messages: impl Stream<Item = String> + Send + 'static,
) -> Result<tonic::Streaming<String>, Status> {
    client.ready().await.unwrap();
    let mut request = Request::new(messages);
    request.set_timeout(Duration::from_secs(5));
    client
        .streaming(request, path(), Text)
        .await
        .map(Response::into_inner)
}

#[tokio::test]
async fn a_typed_client_calls_through_a_group() {
    let agent = session(1, 1);
    let server = unary(|request: Request<String>| async move {
        assert_eq!(request.metadata().get("tenant").unwrap(), "blue");
        Ok(Response::new(format!("hello {}", request.into_inner())))
    });
    let client = channel(&[&agent], server);
    for _ in 0..2 {
        let mut request = Request::new("world".to_owned());
        request.metadata_mut().insert("tenant", "blue".parse().unwrap());
        assert_eq!(
            get(client.clone(), request).await.unwrap().into_inner(),
            "hello world"
        );
    }
}

#[tokio::test]
async fn messages_go_both_ways_at_once() {
    let agent = session(1, 1);
    let server = streaming(|messages| messages.map(|message| message.map(|text| text.to_uppercase())));
    let (say, said) = tokio::sync::mpsc::channel::<String>(1);
    let said = stream::unfold(said, |mut said| async {
        said.recv().await.map(|text| (text, said))
    });
    let mut answers = talk(channel(&[&agent], server), said).await.unwrap();
    for word in ["one", "two"] {
        say.send(word.to_owned()).await.unwrap();
        assert_eq!(
            answers.message().await.unwrap().as_deref(),
            Some(&*word.to_uppercase())
        );
    }
    drop(say);
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn without_an_agent_the_status_says_so_in_full() {
    let server = unary(|request| async { Ok(Response::new(request.into_inner())) });
    let status = get(channel(&[], server), Request::new(String::new()))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "no healthy agent")
    );
    let info = status.get_details_error_info().unwrap();
    assert_eq!((&*info.reason, &*info.metadata["sent"]), ("NO_AGENT", "no"));
}

#[tokio::test]
async fn the_details_of_a_server_come_as_it_made_them() {
    let agent = session(1, 1);
    let failed = || {
        let details = ErrorDetails::with_bad_request_violation("amount", "it is negative");
        Status::with_error_details(Code::InvalidArgument, "look at the amount", details)
    };
    // Trailers only.
    let server = unary(move |_| async move { Err(failed()) });
    let before = get(channel(&[&agent], server), Request::new(String::new())).await;
    // After the head and a message.
    let server = streaming(move |_| stream::iter([Ok("one".to_owned()), Err(failed())]));
    let mut answers = talk(channel(&[&agent], server), stream::empty()).await.unwrap();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("one"));
    let after = answers.message().await;
    for status in [before.unwrap_err(), after.unwrap_err()] {
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "look at the amount");
        assert_eq!(status.details(), failed().details());
        assert!(!status.metadata().contains_key("x-tunnel-error"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clients_deadline_ends_a_call_before_and_after_the_head() {
    let agent = session(1, 1);
    let server = unary(|_| std::future::pending());
    let mut request = Request::new(String::new());
    request.set_timeout(Duration::from_secs(5));
    let start = tokio::time::Instant::now();
    let before = get(channel(&[&agent], server), request).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(5));

    let server = streaming(|_| stream::iter([Ok("one".to_owned())]).chain(stream::pending()));
    let mut answers = talk(channel(&[&agent], server), stream::pending()).await.unwrap();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("one"));
    let after = answers.message().await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(10));

    for status in [before, after] {
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status.get_details_error_info().unwrap().reason, "DEADLINE");
    }
}

#[tokio::test]
async fn a_server_that_is_lost_mid_stream_ends_the_call_with_a_status() {
    let agent = session(1, 1);
    let server = service_fn(|_: http::Request<Carried>| async {
        let message = bytes::Bytes::from_static(b"\0\0\0\0\x03one");
        let lost = TunnelError::new(
            tunnel_core::Cause::AgentLost,
            tunnel_core::Initiator::Peer,
            "the agent was lost",
        );
        let frames = stream::iter([Ok(http_body::Frame::data(message)), Err(lost)]);
        let mut response = http::Response::new(Body::new(http_body_util::StreamBody::new(frames)));
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert("content-type", grpc);
        Ok::<_, TunnelError>(response)
    });
    let mut answers = talk(channel(&[&agent], server), stream::empty()).await.unwrap();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("one"));
    let status = answers.message().await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "the agent was lost")
    );
    assert_eq!(status.get_details_error_info().unwrap().reason, "AGENT_LOST");
}
