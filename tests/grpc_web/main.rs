//! Browsers, plain HTTP, upgrades and gRPC on one listener: what gRPC-Web looks like to a client that speaks nothing but bytes.

#[allow(dead_code)]
#[path = "../interop/calls.rs"]
mod calls;
mod message;
#[path = "../interop/generated/mod.rs"]
mod pb;
#[allow(dead_code)]
#[path = "../interop/server.rs"]
mod server;
mod world;

use http_body_util::BodyExt as _;
use prost::Message as _;
use tonic::{Code, transport::Endpoint};
use tunnel_tests::{
    client::{Client, RawClient, Version},
    wait::within_limit,
};

use crate::{
    message::{Form, Frames, framed},
    pb::{
        EchoStatus, Empty, OutputParameters, OutputRequest, OutputResponse, UnaryRequest, UnaryResponse,
        test_service_client::TestServiceClient,
    },
    world::{PAGE, World},
};

const FORMS: [Form; 2] = [Form::Binary, Form::Text];

fn unary(response_size: u32) -> UnaryRequest {
    UnaryRequest {
        response_size,
        ..UnaryRequest::default()
    }
}

fn output(sizes: &[u32]) -> OutputRequest {
    let responses = sizes.iter().map(|&size| OutputParameters { size, times: 1 });
    OutputRequest {
        responses: responses.collect(),
        ..OutputRequest::default()
    }
}

#[tokio::test]
async fn everything_goes_through_one_listener() {
    within_limit(async {
        let world = World::new().await;
        let mut socket = RawClient::connect(world.addr).await;
        // One connection of HTTP/1.1 for all of them, one after the other.
        let page = socket.call("GET /page HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!((page.status.as_u16(), &*page.body), (200, &b"page"[..]));

        for form in FORMS {
            let response = socket.call(form.request("UnaryCall", &unary(3), "")).await;
            assert_eq!(response.headers["content-type"], form.content_type());
            let frames = Frames::of(form, &response.body);
            let answer = UnaryResponse::decode(&*frames.messages[0]).unwrap();
            assert_eq!((frames.messages.len(), answer.payload.len()), (1, 3));
            assert_eq!(frames.trailers["grpc-status"], "0");
        }

        // Nobody grants it, and what would come behind it is not read any more.
        let upgrade = "GET /chat HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let plain = socket.call(upgrade).await;
        assert_eq!((plain.status.as_u16(), &*plain.body), (200, &b"plain chat"[..]));
        assert_eq!(plain.headers["connection"], "close");

        let endpoint = Endpoint::from_shared(format!("http://{}", world.addr)).unwrap();
        let mut client = TestServiceClient::new(endpoint.connect().await.unwrap());
        let answer = client.unary_call(unary(3)).await.unwrap().into_inner();
        assert_eq!(answer.payload.len(), 3);
        world.tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_streams_to_a_browser() {
    within_limit(async {
        let world = World::new().await;
        let mut socket = RawClient::connect(world.addr).await;
        let sizes = [0, 1, 70_000, 2];
        for form in FORMS {
            let mut request = output(&sizes);
            request.status = Some(EchoStatus {
                code: Code::Aborted.into(),
                message: "enough, % said".to_owned(),
            });
            let fields = "x-echo-initial: one\r\nx-echo-initial-bin: AAEC\r\nx-echo-trailing: two\r\n";
            let response = socket
                .call(form.request("StreamingOutputCall", &request, fields))
                .await;
            assert_eq!(response.headers["x-echo-initial"], "one");
            assert_eq!(response.headers["x-echo-initial-bin"], "AAEC");
            assert_eq!(response.headers["x-trace-id"].len(), 32);
            let frames = Frames::of(form, &response.body);
            let lengths = frames
                .messages
                .iter()
                .map(|message| OutputResponse::decode(&**message).unwrap().payload.len() as u32);
            assert!(lengths.eq(sizes), "{form:?}");
            assert_eq!(frames.trailers["grpc-status"], "10");
            assert_eq!(frames.trailers["grpc-message"], "enough,%20%25%20said");
            assert_eq!(frames.trailers["x-echo-trailing"], "two");
        }
    })
    .await;
}

#[tokio::test]
async fn the_head_and_each_message_come_at_once() {
    within_limit(async {
        let world = World::new().await;
        let mut client = Client::connect(Version::Http1, world.addr).await;
        let mut request = output(&[5]);
        request.hang = true;
        let request = Form::Binary.hyper_request("StreamingOutputCall", &request);
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let message = OutputResponse::decode(&first[5..]).unwrap();
        assert_eq!(message.payload.len(), 5);
        // A page that is closed cancels its calls.
        drop((body, client));
        world.server.calls.running(0).await;
        world.tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn failures_of_the_tunnel_reach_a_browser() {
    within_limit(async {
        let mut world = World::new().await;
        let mut client = Client::connect(Version::Http1, world.addr).await;
        let mut request = output(&[5]);
        request.hang = true;
        let request = Form::Binary.hyper_request("StreamingOutputCall", &request);
        let mut body = client.send(request).await.unwrap().into_body();
        let mut seen = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
        world.kill_agent().await;
        seen.extend(body.collect().await.expect("a whole body").to_bytes());
        let frames = Frames::of(Form::Binary, &seen);
        assert_eq!(frames.messages.len(), 1);
        assert_eq!(frames.trailers["grpc-status"], "14");
        assert_eq!(frames.trailers["x-tunnel-error"], "agent-lost");

        // Before the head: trailers-only, so among the headers.
        let mut socket = RawClient::connect(world.addr).await;
        for form in FORMS {
            let response = socket.call(form.request("EmptyCall", &Empty {}, "")).await;
            assert_eq!(response.status, 200);
            assert_eq!(response.headers["content-type"], form.content_type());
            assert_eq!(response.headers["grpc-status"], "14");
            assert_eq!(response.headers["x-tunnel-error"], "no-agent");
            assert_eq!(response.body, "");
        }
        let unknown = Form::Binary.request_to("/no.Such/Method", &framed(&Empty {}), "");
        let response = socket.call(unknown).await;
        assert_eq!(response.headers["grpc-status"], "5");
        assert_eq!(response.headers["x-tunnel-error"], "no-route");
    })
    .await;
}

#[tokio::test]
async fn text_that_is_malformed_harms_only_its_call() {
    within_limit(async {
        let world = World::new().await;
        let mut socket = RawClient::connect(world.addr).await;
        let path = "/tunnel.interop.v1.TestService/UnaryCall";
        let malformed = Form::Text.request_with(path, b"????", "");
        let response = socket.call(malformed).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.headers["grpc-status"], "13");
        assert_eq!(response.headers["x-tunnel-error"], "malformed");

        let mut other = RawClient::connect(world.addr).await;
        let response = other.call(Form::Text.request("UnaryCall", &unary(1), "")).await;
        assert_eq!(
            Frames::of(Form::Text, &response.body).trailers["grpc-status"],
            "0"
        );
        world.tunnel.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_page_of_another_site_asks_first() {
    within_limit(async {
        let world = World::new().await;
        let mut socket = RawClient::connect(world.addr).await;
        let preflight = format!(
            "OPTIONS /tunnel.interop.v1.TestService/UnaryCall HTTP/1.1\r\nhost: x\r\norigin: {PAGE}\r\n\
             access-control-request-method: POST\r\naccess-control-request-headers: content-type,x-grpc-web\r\n\r\n"
        );
        let response = socket.call(preflight).await;
        assert_eq!(response.status, 204);
        assert_eq!(response.headers["access-control-allow-origin"], PAGE);
        assert_eq!(
            response.headers["access-control-allow-headers"],
            "content-type,x-grpc-web"
        );

        let origin = format!("origin: {PAGE}\r\n");
        let response = socket
            .call(Form::Binary.request("UnaryCall", &unary(1), &origin))
            .await;
        assert_eq!(response.headers["access-control-allow-origin"], PAGE);
        assert!(
            response
                .headers
                .get_all("access-control-expose-headers")
                .iter()
                .any(|name| name == "grpc-status")
        );

        // The app's own preflights are the app's.
        let own = format!(
            "OPTIONS /page HTTP/1.1\r\nhost: x\r\norigin: {PAGE}\r\naccess-control-request-method: POST\r\n\r\n"
        );
        assert_eq!(socket.call(own).await.status, 405);
    })
    .await;
}
