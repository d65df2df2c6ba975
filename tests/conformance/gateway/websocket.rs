//! What an agent sees of an upgrade, and what it may send.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Channel, channel::Sender};
use tunnel_core::{
    Cause, RequestHead, ResetReason, TunnelBody, TunnelError,
    ws::{FrameHead, mask, opcode},
};
use tunnel_tests::{
    call::{Pending, collect, open, request},
    raw::{
        Pace, RawAgent, hello,
        message::{Draft, http_chunk, of_exchange},
    },
    wait::within_limit,
};
use tunnel_transport::wire::{self as pb, tunnel_message::Payload};

use crate::stage::{Joined, Stage};

const KEY: [u8; 4] = [1, 2, 3, 4];

/// An agent with these features.
async fn join(stage: &Stage, features: u64) -> Joined {
    let agent = RawAgent::dial(stage.addr).await;
    let hello = pb::StreamOpen {
        features,
        ..hello("a", &["demo"])
    };
    let raw = agent.register(None, hello, Pace::Together).await;
    let session = stage.find(raw.id()).expect("the session is registered");
    assert_eq!(raw.opened.features, features);
    Joined { raw, session }
}

fn asking(protocol: &'static str) -> RequestHead {
    RequestHead {
        upgrade: Some(Box::new(HeaderValue::from_static(protocol))),
        ..request(Method::GET, "/chat")
    }
}

type Client = Sender<Bytes, TunnelError>;

/// Asks an agent to switch. The result is the exchange's id, the client's bytes to come, and the answer to come.
async fn ask(agent: &mut Joined, protocol: &'static str) -> (String, Client, Pending) {
    let (client, body) = Channel::<Bytes, TunnelError>::new(4);
    let pending = open(&agent.session, asking(protocol), body).expect("there is room");
    let message = agent.raw.lane.next().await.expect("a request");
    assert_eq!(message.protocol_type(), pb::ProtocolType::Websocket);
    let Some(Payload::WsRequest(head)) = message.payload else {
        panic!("{:?} is no ws_request", message.payload);
    };
    assert_eq!(
        (&*head.upgrade, &*head.method, head.end),
        (protocol, "GET", false)
    );
    (message.request_id, client, pending)
}

/// As [`ask`], and the agent switches.
async fn switch(agent: &mut Joined, protocol: &'static str) -> (String, Client, TunnelBody) {
    let (id, client, pending) = ask(agent, protocol).await;
    agent.raw.lane.send(answer(&id, 101, protocol)).await;
    let (head, body) = pending.answer().await.expect("it is answered");
    assert_eq!(head.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(head.upgrade.as_deref().expect("a protocol"), protocol);
    (id, client, body)
}

fn of_websocket(id: &str, payload: Payload) -> Draft {
    of_exchange(id, payload).with(|message| message.protocol_type = 3)
}

fn answer(id: &str, status: u32, upgrade: &str) -> Draft {
    let response = pb::WebSocketResponse {
        status,
        upgrade: upgrade.to_owned(),
        ..Default::default()
    };
    of_websocket(id, Payload::WsResponse(response))
}

fn bytes(id: &str, data: &'static [u8]) -> Draft {
    http_chunk(id, data).with(|message| message.protocol_type = 3)
}

fn last(id: &str) -> Draft {
    bytes(id, b"").end()
}

/// A frame, or a piece of one; `length` is that of a frame of which more comes.
fn frame(id: &str, payload: &'static [u8], length: u64, more: bool) -> Draft {
    let frame = pb::WebSocketFrame {
        fin: true,
        opcode: 2,
        payload: payload.into(),
        more,
        length,
        ..Default::default()
    };
    of_websocket(id, Payload::WsFrame(frame))
}

/// A frame of a client, as it stands on its connection.
fn raw(payload: &[u8]) -> Bytes {
    let head = FrameHead {
        fin: true,
        rsv: 4,
        opcode: opcode::TEXT,
        mask: Some(KEY),
        length: payload.len() as u64,
    };
    let mut payload = payload.to_vec();
    mask(&mut payload, KEY, 0);
    [&head.encode()[..], &payload].concat().into()
}

async fn next(body: &mut TunnelBody) -> Bytes {
    let frame = body.frame().await.expect("more").expect("it stands");
    frame.into_data().expect("bytes")
}

#[tokio::test]
async fn frames_travel_without_masks_where_both_ends_know_them() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = join(&stage, 1).await;
        let (id, mut client, mut body) = switch(&mut agent, "websocket").await;
        client.send_data(raw(b"hello")).await.expect("it is read");
        let message = agent.raw.lane.next().await.expect("a frame");
        assert_eq!(
            (&message.request_id, message.protocol_type()),
            (&id, pb::ProtocolType::Websocket)
        );
        let expected = pb::WebSocketFrame {
            fin: true,
            opcode: 1,
            payload: Bytes::from_static(b"hello"),
            frame_direction: pb::Direction::ServerToClient.into(),
            rsv: 4,
            more: false,
            length: 0,
        };
        assert_eq!(message.payload, Some(Payload::WsFrame(expected)));
        agent.raw.lane.send(frame(&id, b"abc", 5, true)).await;
        assert_eq!(next(&mut body).await, &b"\x82\x05abc"[..]);
        agent.raw.lane.send(frame(&id, b"de", 0, false)).await;
        assert_eq!(next(&mut body).await, "de");
        drop(client);
        assert!(agent.raw.lane.expect_chunk(&id).await.end);
        agent.raw.lane.send(last(&id)).await;
        assert_eq!(collect(body).await.expect("it ends"), "");
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn other_protocols_and_older_agents_get_bytes() {
    within_limit(async {
        for (features, protocol) in [(0, "websocket"), (1, "chat/1")] {
            let stage = Stage::open().await;
            let mut agent = join(&stage, features).await;
            let (id, mut client, mut body) = switch(&mut agent, protocol).await;
            client.send_data(raw(b"as it is")).await.expect("it is read");
            assert_eq!(agent.raw.lane.expect_chunk(&id).await.data, raw(b"as it is"));
            agent.raw.lane.send(bytes(&id, b"\xff")).await;
            assert_eq!(next(&mut body).await, &b"\xff"[..]);
            drop(client);
            assert!(agent.raw.lane.expect_chunk(&id).await.end);
            agent.raw.lane.send(last(&id)).await;
            assert_eq!(collect(body).await.expect("it ends"), "");
            stage.finish().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_an_ordinary_answer() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = join(&stage, 1).await;
        let (id, client, pending) = ask(&mut agent, "websocket").await;
        agent.raw.lane.send(answer(&id, 403, "")).await;
        let (head, body) = pending.answer().await.expect("it is answered");
        assert_eq!((head.status, head.upgrade), (StatusCode::FORBIDDEN, None));
        client.abort(TunnelError::canceled());
        assert!(agent.raw.lane.expect_chunk(&id).await.end);
        agent.raw.lane.send(bytes(&id, b"not you").end()).await;
        assert_eq!(collect(body).await.expect("it is whole"), "not you");
        stage.finish().await;
    })
    .await;
}

#[tokio::test]
async fn what_breaks_the_rules_of_an_upgrade_costs_its_exchange() {
    type Case = (&'static str, u64, fn(&str) -> Vec<Draft>);
    let cases: [Case; 8] = [
        ("a frame before the answer", 1, |id| {
            vec![frame(id, b"x", 0, false)]
        }),
        ("a frame without the feature", 0, |id| {
            vec![answer(id, 101, ""), frame(id, b"x", 0, false)]
        }),
        ("a frame of a refusal", 1, |id| {
            vec![answer(id, 200, ""), frame(id, b"x", 0, false)]
        }),
        ("bytes among frames", 1, |id| {
            vec![answer(id, 101, ""), bytes(id, b"x")]
        }),
        ("bytes in the head", 1, |id| {
            let head = answer(id, 101, "").with(|message| {
                if let Some(Payload::WsResponse(head)) = &mut message.payload {
                    head.body = Bytes::from_static(b"x");
                }
            });
            vec![head]
        }),
        ("pieces that do not add up", 1, |id| {
            vec![
                answer(id, 101, ""),
                frame(id, b"x", 3, true),
                frame(id, b"x", 0, false),
            ]
        }),
        ("an empty piece", 1, |id| {
            vec![answer(id, 101, ""), frame(id, b"", 3, true)]
        }),
        ("a protocol that is none", 1, |id| vec![answer(id, 101, "a b")]),
    ];
    within_limit(async {
        for (what, features, messages) in cases {
            let stage = Stage::open().await;
            let mut agent = join(&stage, features).await;
            let (id, _client, pending) = ask(&mut agent, "websocket").await;
            for message in messages(&id) {
                agent.raw.lane.send(message).await;
            }
            assert_eq!(
                agent.raw.lane.expect_reset(&id).await,
                ResetReason::Protocol,
                "{what}"
            );
            let error = match pending.answer().await {
                Err(error) => error,
                Ok((_, body)) => collect(body).await.expect_err(what),
            };
            assert_eq!(error.cause(), Cause::Protocol, "{what}");
            agent.round_trip().await;
            stage.finish().await;
        }
    })
    .await;
}

#[tokio::test]
async fn empty_frames_have_a_cost() {
    within_limit(async {
        let stage = Stage::open().await;
        let mut agent = join(&stage, 1).await;
        let (id, _client, body) = switch(&mut agent, "websocket").await;
        for _ in 0..=256 * 1024 / 64 {
            agent.raw.lane.send(frame(&id, b"", 0, false)).await;
        }
        assert_eq!(agent.raw.lane.expect_reset(&id).await, ResetReason::FlowControl);
        assert_eq!(
            collect(body).await.expect_err("it broke").cause(),
            Cause::Protocol
        );
        stage.finish().await;
    })
    .await;
}
