//! Lanes: who may open one, and what the loss of one costs.

use bytes::Bytes;
use tonic::Code;
use tunnel_core::{Cause, Initiator, ResetReason};
use tunnel_tests::{
    call::{collect, get},
    raw::{Pace, RawSession, RawStream, message},
    wait::within_limit,
};
use tunnel_transport::wire::StreamOpenResponse;

use crate::stage::{Joined, Stage};

async fn code(mut lane: RawStream) -> Code {
    let ended = lane.expect_end().await;
    ended.0.expect("a lane is refused with a status").code()
}

/// Every way to open a lane that must not work, and what it is answered.
async fn refusals(agent: &Joined, other: &Joined) -> Vec<(Code, RawStream)> {
    let opened = agent.raw.opened.clone();
    let wrong_key = StreamOpenResponse {
        lane_key: vec![0; 16].into(),
        ..opened.clone()
    };
    let no_key = StreamOpenResponse {
        lane_key: Bytes::new(),
        ..opened.clone()
    };
    let foreign_key = StreamOpenResponse {
        lane_key: other.raw.opened.lane_key.clone(),
        ..opened.clone()
    };
    let unknown = StreamOpenResponse {
        session_id: message::new_id(),
        ..opened.clone()
    };
    let no_session = StreamOpenResponse {
        session_id: String::new(),
        ..opened.clone()
    };
    let cases = [
        (Code::PermissionDenied, wrong_key, 1),
        (Code::PermissionDenied, no_key, 1),
        (Code::PermissionDenied, foreign_key, 1),
        (Code::PermissionDenied, unknown, 1),
        (Code::PermissionDenied, no_session, 1),
        (Code::InvalidArgument, opened.clone(), 8),
        (Code::InvalidArgument, opened.clone(), u32::MAX),
        (Code::AlreadyExists, opened, 0),
    ];
    let mut lanes = Vec::new();
    for (code, claim, index) in cases {
        let lane = agent.raw.agent.open_lane(&claim, index, Pace::Together).await;
        lanes.push((code, lane));
    }
    let silent = agent
        .raw
        .agent
        .proxy(Pace::Together)
        .await
        .expect("the call is answered");
    silent.send(message::ping(1)).await;
    lanes.push((Code::InvalidArgument, silent));
    lanes
}

#[tokio::test]
async fn a_lane_without_the_right_to_it_is_refused_and_harms_nobody() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        let mut agent = stage.join("a").await;
        let other = stage.join("b").await;
        for (expected, lane) in refusals(&agent, &other).await {
            assert_eq!(code(lane).await, expected);
        }
        agent.round_trip().await;
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn up_to_eight_lanes_are_taken() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let mut lanes = Vec::new();
        for index in 1..8 {
            let mut lane = agent
                .raw
                .agent
                .open_lane(&agent.raw.opened, index, Pace::Together)
                .await;
            assert_eq!(lane.expect_opened().await.session_id, agent.raw.opened.session_id);
            lanes.push(lane);
        }
        agent.round_trip().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_lane_fails_its_exchanges_and_may_come_back() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        let Joined { raw, session } = stage.join("a").await;
        let RawSession {
            agent,
            control,
            mut lane,
            opened,
        } = raw;
        let unanswered = get(&session, "/unanswered");
        let answered = get(&session, "/answered");
        lane.expect_request().await;
        let request = lane.expect_request().await;
        lane.send(message::http_response(&request.id, 200).body("half"))
            .await;
        let (_, body) = answered.answer().await.expect("it is answered");

        drop(lane);
        let error = unanswered.answer().await.expect_err("the lane is lost");
        assert_eq!(
            (error.cause(), error.initiator()),
            (Cause::AgentLost, Initiator::Peer)
        );
        let error = collect(body).await.expect_err("half a body is no body");
        assert_eq!(error.cause(), Cause::AgentLost);
        assert_eq!(session.pending(), 0);
        assert!(!session.is_available() && session.closed().is_none());

        let mut lane = agent.open_lane(&opened, 0, Pace::Together).await;
        lane.expect_opened().await;
        let raw = RawSession {
            agent,
            control,
            lane,
            opened,
        };
        Joined { raw, session }.round_trip().await;
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_lane_that_the_agent_ends_is_lost() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let pending = get(&agent.session, "/");
        agent.raw.lane.expect_request().await;
        agent.raw.lane.end();
        let error = pending.answer().await.expect_err("nobody can answer any more");
        assert_eq!(error.cause(), Cause::AgentLost);
        agent.raw.lane.read_to_end().await;
        assert!(agent.session.closed().is_none());
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn an_exchange_stays_on_its_lane() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        let mut agent = stage.join("a").await;
        let mut second = agent
            .raw
            .agent
            .open_lane(&agent.raw.opened, 1, Pace::Together)
            .await;
        second.expect_opened().await;
        let pending = get(&agent.session, "/");
        let request = agent.raw.lane.expect_request().await;
        second.send(message::http_response(&request.id, 200).end()).await;
        assert_eq!(
            agent.raw.lane.expect_reset(&request.id).await,
            ResetReason::Protocol
        );
        let error = pending
            .answer()
            .await
            .expect_err("the answer came by the wrong way");
        assert_eq!(
            (error.cause(), error.initiator()),
            (Cause::Protocol, Initiator::Peer)
        );
        agent.round_trip().await;
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}
