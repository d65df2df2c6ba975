//! A hundred thousand tiny messages to services that do not read them.

use std::sync::Arc;

use http::Response;
use http_body_util::BodyExt as _;
use tokio::sync::Notify;
use tower::service_fn;
use tunnel_core::{ResetReason, TunnelError};
use tunnel_tests::{
    raw::{
        RawGateway,
        message::{http_chunk, http_request, new_id},
    },
    wait::within_limit,
};
use tunnel_transport::{ServedRequest, wire::tunnel_message::Payload};

use super::actor::Actor;

/// What one exchange's credit allows: 256 KiB, at 6 + 64 bytes each.
const PER_EXCHANGE: usize = 256 * 1024 / 70;
/// Enough exchanges for more than 100,000 messages.
const EXCHANGES: usize = 27;

async fn nobody_reads(gateway: RawGateway) {
    let go = Arc::new(Notify::new());
    let gone = go.clone();
    let service = service_fn(move |request: ServedRequest| {
        let go = gone.clone();
        async move {
            if request.uri().path() == "/stalled" {
                go.notified().await;
            }
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, TunnelError>(Response::new(format!("{} bytes", body.len())))
        }
    });
    let actor = Actor::at(&gateway, service);
    let mut session = gateway.accept_session().await;
    let lane = &mut session.lane;
    let live = new_id();
    lane.send(http_request(&live, "POST", "/live").body("half, "))
        .await;
    let mut stalled: Vec<_> = (0..EXCHANGES).map(|_| new_id()).collect();
    for id in &stalled {
        lane.send(http_request(id, "POST", "/stalled")).await;
    }
    for _ in 0..PER_EXCHANGE {
        for id in &stalled {
            lane.send(http_chunk(id, "tiny! ")).await;
        }
    }
    lane.settle().await;
    let granted = actor.agent.credit().used();
    assert!(
        granted <= (EXCHANGES + 1) * 256 * 1024,
        "{granted} bytes are granted"
    );

    lane.send(http_chunk(&live, "whole").end()).await;
    assert_eq!(&*lane.expect_response(&live).await.body, b"11 bytes");
    let over = stalled.pop().expect("there are some");
    lane.send(http_chunk(&over, "tiny! ")).await;
    assert_eq!(lane.expect_reset(&over).await, ResetReason::FlowControl);

    for id in &stalled {
        lane.send(http_chunk(id, "").end()).await;
    }
    lane.settle().await;
    go.notify_waiters();
    let expected = format!("{} bytes", 6 * PER_EXCHANGE);
    for _ in &stalled {
        let message = lane.next().await.expect("the lane stands");
        match message.payload {
            Some(Payload::HttpResponse(response)) => {
                assert_eq!(response.body, expected);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(session.connection.is_connected());
    actor.finish().await;
}

#[tokio::test]
async fn tiny_messages_are_bounded_by_their_credit() {
    within_limit(nobody_reads(RawGateway::bind())).await;
}

#[tokio::test]
async fn tiny_frames_end_no_connection() {
    within_limit(nobody_reads(RawGateway::bind().one_message_per_frame())).await;
}
