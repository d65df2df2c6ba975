//! A hundred thousand tiny messages to readers that stand still.

use http_body_util::BodyExt as _;
use tunnel_core::ResetReason;
use tunnel_tests::{
    call::{collect, get},
    raw::{
        Pace,
        message::{http_chunk, http_response},
    },
    wait::within_limit,
};

use crate::stage::Stage;

/// What one exchange's credit allows: 256 KiB, at 6 + 64 bytes each.
const PER_EXCHANGE: usize = 256 * 1024 / 70;
/// Enough exchanges for more than 100,000 messages.
const EXCHANGES: usize = 27;

async fn nobody_reads(pace: Pace) {
    let stage = Stage::open().await;
    let bystander = stage.bystander().await;
    let mut agent = stage.join_at("a", pace).await;
    let live = get(&agent.session, "/live");
    let live_id = agent.raw.lane.expect_request().await.id;
    agent
        .raw
        .lane
        .send(http_response(&live_id, 200).body("half, "))
        .await;
    let (_, live) = live.answer().await.expect("it is answered");

    let mut stalled = Vec::new();
    for _ in 0..EXCHANGES {
        let pending = get(&agent.session, "/stalled");
        let id = agent.raw.lane.expect_request().await.id;
        agent.raw.lane.send(http_response(&id, 200)).await;
        let (_, body) = pending.answer().await.expect("it is answered");
        stalled.push((id, body));
    }
    for _ in 0..PER_EXCHANGE {
        for (id, _) in &stalled {
            agent.raw.lane.send(http_chunk(id, "tiny! ")).await;
        }
    }
    // The lane took all of it, and nothing was granted beyond the windows.
    agent.raw.lane.settle().await;
    let window = 256 * 1024;
    let granted = stage.gateway.credit().used();
    assert!(granted <= (EXCHANGES + 2) * window, "{granted} bytes are granted");

    agent.raw.lane.send(http_chunk(&live_id, "whole").end()).await;
    assert_eq!(
        collect(live).await.expect("the live one is not harmed"),
        "half, whole"
    );
    agent.round_trip().await;

    // One message more is one too many, for that exchange.
    let (over, body) = stalled.pop().expect("there are some");
    agent.raw.lane.send(http_chunk(&over, "tiny! ")).await;
    assert_eq!(agent.raw.lane.expect_reset(&over).await, ResetReason::FlowControl);
    collect(body).await.expect_err("it is reset");
    // Another reader wakes up, and finds everything.
    let (late, mut body) = stalled.pop().expect("there are some");
    let expected = "tiny! ".repeat(PER_EXCHANGE);
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let frame = body.frame().await.expect("a frame").expect("the body is there");
        read.extend_from_slice(&frame.into_data().expect("data"));
    }
    assert!(read == expected.as_bytes());
    // Half a window; or an eighth, when the machine is so busy that the link looks long.
    assert!(agent.raw.lane.expect_window(&late).await >= 32 * 1024);
    drop((body, stalled));
    assert!(agent.raw.agent.is_connected());
    bystander.finish().await;
    stage.finish().await;
}

#[tokio::test]
async fn tiny_messages_are_bounded_by_their_credit() {
    within_limit(nobody_reads(Pace::Together)).await;
}

#[tokio::test]
async fn tiny_frames_end_no_connection() {
    within_limit(nobody_reads(Pace::OnePerFrame)).await;
}
