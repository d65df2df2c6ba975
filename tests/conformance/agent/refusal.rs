//! Agents that are not wanted, or not now.

use std::time::Duration;

use tonic::Status as CallStatus;
use tunnel_tests::{
    raw::{RawGateway, consent, message},
    wait::{closed, within_limit},
};
use tunnel_transport::{
    AgentError, Status,
    wire::{Settings, StreamOpenResponse, error_message::Code, tunnel_message::Payload},
};

use super::actor::{Actor, echo, round_trip};

/// What `serve` says when the first call of an agent is refused so.
async fn refused_call(status: CallStatus) -> AgentError {
    let gateway = RawGateway::bind();
    let actor = Actor::at(&gateway, echo());
    let mut connection = gateway.accept().await;
    connection.call().await.refuse(status);
    actor
        .serving
        .await
        .expect("it does not panic")
        .expect_err("it is refused")
}

#[tokio::test]
async fn an_agent_whose_token_is_wrong_stops_and_says_why() {
    within_limit(async {
        let error = refused_call(CallStatus::unauthenticated("the token is wrong")).await;
        assert!(error.is_refused());
        assert!(error.to_string().contains("the token is wrong"), "{error}");
        let error = refused_call(CallStatus::unimplemented("")).await;
        assert!(error.is_refused());
        assert!(error.to_string().contains("no gateway's port"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_may_not_do_what_it_wants_stops_and_says_why() {
    within_limit(async {
        let codes = [
            Code::Unauthenticated,
            Code::GroupNotAllowed,
            Code::UnsupportedRevision,
            Code::Invalid,
        ];
        for code in codes {
            let gateway = RawGateway::bind();
            let actor = Actor::at(&gateway, echo());
            let mut connection = gateway.accept().await;
            let (control, _) = connection.hear_control().await;
            control.send(message::error(code, "you may not", 0)).await;
            let error = actor
                .serving
                .await
                .expect("it does not panic")
                .expect_err("it is refused");
            assert!(error.is_refused(), "{code:?}");
            assert!(error.to_string().contains("you may not"), "{error}");
            assert!(matches!(*actor.agent.status().borrow(), Status::Stopped));
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_comes_at_a_bad_time_comes_again() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        for code in [
            Code::AlreadyConnected,
            Code::Draining,
            Code::Overloaded,
            Code::Replaced,
        ] {
            let mut connection = gateway.accept().await;
            let (control, _) = connection.hear_control().await;
            control.send(message::error(code, "not now", 25)).await;
            let waiting = actor
                .status(|status| matches!(status, Status::Waiting { .. }))
                .await;
            let Status::Waiting { error, delay } = waiting else {
                unreachable!("waited for")
            };
            assert!(
                !error.is_refused() && error.to_string().contains("not now"),
                "{error}"
            );
            assert!(delay >= Duration::from_millis(25), "{delay:?}");
        }
        let mut session = gateway.accept_session().await;
        round_trip(&mut session.lane).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_was_taken_once_waits_long_and_does_not_stop() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let session = gateway.accept_session().await;
        let before = actor.agent.connected().await;
        drop(session);
        closed(&before).await;
        let mut connection = gateway.accept().await;
        connection
            .call()
            .await
            .refuse(CallStatus::unauthenticated("the token is old"));
        let is_refused =
            |status: &Status| matches!(status, Status::Waiting { error, .. } if error.is_refused());
        let Status::Waiting { delay, .. } = actor.status(is_refused).await else {
            unreachable!("waited for")
        };
        assert!(delay >= Duration::from_secs(30), "no storm: {delay:?}");
        actor.serving.abort();
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_no_refusal() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let settings = Settings {
            max_chunk: 1,
            ..message::settings()
        };
        let answers = [
            Payload::StreamOpenResponse(StreamOpenResponse {
                session_id: "one".to_owned(),
                ..consent()
            }),
            Payload::StreamOpenResponse(StreamOpenResponse {
                lane_key: vec![1; 15].into(),
                ..consent()
            }),
            Payload::StreamOpenResponse(StreamOpenResponse {
                settings: Some(settings),
                ..consent()
            }),
            Payload::Drain(Default::default()),
        ];
        for answer in answers {
            let mut connection = gateway.accept().await;
            let (control, _) = connection.hear_control().await;
            control.send(message::control(answer)).await;
        }
        let mut connection = gateway.accept().await;
        let (mut control, _) = connection.hear_control().await;
        control.end();
        // A connection that ends at once.
        drop(gateway.accept().await);
        let mut session = gateway.accept_session().await;
        round_trip(&mut session.lane).await;
        actor.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_lane_that_is_refused_is_no_refusal_of_the_agent() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let mut connection = gateway.accept().await;
        let (_control, _) = connection.accept_control().await;
        // The session may have ended between the two calls.
        connection
            .call()
            .await
            .refuse(CallStatus::permission_denied("no such session"));
        let mut session = gateway.accept_session().await;
        round_trip(&mut session.lane).await;
        actor.finish().await;
    })
    .await;
}
