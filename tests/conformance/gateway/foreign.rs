//! Messages of another revision, and bytes that are no message.

use futures_util::{StreamExt as _, stream};
use tunnel_tests::{
    raw::{RawAgent, hello},
    wait::{closed, within_limit},
};
use tunnel_transport::wire::{self as pb, tunnel_message::Payload};

use crate::stage::Stage;

/// What a newer agent may send.
#[derive(Clone, PartialEq, prost::Message)]
struct Tomorrow {
    #[prost(message, optional, tag = "20")]
    stream_open: Option<pb::StreamOpen>,
    #[prost(message, optional, tag = "27")]
    ping: Option<pb::Ping>,
    #[prost(string, tag = "50")]
    an_unknown_payload: String,
    #[prost(uint64, tag = "99")]
    an_unknown_field: u64,
}

#[tokio::test]
async fn unknown_fields_and_payloads_are_ignored() {
    within_limit(async {
        let stage = Stage::open().await;
        let agent = RawAgent::dial(stage.addr).await;
        let messages = [
            Tomorrow {
                stream_open: Some(hello("a", &["demo"])),
                an_unknown_field: 7,
                ..Default::default()
            },
            Tomorrow {
                an_unknown_payload: "what?".to_owned(),
                ..Default::default()
            },
            Tomorrow {
                an_unknown_field: 7,
                ..Default::default()
            },
            Tomorrow {
                ping: Some(pb::Ping { nonce: 42 }),
                an_unknown_field: 7,
                ..Default::default()
            },
        ];
        let messages = stream::iter(messages).chain(stream::pending());
        let method = "/tunnel.v1.TunnelService/ControlStream";
        let mut control = agent
            .stream_of(method, messages)
            .await
            .expect("the call is answered");
        let opened = control
            .message()
            .await
            .expect("the stream stands")
            .expect("an answer");
        assert!(matches!(opened.payload, Some(Payload::StreamOpenResponse(_))));
        loop {
            let message = control
                .message()
                .await
                .expect("the stream stands")
                .expect("a message");
            match message.payload {
                Some(Payload::Pong(pb::Pong { nonce })) => break assert_eq!(nonce, 42),
                Some(Payload::Ping(_)) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(stage.gateway.agents().list().len(), 1);
        stage.finish().await;
    })
    .await;
}

/// Bytes that are no message: the id is a number.
#[derive(Clone, PartialEq, prost::Message)]
struct Garbage {
    #[prost(uint64, tag = "2")]
    request_id: u64,
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_session_that_sent_them() {
    within_limit(async {
        let stage = Stage::open().await;
        let bystander = stage.bystander().await;
        let victim = stage.join("a").await;
        let agent = &victim.raw.agent;
        let garbage = || stream::iter([Garbage { request_id: 1 }]).chain(stream::pending());
        for method in [
            "/tunnel.v1.TunnelService/ControlStream",
            "/tunnel.v1.TunnelService/Proxy",
        ] {
            let mut stream = agent
                .stream_of(method, garbage())
                .await
                .expect("the call is answered");
            // An error message, or the end with a status.
            while let Ok(Some(_)) = stream.message().await {}
        }
        assert!(
            victim.session.closed().is_none(),
            "no stream of the session was touched"
        );
        drop(victim.raw);
        closed(&victim.session).await;
        bystander.finish().await;
        stage.finish().await;
    })
    .await;
}
