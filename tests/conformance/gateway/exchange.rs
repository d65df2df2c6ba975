//! What the gateway sends and takes in the course of a good exchange, and when its caller gives up.

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Channel};
use tunnel_core::{Cause, Initiator, ResetReason, TunnelError};
use tunnel_tests::{
    call::{collect, get, open, post, request, with_header},
    raw::message::{http_chunk, http_response, ping, reset, settings, window_update},
    wait::{idle, within_limit},
};

use crate::stage::Stage;

#[tokio::test]
async fn a_small_exchange_is_one_message_each_way() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let pending = post(&agent.session, "/path?a=b", "question");
        let request = agent.raw.lane.expect_request().await;
        let head = &request.head;
        assert_eq!(
            (&*head.method, &*head.scheme, &*head.authority),
            ("POST", "http", "demo.example")
        );
        assert_eq!((&*head.path, &*head.body), (&b"/path?a=b"[..], &b"question"[..]));
        assert!(head.end);
        assert_eq!(head.credit, 256 * 1024);
        let response = http_response(&request.id, 201)
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("x-bytes", &b"\xff\t\x80"[..])
            .body("answer")
            .end()
            .trailer("x-sum", "42");
        agent.raw.lane.send(response).await;
        let (head, body) = pending.answer().await.expect("it is answered");
        assert_eq!(head.status, 201);
        let cookies: Vec<_> = head.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!(head.headers["x-bytes"].as_bytes(), b"\xff\t\x80");
        let body = body.collect().await.expect("the body is whole");
        assert_eq!(body.trailers().expect("trailers")["x-sum"], "42");
        assert_eq!(body.to_bytes(), "answer");
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn an_upload_waits_for_credit_and_goes_on_with_more() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let body = vec![7; 300 * 1024];
        let pending = post(&agent.session, "/", body.clone());
        let lane = &mut agent.raw.lane;
        let request = lane.expect_request().await;
        let mut received = request.head.body.to_vec();
        let mut messages = usize::from(!received.is_empty());
        // 256 KiB, and 64 bytes for each message.
        let is_spent =
            |received: usize, messages: usize| 256 * 1024 - received - 64 * messages < 4 * 1024 + 64;
        while !is_spent(received.len(), messages) {
            let chunk = lane.expect_chunk(&request.id).await;
            assert!(!chunk.end && chunk.data.len() <= settings().max_chunk as usize);
            received.extend_from_slice(&chunk.data);
            messages += 1;
        }
        assert!(
            received.len() + 64 * messages <= 256 * 1024,
            "the credit is overrun"
        );
        // Nothing more comes: the answer to a ping is the next message.
        lane.send(ping(1)).await;
        assert_eq!(lane.expect_pong().await, 1);

        lane.send(window_update(&request.id, 128 * 1024)).await;
        loop {
            let chunk = lane.expect_chunk(&request.id).await;
            received.extend_from_slice(&chunk.data);
            if chunk.end {
                break;
            }
        }
        assert!(received == body);
        lane.send(http_response(&request.id, 204).end()).await;
        assert_eq!(pending.answer().await.expect("it is answered").0.status, 204);
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_download_returns_credit_in_parts_and_not_per_message() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let pending = get(&agent.session, "/");
        let lane = &mut agent.raw.lane;
        let request = lane.expect_request().await;
        lane.send(http_response(&request.id, 200)).await;
        let (_, mut body) = pending.answer().await.expect("it is answered");
        let (mut credit, mut updates) = (256 * 1024, 0);
        for _ in 0..256 {
            while credit < 16 * 1024 + 64 {
                let increment = lane.expect_window(&request.id).await;
                // Half a window; or an eighth, when the machine is so busy that the link looks long.
                assert!(
                    increment >= 32 * 1024,
                    "{increment} bytes are less than an eighth of a window"
                );
                credit += increment;
                updates += 1;
            }
            credit -= 16 * 1024 + 64;
            lane.send(http_chunk(&request.id, vec![1; 16 * 1024])).await;
            body.frame().await.expect("a frame").expect("the body goes on");
        }
        assert!((1..=128).contains(&updates), "{updates} updates for 4 MiB");
        lane.send(http_chunk(&request.id, "").end()).await;
        assert!(collect(body).await.expect("the body is whole").is_empty());
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_gives_up_resets_and_what_comes_late_is_ignored() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        // Before the head.
        let pending = get(&agent.session, "/");
        let request = agent.raw.lane.expect_request().await;
        drop(pending);
        assert_eq!(
            agent.raw.lane.expect_reset(&request.id).await,
            ResetReason::Cancel
        );
        agent
            .raw
            .lane
            .send(http_response(&request.id, 200).body("late").end())
            .await;
        // In the body.
        let pending = get(&agent.session, "/");
        let request = agent.raw.lane.expect_request().await;
        agent
            .raw
            .lane
            .send(http_response(&request.id, 200).body("half"))
            .await;
        drop(pending.answer().await.expect("it is answered"));
        assert_eq!(
            agent.raw.lane.expect_reset(&request.id).await,
            ResetReason::Cancel
        );
        agent.raw.lane.send(http_chunk(&request.id, "late").end()).await;
        agent.raw.lane.send(reset(&request.id, 4)).await;
        agent.round_trip().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_response_that_is_complete_before_the_request_stops_it_without_an_error() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let (mut upload, body) = Channel::<Bytes, TunnelError>::new(1);
        let pending = open(&agent.session, request(Method::POST, "/"), body).expect("there is room");
        let lane = &mut agent.raw.lane;
        let request = lane.expect_request().await;
        upload.send_data("first".into()).await.expect("the pump reads");
        assert_eq!(&*lane.expect_chunk(&request.id).await.data, b"first");
        lane.send(http_response(&request.id, 200).body("enough").end())
            .await;
        lane.send(reset(&request.id, 0)).await;
        let (_, body) = pending.answer().await.expect("it is answered");
        assert_eq!(collect(body).await.expect("the body is whole"), "enough");
        idle(&agent.session).await;
        while upload.send_data("more".into()).await.is_ok() {}
        agent.round_trip().await;
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_waits_for_100_waits_for_credit() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let head = with_header(request(Method::POST, "/"), "expect", "100-continue");
        let body = http_body_util::Full::<Bytes>::from("patient");
        let pending = open(&agent.session, head, body).expect("there is room");
        let lane = &mut agent.raw.lane;
        let request = lane.expect_request().await;
        assert!(request.head.body.is_empty() && !request.head.end);
        lane.send(ping(1)).await;
        assert_eq!(lane.expect_pong().await, 1);
        lane.send(window_update(&request.id, 64 * 1024)).await;
        let chunk = lane.expect_chunk(&request.id).await;
        assert_eq!((&*chunk.data, chunk.end), (&b"patient"[..], true));
        lane.send(http_response(&request.id, 200).end()).await;
        pending.answer().await.expect("it is answered");
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn the_reason_of_a_reset_reaches_the_caller() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = stage.join("a").await;
        let cases = [
            (ResetReason::Refused, Cause::Overloaded),
            (ResetReason::Draining, Cause::Draining),
            (ResetReason::Internal, Cause::Internal),
            (ResetReason::UpstreamUnreachable, Cause::Upstream),
            (ResetReason::UpstreamBroken, Cause::Upstream),
            (ResetReason::Deadline, Cause::Deadline),
            (ResetReason::HeadTooLarge, Cause::HeadTooLarge),
        ];
        for (reason, cause) in cases {
            let pending = get(&agent.session, "/");
            let request = agent.raw.lane.expect_request().await;
            agent.raw.lane.send(reset(&request.id, reason.code())).await;
            let error = pending.answer().await.expect_err("it is reset");
            assert_eq!((error.cause(), error.initiator()), (cause, Initiator::Peer));
        }
        // A number of tomorrow.
        let pending = get(&agent.session, "/");
        let request = agent.raw.lane.expect_request().await;
        agent.raw.lane.send(reset(&request.id, 9_999)).await;
        assert_eq!(
            pending.answer().await.expect_err("it is reset").cause(),
            Cause::Internal
        );
        agent.round_trip().await;
        stage.finish().await;
    })
    .await;
}
