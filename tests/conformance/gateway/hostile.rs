//! Agents that break the rules. It costs them their exchange or their session, and nobody else anything.

use bytes::Bytes;
use http::Method;
use http_body_util::Channel;
use tunnel_core::{Cause, Initiator, ResetReason, TunnelError};
use tunnel_tests::{
    call::{collect, get, open, request},
    raw::{
        RawStream,
        message::{
            Draft, control, drain, http_chunk, http_request, http_response, new_id, of_exchange, ping, reset,
            window_update,
        },
    },
    wait::{closed, within_limit},
};
use tunnel_transport::wire::{self as pb, tunnel_message::Payload};

use crate::stage::Stage;

/// Sends `messages` of an exchange whose request has not ended. They must cost that exchange, with this reason, and nothing
/// else.
async fn costs_its_exchange<const N: usize>(reason: ResetReason, messages: impl FnOnce(&str) -> [Draft; N]) {
    let stage = Stage::open().await;
    let bystander = stage.bystander().await;
    let mut agent = stage.join("hostile").await;
    let sibling = get(&agent.session, "/sibling");
    let sibling_id = agent.raw.lane.expect_request().await.id;
    let (_upload, body) = Channel::<Bytes, TunnelError>::new(1);
    let victim = open(&agent.session, request(Method::POST, "/victim"), body).expect("there is room");
    let id = agent.raw.lane.expect_request().await.id;

    for message in messages(&id) {
        agent.raw.lane.send(message).await;
    }
    assert_eq!(agent.raw.lane.expect_reset(&id).await, reason);
    let error = match victim.answer().await {
        Err(error) => error,
        Ok((_, body)) => collect(body).await.expect_err("the exchange is broken"),
    };
    assert_eq!(
        (error.cause(), error.initiator()),
        (Cause::Protocol, Initiator::Peer)
    );

    agent
        .raw
        .lane
        .send(http_response(&sibling_id, 200).body("well").end())
        .await;
    let (_, body) = sibling.answer().await.expect("the sibling is not harmed");
    assert_eq!(collect(body).await.expect("the sibling is not harmed"), "well");
    agent.round_trip().await;
    bystander.finish().await;
    stage.finish().await;
}

macro_rules! costs_its_exchange {
    ($( $name:ident: $reason:ident, |$id:ident| $messages:expr; )+) => { $(
        #[tokio::test]
        async fn $name() {
            within_limit(costs_its_exchange(ResetReason::$reason, |$id| $messages)).await;
        }
    )+ };
}

costs_its_exchange! {
    a_chunk_before_the_head: Protocol, |id| [http_chunk(id, "x")];
    two_heads: Protocol, |id| [http_response(id, 200), http_response(id, 200)];
    an_empty_chunk: Protocol, |id| [http_response(id, 200), http_chunk(id, "")];
    trailers_before_the_end: Protocol, |id| [http_response(id, 200), http_chunk(id, "x").trailer("a", "b")];
    a_chunk_larger_than_the_settings: Protocol, |id| [http_response(id, 200), http_chunk(id, vec![0; 64 * 1024 + 1])];
    a_window_update_of_nothing: Protocol, |id| [window_update(id, 0)];
    more_credit_than_can_be_counted: FlowControl, |id| [window_update(id, u32::MAX)];
    a_second_request_with_its_id: Protocol, |id| [http_request(id, "GET", "/").opened_by_agent()];
    no_error_before_the_answer: Protocol, |id| [http_response(id, 200), reset(id, 0)];
    an_unknown_direction: Protocol, |id| [http_response(id, 200).with(|message| message.direction = 7)];
    the_protocol_of_nothing: Protocol, |id| [http_response(id, 200).with(|message| message.protocol_type = 4)];
    a_websocket_frame_without_the_feature: Protocol, |id| [
        http_response(id, 200),
        of_exchange(id, Payload::WsFrame(pb::WebSocketFrame::default())).with(|message| message.protocol_type = 3),
    ];
    a_name_that_is_no_token: Protocol, |id| [http_response(id, 200).header("a b", "c")];
    a_name_in_upper_case: Protocol, |id| [http_response(id, 200).header("X-Upper", "c")];
    an_empty_name: Protocol, |id| [http_response(id, 200).header("", "c")];
    a_pseudo_header: Protocol, |id| [http_response(id, 200).header(":status", "200")];
    a_value_with_a_line_break: Protocol, |id| [http_response(id, 200).header("a", "b\r\nc: d")];
    a_trailer_with_a_line_break: Protocol, |id| [http_response(id, 200).end().trailer("a", "b\nc")];
    a_status_that_is_none: Protocol, |id| [http_response(id, 99)];
    a_status_far_off: Protocol, |id| [http_response(id, u32::MAX)];
    an_informational_status: Protocol, |id| [http_response(id, 100)];
    a_switch_of_protocols_that_nobody_asked_for: Protocol, |id| [http_response(id, 101)];
}

/// The answer was whole before the rule was broken, so it stands; the upload is what breaks.
#[tokio::test]
async fn more_after_the_end_costs_the_other_direction() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        let mut agent = stage.join("hostile").await;
        let after: [fn(&str) -> Draft; 3] = [
            |id| http_chunk(id, "x"),
            |id| http_chunk(id, "").end(),
            |id| http_response(id, 200).end(),
        ];
        for after in after {
            let (mut upload, body) = Channel::<Bytes, TunnelError>::new(1);
            let pending = open(&agent.session, request(Method::POST, "/"), body).expect("there is room");
            let id = agent.raw.lane.expect_request().await.id;
            agent
                .raw
                .lane
                .send(http_response(&id, 200).body("whole").end())
                .await;
            agent.raw.lane.send(after(&id)).await;
            assert_eq!(agent.raw.lane.expect_reset(&id).await, ResetReason::Protocol);
            let (_, body) = pending.answer().await.expect("the answer came");
            assert_eq!(collect(body).await.expect("the answer was whole"), "whole");
            while upload.send_data("more".into()).await.is_ok() {}
        }
        agent.round_trip().await;
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}

fn many_fields(id: &str) -> Draft {
    (0..201).fold(http_response(id, 200), |response, _| response.header("a", "b"))
}

/// What is too large is told apart from what is wrong, so the caller sees another cause.
#[tokio::test]
async fn a_head_that_is_too_large_costs_its_exchange() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        let mut agent = stage.join("hostile").await;
        let bytes = |id: &str| http_response(id, 200).header("a", vec![b'a'; 64 * 1024]);
        let trailer = |id: &str| http_response(id, 200).end().trailer("a", vec![b'a'; 64 * 1024]);
        for message in [many_fields, bytes, trailer] {
            let pending = get(&agent.session, "/");
            let id = agent.raw.lane.expect_request().await.id;
            agent.raw.lane.send(message(&id)).await;
            assert_eq!(agent.raw.lane.expect_reset(&id).await, ResetReason::HeadTooLarge);
            let error = pending.answer().await.expect_err("the head is too large");
            assert_eq!(error.initiator(), Initiator::Peer);
        }
        agent.round_trip().await;
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn more_body_than_the_credit_allows_costs_its_exchange() {
    let chunks = |id: &str| {
        let mut messages = [(); 10].map(|()| http_chunk(id, vec![0; 32 * 1024]));
        messages[0] = http_response(id, 200);
        messages
    };
    within_limit(costs_its_exchange(ResetReason::FlowControl, chunks)).await;
}

#[tokio::test]
async fn an_answer_to_nobody_is_ignored() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        for message in [
            http_response(&new_id(), 200).body("x").end(),
            http_chunk(&new_id(), "x"),
            reset(&new_id(), 1),
            window_update(&new_id(), 1),
            // And what has no business on a lane.
            drain(),
            control(Payload::StreamOpen(pb::StreamOpen::default())),
        ] {
            agent.raw.lane.send(message).await;
        }
        agent.round_trip().await;
        assert!(!agent.session.is_draining());
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_foreign_id_delivers_nothing() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut owner = stage.join("owner").await;
        let mut thief = stage.join("thief").await;
        let pending = get(&owner.session, "/secret");
        let id = owner.raw.lane.expect_request().await.id;
        thief
            .raw
            .lane
            .send(http_response(&id, 200).body("forged").end())
            .await;
        thief.raw.lane.send(reset(&id, 4)).await;
        thief.round_trip().await;

        owner
            .raw
            .lane
            .send(http_response(&id, 200).body("genuine").end())
            .await;
        let (_, body) = pending.answer().await.expect("the owner answers");
        assert_eq!(collect(body).await.expect("the body is whole"), "genuine");
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_to_the_gateway_is_refused() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let id = new_id();
        agent
            .raw
            .lane
            .send(http_request(&id, "GET", "/").opened_by_agent().end())
            .await;
        assert_eq!(agent.raw.lane.expect_reset(&id).await, ResetReason::Refused);
        agent.round_trip().await;
        stage.finish().await;
    })
    .await;
}

/// Sends what `attack` does. It must cost the session, with a word about it on the control stream, and nobody else anything.
async fn costs_its_session(attack: impl AsyncFnOnce(&RawStream)) {
    let stage = Stage::open().await;
    let bystander = stage.bystander().await;
    let mut agent = stage.join("hostile").await;
    let pending = get(&agent.session, "/");
    agent.raw.lane.expect_request().await;

    attack(&agent.raw.lane).await;
    assert_eq!(closed(&agent.session).await.cause(), Cause::Protocol);
    let error = pending.answer().await.expect_err("the session is over");
    assert_eq!(
        (error.cause(), error.initiator()),
        (Cause::Protocol, Initiator::Peer)
    );
    let told = agent.raw.control.expect_error().await;
    assert_eq!(told.code(), pb::error_message::Code::Protocol);
    agent.raw.control.expect_end().await;
    agent.raw.lane.read_to_end().await;
    assert!(stage.find(agent.session.id()).is_none());
    bystander.finish().await;
    stage.finish().await;
}

async fn message_costs_its_session(message: Draft) {
    within_limit(costs_its_session(async move |lane| lane.send(message).await)).await;
}

#[tokio::test]
async fn an_id_that_is_none_costs_the_session() {
    message_costs_its_session(http_response("not-a-uuid", 200)).await;
    message_costs_its_session(http_response("", 200)).await;
    message_costs_its_session(http_response("00000000-0000-0000-0000-000000000000", 200)).await;
}

#[tokio::test]
async fn a_ping_with_an_id_costs_the_session() {
    message_costs_its_session(ping(1).with(|message| message.request_id = new_id())).await;
}

#[tokio::test]
async fn a_request_in_the_gateways_own_direction_costs_the_session() {
    message_costs_its_session(http_request(&new_id(), "GET", "/").end()).await;
}

#[tokio::test]
async fn a_flood_of_unknown_ids_costs_the_session() {
    within_limit(costs_its_session(async |lane| {
        for _ in 0..1_001 {
            lane.send(reset(&new_id(), 1)).await;
        }
    }))
    .await;
    within_limit(costs_its_session(async |lane| {
        for _ in 0..40 {
            if !lane.offer(http_chunk(&new_id(), vec![0; 32 * 1024])).await {
                return;
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn a_message_larger_than_any_costs_its_lane() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        let mut agent = stage.join("hostile").await;
        let pending = get(&agent.session, "/");
        let id = agent.raw.lane.expect_request().await.id;
        agent
            .raw
            .lane
            .send(http_response(&id, 200).body(vec![0; pb::MAX_MESSAGE_BYTES]))
            .await;
        let error = pending.answer().await.expect_err("the lane is lost");
        assert_eq!(error.cause(), Cause::AgentLost);
        assert!(agent.session.closed().is_none());
        agent.raw.lane.read_to_end().await;
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}
