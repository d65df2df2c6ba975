//! Agents come back.

use tonic::Status as CallStatus;
use tunnel_core::Session;
use tunnel_tests::{
    raw::{
        RawGateway, consent,
        message::{self, Draft, http_chunk, http_request, http_response, new_id, ping, reset},
    },
    tunnel::APART,
    wait::{closed, within_limit},
};
use tunnel_transport::wire::{StreamOpenResponse, error_message::Code};

use super::actor::{Actor, echo, round_trip};

#[tokio::test]
async fn an_agent_comes_back_when_the_gateway_does() {
    within_limit(async {
        let gateway = RawGateway::bind_to((APART, 0).into());
        let addr = gateway.addr();
        let actor = Actor::at(&gateway, echo());
        let mut session = gateway.accept_session().await;
        let before = actor.agent.connected().await;
        round_trip(&mut session.lane).await;
        let instance = session.hello.instance_id;
        drop((gateway, session.connection));
        closed(&before).await;

        let gateway = RawGateway::bind_to(addr);
        let mut session = gateway.accept_session().await;
        assert_eq!(session.hello.instance_id, instance);
        round_trip(&mut session.lane).await;
        assert_ne!(actor.agent.connected().await.id(), before.id());
        actor.finish().await;
    })
    .await;
}

/// Ends a session in the way of `end`; the agent must come back with a new one.
async fn comes_back_after(end: impl AsyncFnOnce(&mut tunnel_tests::raw::RawGatewaySession)) {
    let gateway = RawGateway::bind();
    let actor = Actor::at(&gateway, echo());
    let mut session = gateway.accept_session().await;
    let before: Session = actor.agent.connected().await;
    let running = new_id();
    session.lane.send(http_request(&running, "POST", "/")).await;
    session.lane.expect_response(&running).await;
    end(&mut session).await;
    closed(&before).await;
    let mut next = gateway.accept_session().await;
    round_trip(&mut next.lane).await;
    // Nobody holds on to what the session was.
    session.control.read_to_end().await;
    session.lane.read_to_end().await;
    actor.finish().await;
}

#[tokio::test]
async fn the_end_of_the_control_stream_is_the_end_of_the_session() {
    within_limit(comes_back_after(async |session| session.control.end())).await;
}

#[tokio::test]
async fn an_error_is_the_end_of_the_session() {
    within_limit(comes_back_after(async |session| {
        session
            .control
            .send(message::error(Code::Draining, "stopping", 0))
            .await;
    }))
    .await;
}

#[tokio::test]
async fn a_gateway_that_breaks_the_rules_of_the_session_costs_that() {
    let attacks: [fn() -> Draft; 4] = [
        || http_request("not-a-uuid", "GET", "/"),
        || http_chunk("", "x"),
        || http_request(&new_id(), "GET", "/").opened_by_agent(),
        || ping(1).with(|message| message.request_id = new_id()),
    ];
    for attack in attacks {
        within_limit(comes_back_after(async |session| {
            session.lane.send(attack()).await;
        }))
        .await;
    }
}

#[tokio::test]
async fn a_flood_of_unknown_ids_costs_the_session() {
    within_limit(comes_back_after(async |session| {
        for _ in 0..1_100 {
            if !session.lane.offer(reset(&new_id(), 1)).await {
                return;
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn a_response_to_an_agent_that_asked_nothing_is_ignored() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let mut session = gateway.accept_session().await;
        session
            .lane
            .send(http_response(&new_id(), 200).body("x").end())
            .await;
        session.lane.send(message::drain()).await;
        round_trip(&mut session.lane).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_lane_is_opened_again_in_the_same_session() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let mut session = gateway.accept_session().await;
        let before = actor.agent.connected().await;
        let running = new_id();
        session.lane.send(http_request(&running, "POST", "/")).await;
        session.lane.expect_response(&running).await;

        drop(session.lane);
        // The first try fails.
        session
            .connection
            .call()
            .await
            .refuse(CallStatus::already_exists("not yet"));
        let (mut lane, open) = session.connection.accept_lane().await;
        assert_eq!((open.lane_index, open.session_id), (0, before.id().to_string()));
        assert_eq!(before.pending(), 0, "the exchange was lost with its lane");
        round_trip(&mut lane).await;

        lane.end();
        let (mut lane, _) = session.connection.accept_lane().await;
        round_trip(&mut lane).await;
        assert_eq!(actor.agent.connected().await, before);
        actor.finish().await;
    })
    .await;
}

fn impatient() -> StreamOpenResponse {
    StreamOpenResponse {
        heartbeat_interval_ms: 20,
        heartbeat_timeout_ms: 100,
        ..consent()
    }
}

#[tokio::test]
async fn a_silent_gateway_is_left() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let silent = gateway.accept_session_with(impatient()).await;
        let before = actor.agent.connected().await;
        let _lane = silent.lane.run_in_background();
        closed(&before).await;
        let mut session = gateway.accept_session().await;
        round_trip(&mut session.lane).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_lane_is_opened_again() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let mut session = gateway.accept_session_with(impatient()).await;
        let _control = session.control.run_in_background();
        session.lane.ignore_pings();
        let (mut lane, open) = session.connection.accept_lane().await;
        assert_eq!(open.lane_index, 0);
        round_trip(&mut lane).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn frames_of_one_message_are_messages_all_the_same() {
    within_limit(async {
        let gateway = RawGateway::bind().one_message_per_frame();
        let actor = Actor::at(&gateway, echo());
        let mut session = gateway.accept_session().await;
        for _ in 0..100 {
            round_trip(&mut session.lane).await;
        }
        actor.finish().await;
    })
    .await;
}
