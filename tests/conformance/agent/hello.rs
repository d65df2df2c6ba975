//! What an agent says when it connects.

use std::collections::BTreeSet;

use tunnel_core::InstanceId;
use tunnel_tests::{
    raw::{
        RawGateway, consent,
        message::{control, settings},
    },
    wait::within_limit,
};
use tunnel_transport::{
    Status,
    wire::{StreamOpenResponse, tunnel_message::Payload},
};

use super::actor::{Actor, builder, echo, round_trip};

#[tokio::test]
async fn an_agent_shows_its_token_and_says_who_it_is() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let builder = builder(&gateway)
            .group("more")
            .token("a-token-of-some-length")
            .weight(3);
        let actor = Actor::of(builder, echo());
        let mut connection = gateway.accept().await;
        let call = connection.call().await;
        assert!(call.is_control);
        assert_eq!(
            call.metadata.get("authorization").expect("a token"),
            "Bearer a-token-of-some-length"
        );
        let mut stream = call.accept();
        let hello = stream.expect_open().await;
        assert_eq!((hello.revision, &*hello.agent_id, hello.weight), (1, "a-1", 3));
        assert_eq!(hello.groups, ["demo", "more"]);
        assert_eq!(hello.features, 1);
        hello.instance_id.parse::<InstanceId>().expect("a UUID");
        assert_eq!(hello.settings, Some(settings()));
        assert_eq!((&*hello.session_id, &*hello.lane_key), ("", &b""[..]));
        actor.serving.abort();
    })
    .await;
}

#[tokio::test]
async fn an_agent_without_a_token_shows_none() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::at(&gateway, echo());
        let call = gateway.accept().await.call().await;
        assert!(call.metadata.get("authorization").is_none());
        actor.serving.abort();
    })
    .await;
}

#[tokio::test]
async fn every_lane_shows_the_key_of_the_session() {
    within_limit(async {
        let gateway = RawGateway::bind();
        let actor = Actor::of(builder(&gateway).lanes(8), echo());
        let mut connection = gateway.accept().await;
        let (stream, _) = connection.hear_control().await;
        let consent = StreamOpenResponse {
            max_lanes: 3,
            ..consent()
        };
        stream
            .send(control(Payload::StreamOpenResponse(consent.clone())))
            .await;
        let (mut lanes, mut indices) = (Vec::new(), BTreeSet::new());
        for _ in 0..3 {
            assert!(!matches!(*actor.agent.status().borrow(), Status::Connected(_)));
            let (lane, open) = connection.accept_lane().await;
            assert_eq!(
                (&open.session_id, &open.lane_key),
                (&consent.session_id, &consent.lane_key)
            );
            indices.insert(open.lane_index);
            lanes.push(lane);
        }
        assert_eq!(indices, BTreeSet::from([0, 1, 2]));
        let session = actor.agent.connected().await;
        assert_eq!(session.id().to_string(), consent.session_id);
        for lane in &mut lanes {
            round_trip(lane).await;
        }
        actor.finish().await;
    })
    .await;
}
