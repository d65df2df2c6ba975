//! Exchanges that end before their time, at an agent.

use std::{convert::Infallible, io};

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, Channel, Full, StreamBody};
use tokio::sync::mpsc;
use tower::service_fn;
use tunnel_core::{Cause, Initiator, ResetReason, Sent, TunnelBody, TunnelError};
use tunnel_tests::{
    raw::{
        RawGateway,
        message::{Draft, http_chunk, http_request, http_response, new_id, ping, reset},
    },
    wait::{idle, within_limit},
};
use tunnel_transport::{ServedRequest, wire::tunnel_message::Payload};

use super::actor::{Actor, echo, round_trip, silent};

/// Says when it is dropped.
#[derive(Debug)]
struct Alarm(mpsc::Sender<()>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.try_send(()).expect("the test waits for this");
    }
}

#[tokio::test]
async fn a_reset_drops_what_the_service_was_doing() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let (sender, mut dropped) = mpsc::channel(1);
        let (called, mut calls) = mpsc::channel(1);
        let service = service_fn(move |request: ServedRequest| {
            let alarm = Alarm(sender.clone());
            called.try_send(()).expect("one request");
            async move {
                let _held = (alarm, request);
                std::future::pending::<Result<Response<TunnelBody>, Infallible>>().await
            }
        });
        let actor = Actor::at(&gateway, service);
        let session = gateway.accept_session().await;
        let id = new_id();
        session.lane.send(http_request(&id, "GET", "/").end()).await;
        calls.recv().await.expect("it is called");
        session.lane.send(reset(&id, ResetReason::Cancel.code())).await;
        dropped.recv().await.expect("it is dropped");
        idle(&actor.agent.connected().await).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_reset_drops_the_body_that_the_service_gave() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let (sender, mut dropped) = mpsc::channel(1);
        let service = service_fn(move |_: ServedRequest| {
            let mut alarm = Some(Alarm(sender.clone()));
            let frames = futures_util::stream::poll_fn(move |_| {
                let _held = &mut alarm;
                std::task::Poll::<Option<Result<Frame<Bytes>, Infallible>>>::Pending
            });
            std::future::ready(Ok::<_, Infallible>(Response::new(StreamBody::new(frames))))
        });
        let actor = Actor::at(&gateway, service);
        let mut session = gateway.accept_session().await;
        let id = new_id();
        session.lane.send(http_request(&id, "GET", "/").end()).await;
        assert!(!session.lane.expect_response(&id).await.end);
        session.lane.send(reset(&id, ResetReason::Cancel.code())).await;
        dropped.recv().await.expect("it is dropped");
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_fails_resets_with_its_reason() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let service = service_fn(|request: ServedRequest| {
            let upstream = || TunnelError::new(Cause::Upstream, Initiator::Peer, "no upstream");
            let error: tunnel_core::BoxError = match request.uri().path() {
                "/unreachable" => upstream().with_sent(Sent::No).into(),
                "/broken" => upstream().into(),
                "/deadline" => TunnelError::new(Cause::Deadline, Initiator::Tunnel, "too late").into(),
                "/panic" => panic!("a service may panic"),
                _ => io::Error::other("something of its own").into(),
            };
            std::future::ready(Err::<Response<TunnelBody>, _>(error))
        });
        let actor = Actor::at(&gateway, service);
        let mut session = gateway.accept_session().await;
        for (path, reason) in [
            ("/unreachable", ResetReason::UpstreamUnreachable),
            ("/broken", ResetReason::UpstreamBroken),
            ("/deadline", ResetReason::Deadline),
            ("/panic", ResetReason::Internal),
            ("/", ResetReason::Internal),
        ] {
            let id = new_id();
            session.lane.send(http_request(&id, "GET", path).end()).await;
            assert_eq!(session.lane.expect_reset(&id).await, reason, "{path}");
        }
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_breaks_off_never_ends_cleanly() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let service = service_fn(|_: ServedRequest| {
            let frames = [
                Ok(Frame::data(Bytes::from("half"))),
                Err(io::Error::other("the disk is gone")),
            ];
            let body = StreamBody::new(futures_util::stream::iter(frames));
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        });
        let actor = Actor::at(&gateway, service);
        let mut session = gateway.accept_session().await;
        let id = new_id();
        session.lane.send(http_request(&id, "GET", "/").end()).await;
        // A reset discards what is still queued, so the head may or may not come.
        loop {
            let message = session.lane.next().await.expect("the lane stands");
            match message.payload.expect("a payload") {
                Payload::HttpResponse(response) => {
                    assert!(!response.end);
                }
                Payload::HttpChunk(chunk) => assert!(!chunk.end),
                Payload::Reset(reset) => {
                    assert_eq!(ResetReason::from_code(reset.reason), ResetReason::UpstreamBroken);
                    break;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_the_service_ignores_is_stopped_after_the_answer_only() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let (sender, mut bodies) = mpsc::channel(1);
        let service = service_fn(move |request: ServedRequest| {
            drop(request);
            let (send, body) = Channel::<Bytes, Infallible>::new(1);
            sender.try_send(send).expect("one request");
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        });
        let actor = Actor::at(&gateway, service);
        let mut session = gateway.accept_session().await;
        let lane = &mut session.lane;
        let id = new_id();
        lane.send(http_request(&id, "POST", "/")).await;
        assert_eq!(lane.expect_response(&id).await.status, 200);
        // The upload goes on, and what comes is thrown away: its credit comes back.
        for _ in 0..6 {
            for _ in 0..4 {
                lane.send(http_chunk(&id, vec![0; 32 * 1024])).await;
            }
            assert!(lane.expect_window(&id).await >= 128 * 1024);
        }
        let mut body = bodies.recv().await.expect("the service was called");
        body.send_data("answer".into()).await.expect("the pump reads");
        assert_eq!(&*lane.expect_chunk(&id).await.data, b"answer");
        drop(body);
        assert!(lane.expect_chunk(&id).await.end);
        assert_eq!(lane.expect_reset(&id).await, ResetReason::NoError);
        // What was on its way is late, and ignored.
        lane.send(http_chunk(&id, "late").end()).await;
        lane.send(ping(1)).await;
        assert_eq!(lane.expect_pong().await, 1);
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_that_breaks_off_is_an_error_to_the_service() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let (sender, mut outcomes) = mpsc::channel(1);
        let (called, mut calls) = mpsc::channel(1);
        let service = service_fn(move |request: ServedRequest| {
            // Read beside the answer, which would be dropped with the exchange.
            let sender = sender.clone();
            called.try_send(()).expect("one request at a time");
            tokio::spawn(async move {
                let outcome = request.into_body().collect().await.map(|body| body.to_bytes());
                sender.send(outcome).await.expect("the test waits for this");
            });
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
        });
        let actor = Actor::at(&gateway, service);
        let session = gateway.accept_session().await;
        for reason in [ResetReason::Cancel, ResetReason::BodyBroken] {
            let id = new_id();
            session
                .lane
                .send(http_request(&id, "POST", "/").body("half"))
                .await;
            calls.recv().await.expect("it is called");
            session.lane.send(reset(&id, reason.code())).await;
            let outcome = outcomes.recv().await.expect("the body was read");
            assert_eq!(
                outcome.expect_err("half a body is no body").cause(),
                Cause::Canceled
            );
        }
        actor.finish().await;
    })
    .await;
}

/// A request that must be reset with this reason, and cost nothing else.
async fn is_reset(reason: ResetReason, messages: impl FnOnce(&str) -> Vec<Draft>) {
    let gateway = RawGateway::bind();
    let actor = Actor::at(&gateway, silent());
    let mut session = gateway.accept_session().await;
    let id = new_id();
    for message in messages(&id) {
        session.lane.send(message).await;
    }
    assert_eq!(session.lane.expect_reset(&id).await, reason);
    session.lane.send(ping(1)).await;
    assert_eq!(session.lane.expect_pong().await, 1);
    assert!(actor.agent.connected().await.closed().is_none());
    actor.finish().await;
}

#[tokio::test]
async fn a_gateway_that_breaks_the_rules_of_an_exchange_costs_that() {
    use ResetReason::{FlowControl, HeadTooLarge, Protocol};
    let get = |id: &str| http_request(id, "GET", "/");
    within_limit(async {
        is_reset(Protocol, |id| vec![get(id), http_chunk(id, "")]).await;
        is_reset(Protocol, |id| vec![get(id).end(), http_chunk(id, "x")]).await;
        is_reset(Protocol, |id| vec![get(id), get(id)]).await;
        is_reset(Protocol, |id| vec![get(id), http_response(id, 200)]).await;
        is_reset(Protocol, |id| vec![get(id), reset(id, 0)]).await;
        is_reset(Protocol, |id| vec![http_request(id, "CONNECT", "/")]).await;
        is_reset(Protocol, |id| vec![http_request(id, "G ET", "/")]).await;
        is_reset(Protocol, |id| vec![http_request(id, "GET", "no-slash")]).await;
        is_reset(Protocol, |id| vec![get(id).header("a b", "c")]).await;
        is_reset(Protocol, |id| vec![get(id).header("a", "b\r\nc: d")]).await;
        is_reset(Protocol, |id| {
            vec![
                get(id)
                    .header("content-length", "1")
                    .header("content-length", "2"),
            ]
        })
        .await;
        let many = |id: &str| (0..201).fold(get(id), |request, _| request.header("a", "b"));
        is_reset(HeadTooLarge, |id| vec![many(id)]).await;
        is_reset(HeadTooLarge, |id| {
            vec![get(id).header("a", vec![b'a'; 64 * 1024])]
        })
        .await;
        let chunks = |id: &str| {
            (0..8)
                .map(|_| http_chunk(id, vec![0; 32 * 1024]))
                .collect::<Vec<_>>()
        };
        is_reset(FlowControl, |id| [vec![get(id)], chunks(id)].concat()).await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_session_drops_what_the_service_was_doing() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let mut session = gateway.accept_session().await;
        let before = actor.agent.connected().await;
        let id = new_id();
        session
            .lane
            .send(http_request(&id, "POST", "/").body("half"))
            .await;
        session.lane.expect_response(&id).await;
        drop(session);
        tunnel_tests::wait::closed(&before).await;
        let mut session = gateway.accept_session().await;
        round_trip(&mut session.lane).await;
        actor.finish().await;
    })
    .await;
}
