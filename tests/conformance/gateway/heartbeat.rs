//! Silence is noticed, on each stream by itself.
//!
//! The intervals are real, because sockets are; the tests wait for what follows from them, and measure nothing.

use std::{future::poll_fn, time::Duration};

use tokio::time::Instant;
use tunnel_core::{Cause, Session};
use tunnel_tests::{
    call::get,
    raw::{Pace, RawAgent, RawSession, hello, message},
    wait::{closed, eventually, within_limit},
};
use tunnel_transport::{Gateway, Heartbeat, wire::error_message::Code};

use crate::stage::{Joined, Stage};

async fn stage(interval_ms: u64, timeout_ms: u64) -> Stage {
    let heartbeat = Heartbeat {
        interval: Duration::from_millis(interval_ms),
        timeout: Duration::from_millis(timeout_ms),
    };
    let builder = Gateway::builder().open_to_any_agent();
    Stage::with(builder.heartbeat(heartbeat).build()).await
}

#[tokio::test]
async fn pings_are_answered_on_every_stream() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let mut second = agent
            .raw
            .agent
            .open_lane(&agent.raw.opened, 1, Pace::Together)
            .await;
        second.expect_opened().await;
        for (nonce, stream) in [&mut agent.raw.control, &mut agent.raw.lane, &mut second]
            .into_iter()
            .enumerate()
        {
            let nonce = u64::MAX - nonce as u64;
            stream.send(message::ping(nonce)).await;
            assert_eq!(stream.expect_pong().await, nonce);
        }
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_pong_that_nobody_asked_for_is_ignored() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        agent.raw.control.send(message::pong(7)).await;
        agent.raw.lane.send(message::pong(7)).await;
        agent.raw.control.settle().await;
        agent.round_trip().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_control_stream_costs_the_session() {
    within_limit(async {
        let stage = stage(20, 100).await;
        let mut agent = stage.join("a").await;
        let pending = get(&agent.session, "/");
        agent.raw.lane.expect_request().await;
        // The lane is alive, and that does not help.
        let lane = agent.raw.lane.run_in_background();
        let error = closed(&agent.session).await;
        assert_eq!(error.cause(), Cause::AgentLost);
        assert_eq!(
            pending.answer().await.expect_err("the agent is lost").cause(),
            Cause::AgentLost
        );
        assert!(stage.gateway.agents().list().is_empty());
        lane.await.expect("the lane ends with the session");
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_lane_costs_its_exchanges_and_not_the_session() {
    within_limit(async {
        let stage = stage(20, 100).await;
        let agent = RawAgent::dial(stage.addr).await;
        let mut raw = agent.register(None, hello("a", &["demo"]), Pace::Together).await;
        let session = stage.find(raw.id()).expect("the session is registered");
        let control = raw.control.run_in_background();
        let pending = get(&session, "/");
        raw.lane.expect_request().await;
        raw.lane.ignore_pings();
        let error = pending.answer().await.expect_err("the lane is lost");
        assert_eq!(error.cause(), Cause::AgentLost);
        assert!(!session.is_available() && session.closed().is_none());

        let mut lane = raw.agent.open_lane(&raw.opened, 0, Pace::Together).await;
        lane.expect_opened().await;
        assert!(session.is_available());
        assert!(!control.is_finished());
        drop(raw.agent);
        closed(&session).await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn suspicion_ends_with_the_silence() {
    within_limit(async {
        let stage = stage(20, 3_600_000).await;
        let agent = stage.join("a").await;
        let agents = stage.gateway.agents();
        let is_suspect = || agents.list()[0].suspect;
        eventually(is_suspect).await;
        let _control = agent.raw.control.run_in_background();
        let _lane = agent.raw.lane.run_in_background();
        eventually(|| !is_suspect()).await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_process_that_is_suspected_dead_may_connect_again() {
    within_limit(async {
        let stage = stage(20, 3_600_000).await;
        let hello = hello("a", &["demo"]);
        let agent = RawAgent::dial(stage.addr).await;
        let mut first = agent.register(None, hello.clone(), Pace::Together).await;
        let session = stage.find(first.id()).expect("the session is registered");
        eventually(|| stage.gateway.agents().list()[0].suspect).await;

        let agent = RawAgent::dial(stage.addr).await;
        let second = agent.register(None, hello, Pace::Together).await;
        assert_eq!(closed(&session).await.cause(), Cause::AgentLost);
        first.lane.read_to_end().await;
        assert_eq!(first.control.expect_error().await.code(), Code::Replaced);
        first.control.expect_end().await;
        assert!(stage.find(second.id()).is_some());
        assert_eq!(stage.gateway.agents().list().len(), 1);
        stage.finish().await;
    })
    .await;
}

/// How long a gateway with the default settings takes to suspect an agent that falls silent in this way, and to give it up. The clock
/// is stopped: only the timers count.
async fn noticed<T>(fall_silent: impl FnOnce(RawSession) -> T, is_lost: fn(&Session) -> bool) {
    let stage = Stage::open().await;
    let Joined { raw, session } = stage.join("a").await;
    let _kept = fall_silent(raw);
    let start = Instant::now();
    let mut seen = 0;
    while !session.is_suspect() {
        poll_fn(|cx| session.poll_changed(&mut seen, cx)).await;
    }
    let suspected = start.elapsed();
    assert!(session.is_available(), "there may be nobody else");
    while !is_lost(&session) {
        poll_fn(|cx| session.poll_changed(&mut seen, cx)).await;
    }
    let lost = start.elapsed();
    println!("suspected after {suspected:?}, given up after {lost:?}");
    let second = Duration::from_secs(1);
    assert!(suspected <= 10 * second, "{suspected:?}");
    assert!((20 * second..=25 * second).contains(&lost), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_half_open_agent_is_noticed_within_half_a_minute() {
    noticed(|raw| raw, |session| session.closed().is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_control_stream_is_noticed_within_half_a_minute() {
    let fall_silent = |raw: RawSession| (raw.lane.run_in_background(), raw.control, raw.agent);
    noticed(fall_silent, |session| session.closed().is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_wedged_lane_beside_a_healthy_control_stream_is_noticed_within_half_a_minute() {
    let fall_silent = |raw: RawSession| (raw.control.run_in_background(), raw.lane, raw.agent);
    // The session stays, for the lane to be opened again.
    let is_lost = |session: &Session| {
        assert!(session.closed().is_none());
        !session.is_available()
    };
    noticed(fall_silent, is_lost).await;
}
