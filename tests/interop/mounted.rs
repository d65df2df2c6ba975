//! The layers in tonic's server: around all of its services, and around one, which keeps its name.

use tokio::task::JoinSet;
use tonic::{
    Code, Request,
    server::NamedService,
    transport::{Server as TonicServer, server::TcpIncoming},
};
use tower::ServiceBuilder;
use tunnel_layers::{deadline::DeadlineLayer, rescue::RescueLayer, trace_id::TraceIdLayer};
use tunnel_tests::tunnel::{address, listener};

use crate::{
    pb::{Empty, UnaryRequest, test_service_server::TestServiceServer},
    requests::{assert_status, ending, unary},
    server::Server,
    world::{client, within},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Runs this server, and asserts that the layers do in it what they do.
macro_rules! assert_traced {
    ($server:expr) => {
        within("a server", async {
            let listener = listener().await;
            let addr = address(&listener);
            let serve = $server.serve_with_incoming(TcpIncoming::from(listener));
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { serve.await.expect("the listener is sound") });

            let mut client = client(addr).await;
            let mut request = Request::new(Empty {});
            let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
            let parent = parent.parse().expect("ASCII");
            request.metadata_mut().insert("traceparent", parent);
            let answer = client.empty_call(request).await.expect("it succeeds");
            assert_eq!(answer.metadata().get("x-trace-id").expect("an id"), TRACE);

            let request = UnaryRequest {
                status: Some(ending(Code::OutOfRange, "too far")),
                ..unary(1, 1)
            };
            assert_status(client.unary_call(request).await, Code::OutOfRange, "too far");
            let request = UnaryRequest {
                hang: true,
                ..unary(1, 1)
            };
            let status = client.unary_call(request).await.expect_err("it takes too long");
            assert_eq!(status.code(), Code::DeadlineExceeded);
            assert!(status.metadata().contains_key("x-trace-id"));
        })
        .await
    };
}

fn deadline() -> DeadlineLayer {
    DeadlineLayer::new().default_timeout(std::time::Duration::from_millis(100))
}

#[tokio::test]
async fn around_all_services() {
    let server = TonicServer::builder()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(deadline())
        .add_service(Server::new().service());
    assert_traced!(server);
}

#[tokio::test]
async fn around_one_service_which_keeps_its_name() {
    fn name<S: NamedService>(_: &S) -> &'static str {
        S::NAME
    }
    let service = ServiceBuilder::new()
        .layer(TraceIdLayer::new())
        .layer(RescueLayer::new())
        .layer(deadline())
        .service(Server::new().service());
    assert_eq!(name(&service), <TestServiceServer<Server> as NamedService>::NAME);
    assert_traced!(TonicServer::builder().add_service(service));
}
