//! Good exchanges at an agent.

use std::sync::Arc;

use http::Response;
use http_body_util::BodyExt as _;
use tokio::sync::Notify;
use tower::service_fn;
use tunnel_core::{ResetReason, TunnelError};
use tunnel_tests::{
    raw::{
        RawGateway, RawStream,
        message::{http_chunk, http_request, new_id, ping, window_update},
    },
    wait::{idle, within_limit},
};
use tunnel_transport::{
    ServedRequest,
    wire::{self as pb, tunnel_message::Payload},
};

use super::actor::{Actor, answering, echo, round_trip};

const WINDOW: usize = 256 * 1024;

#[tokio::test]
async fn a_small_exchange_is_one_message_each_way() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(
            &gateway,
            answering(|request| {
                assert_eq!(
                    (request.method().as_str(), request.uri().path()),
                    ("PUT", "/path")
                );
                assert_eq!(request.uri().query(), Some("a=b"));
                assert_eq!(request.headers()["host"], "demo.example");
                assert_eq!(request.headers().get_all("x-two").iter().count(), 2);
                assert_eq!(request.body(), "question");
                let response = Response::builder().status(201).header("set-cookie", "a=1");
                response
                    .header("set-cookie", "b=2")
                    .body("answer")
                    .expect("a response")
            }),
        );
        let mut session = gateway.accept_session().await;
        let id = new_id();
        let request = http_request(&id, "PUT", "/path?a=b")
            .header("x-two", "1")
            .header("x-two", "2");
        session.lane.send(request.body("question").end()).await;
        let response = session.lane.expect_response(&id).await;
        assert_eq!(
            (response.status, &*response.body, response.end),
            (201, &b"answer"[..], true)
        );
        let cookies = response
            .headers
            .iter()
            .filter(|header| header.name == "set-cookie");
        let cookies: Vec<_> = cookies.map(|header| &*header.value).collect();
        assert_eq!(cookies, [b"a=1", b"b=2"]);
        actor.finish().await;
    })
    .await;
}

/// Sends a body to an agent that echoes it, within the credit of both ends, and counts the window updates.
async fn echo_within_credit(lane: &mut RawStream, body: &[u8]) -> (Vec<u8>, usize) {
    let id = new_id();
    lane.send(http_request(&id, "POST", "/echo")).await;
    assert_eq!(lane.expect_response(&id).await.status, 200);
    let mut chunks = body.chunks(10_000).peekable();
    let (mut credit, mut unreturned, mut back, mut updates) = (WINDOW, 0, Vec::new(), 0);
    loop {
        while let Some(chunk) = chunks.next_if(|chunk| chunk.len() + 64 <= credit) {
            credit -= chunk.len() + 64;
            let message = http_chunk(&id, chunk.to_vec());
            lane.send(if chunks.peek().is_some() {
                message
            } else {
                message.end()
            })
            .await;
        }
        let message = lane.next().await.expect("the lane stands");
        assert_eq!(message.request_id, id);
        match message.payload {
            Some(Payload::WindowUpdate(pb::WindowUpdate { increment })) => {
                credit += increment as usize;
                updates += 1;
            }
            Some(Payload::HttpChunk(chunk)) => {
                back.extend_from_slice(&chunk.data);
                unreturned += chunk.data.len() + 64;
                assert!(unreturned <= WINDOW, "the agent overruns its credit");
                if chunk.end {
                    return (back, updates);
                }
                if unreturned > WINDOW / 2 {
                    lane.send(window_update(&id, unreturned as u32)).await;
                    unreturned = 0;
                }
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_body_larger_than_its_credit_flows_both_ways() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let mut session = gateway.accept_session().await;
        let body: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (back, updates) = echo_within_credit(&mut session.lane, &body).await;
        assert!(back == body);
        // At half of the window; or at an eighth, when the machine is so busy that the link looks long.
        let most = (body.len() + 200 * 64) / (WINDOW / 8);
        assert!(
            (1..=most).contains(&updates),
            "{updates} updates for 200 messages"
        );
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_has_no_credit_waits() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, answering(|_| Response::new("an answer of 21 bytes")));
        let mut session = gateway.accept_session().await;
        let id = new_id();
        session
            .lane
            .send(http_request(&id, "GET", "/").credit(0).end())
            .await;
        let response = session.lane.expect_response(&id).await;
        assert!(response.body.is_empty() && !response.end, "a head never waits");
        session.lane.send(ping(1)).await;
        assert_eq!(session.lane.expect_pong().await, 1);
        session.lane.send(window_update(&id, 64 * 1024)).await;
        let chunk = session.lane.expect_chunk(&id).await;
        assert_eq!((&*chunk.data, chunk.end), (&b"an answer of 21 bytes"[..], true));
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn trailers_come_out_as_they_went_in() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let mut session = gateway.accept_session().await;
        let id = new_id();
        session
            .lane
            .send(
                http_request(&id, "POST", "/")
                    .body("a")
                    .end()
                    .trailer("x-sum", "42"),
            )
            .await;
        let mut response = session.lane.expect_response(&id).await;
        let mut trailers = response.trailers;
        while !response.end {
            let chunk = session.lane.expect_chunk(&id).await;
            (trailers, response.end) = (chunk.trailers, chunk.end);
        }
        let [trailer] = trailers.as_slice() else {
            panic!("one trailer")
        };
        assert_eq!((&*trailer.name, &*trailer.value), ("x-sum", &b"42"[..]));
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_nobody_wants_yet_gets_no_credit() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let wanted = Arc::new(Notify::new());
        let go = wanted.clone();
        let service = service_fn(move |request: ServedRequest| {
            let go = go.clone();
            async move {
                go.notified().await;
                let body = request.into_body().collect().await?.to_bytes();
                Ok::<_, TunnelError>(Response::new(http_body_util::Full::new(body)))
            }
        });
        let actor = Actor::at(&gateway, service);
        let mut session = gateway.accept_session().await;
        let id = new_id();
        session
            .lane
            .send(http_request(&id, "POST", "/").header("expect", "100-continue"))
            .await;
        session.lane.send(ping(1)).await;
        assert_eq!(
            session.lane.expect_pong().await,
            1,
            "no window_update came before"
        );
        wanted.notify_one();
        assert_eq!(session.lane.expect_window(&id).await as usize, WINDOW);
        session.lane.send(http_chunk(&id, "now").end()).await;
        assert_eq!(&*session.lane.expect_response(&id).await.body, b"now");
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_was_not_granted_is_not_taken() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, super::actor::silent());
        let mut session = gateway.accept_session().await;
        let id = new_id();
        session
            .lane
            .send(http_request(&id, "POST", "/").header("expect", "100-continue"))
            .await;
        session.lane.send(http_chunk(&id, "too early")).await;
        assert_eq!(session.lane.expect_reset(&id).await, ResetReason::FlowControl);
        idle(&actor.agent.connected().await).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_head_request_and_a_204_have_no_body_whatever_the_service_says() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let service = answering(|request| {
            let status = if request.method() == "HEAD" { 200 } else { 204 };
            Response::builder()
                .status(status)
                .body("never sent")
                .expect("a response")
        });
        let actor = Actor::at(&gateway, service);
        let mut session = gateway.accept_session().await;
        for method in ["HEAD", "DELETE"] {
            let id = new_id();
            session.lane.send(http_request(&id, method, "/").end()).await;
            let response = session.lane.expect_response(&id).await;
            assert!(response.body.is_empty() && response.end);
        }
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn more_exchanges_than_the_settings_allow_are_refused() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let builder = super::actor::builder(&gateway).settings(tunnel_core::Settings {
            max_exchanges: 1,
            ..Default::default()
        });
        let actor = Actor::of(builder, echo());
        let mut session = gateway.accept_session().await;
        assert_eq!(session.hello.settings.expect("settings").max_exchanges, 1);
        // An agent may take a few more than it said, for those whose end and successor cross.
        let ids: Vec<_> = (0..32).map(|_| new_id()).collect();
        for id in &ids {
            session.lane.send(http_request(id, "POST", "/")).await;
        }
        let mut taken = Vec::new();
        let mut refused = Vec::new();
        for _ in &ids {
            let message = session.lane.next().await.expect("the lane stands");
            match message.payload {
                Some(Payload::HttpResponse(_)) => taken.push(message.request_id),
                Some(Payload::Reset(reset)) => {
                    assert_eq!(reset.reason, ResetReason::Refused.code());
                    refused.push(message.request_id);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        assert!(taken.contains(&ids[0]) && refused.contains(&ids[31]));
        for id in &taken {
            session.lane.send(http_chunk(id, "").end()).await;
            assert!(session.lane.expect_chunk(id).await.end);
        }
        idle(&actor.agent.connected().await).await;
        round_trip(&mut session.lane).await;
        actor.finish().await;
    })
    .await;
}
