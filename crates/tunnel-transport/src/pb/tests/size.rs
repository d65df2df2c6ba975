use tunnel_core::{Direction, Payload, Protocol, RequestId, Settings, TunnelMessage, message::Data};

use super::*;
use crate::codec::MAX_MESSAGE_BYTES;

/// Header lists at the limit of `bytes`, in shapes whose framing costs differently.
fn largest(bytes: usize) -> impl Iterator<Item = Vec<pb::Header>> {
    [1, 2, 16, Limits::MAX.fields].into_iter().map(move |fields| {
        let each = bytes / fields - Limits::PER_FIELD - 1;
        vec![header("a", &vec![b'x'; each]); fields]
    })
}

#[test]
fn what_the_limits_allow_fits_in_a_message() {
    let target = {
        let request = request();
        request.method.len() + request.scheme.len() + request.authority.len() + request.path.len()
    };
    for (headers, trailers) in largest(Limits::MAX.head_bytes - target).zip(largest(Limits::MAX.head_bytes)) {
        let request = pb::HttpRequest {
            headers,
            trailers,
            body: vec![0; Limits::MAX.chunk].into(),
            credit: u32::MAX,
            ..request()
        };
        let message = pb::TunnelMessage {
            direction: 1,
            protocol_type: pb::ProtocolType::Http.into(),
            message_type: pb::MessageType::Request.into(),
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            ..wire(Wire::HttpRequest(request))
        };
        assert!(read(&message).is_ok());
        let len = message.encoded_len();
        let floor = Limits::MAX.chunk + 2 * Limits::MAX.head_bytes - 8 * Limits::MAX.fields;
        assert!((floor..=MAX_MESSAGE_BYTES).contains(&len), "{len} bytes");
    }
}

#[test]
fn one_byte_more_than_the_limit_does_not_pass() {
    let mut limits = Limits::MAX;
    let message = wire(Wire::HttpRequest(pb::HttpRequest {
        headers: vec![header("name", b"value"); 2],
        ..request()
    }));
    limits.head_bytes =
        "GET".len() + "https".len() + "example.com".len() + "/a?b=c".len() + 2 * (9 + Limits::PER_FIELD);
    limits.fields = 2;
    assert!(read_with(&message, &limits).is_ok());
    let smaller = Limits {
        head_bytes: limits.head_bytes - 1,
        ..limits
    };
    assert!(read_with(&message, &smaller).is_err());
    assert!(read_with(&message, &Limits { fields: 1, ..limits }).is_err());
}

/// A message with one piece of `len` bytes and `padding` bytes of a field that nobody knows, as it stands in a receive buffer.
fn received(len: usize, padding: usize) -> bytes::Bytes {
    let chunk = pb::HttpBodyChunk {
        data: vec![1; len].into(),
        ..Default::default()
    };
    let mut message = wire(Wire::HttpChunk(chunk)).encode_to_vec();
    prost::encoding::bytes::encode(99, &vec![2; padding], &mut message);
    let len = message.len();
    message.resize(len + 100_000, 3);
    bytes::Bytes::from(message).slice(..len)
}

#[test]
fn a_piece_holds_no_more_than_it_costs_some_times() {
    for (len, padding, is_slice) in [
        (1_000, 10, false),
        (32_768, 10, true),
        (10, 10_000, false),
        (17_000, 40_000, true),
        (1_000, 40_000, false),
    ] {
        let mut buffer = received(len, padding);
        let (start, end) = (buffer.as_ptr() as usize, buffer.as_ptr() as usize + buffer.len());
        let encoded = Encoded::take(&mut buffer);
        let own = encoded.bytes().as_ptr() as usize;
        let message = decode(&encoded, &Limits::MAX).unwrap().unwrap();
        let Payload::Data(piece) = message.payload else {
            panic!("a piece stays one");
        };
        assert_eq!(piece.data, vec![1; len]);
        let at = piece.data.as_ptr() as usize;
        assert_eq!(
            (start..end).contains(&at),
            is_slice,
            "{len} bytes, {padding} beside"
        );
        let is_own = (own..own + encoded.bytes().len()).contains(&at);
        assert!(is_own == is_slice || len == 1_000 && padding == 10);
    }
}

#[test]
fn a_head_does_not_hold_a_long_message() {
    let request = pb::HttpRequest {
        headers: vec![header("a", b"value"), header("b", b"")],
        body: vec![0; 20_000].into(),
        ..request()
    };
    let bytes = bytes::Bytes::from(wire(Wire::HttpRequest(request)).encode_to_vec());
    let range = bytes.as_ptr() as usize..bytes.as_ptr() as usize + bytes.len();
    let message = decode(&Encoded::take(&mut bytes.clone()), &Limits::MAX)
        .unwrap()
        .unwrap();
    let Payload::Request(start) = message.payload else {
        panic!("a request stays one");
    };
    assert!(range.contains(&(start.data.as_ptr() as usize)));
    assert_eq!(start.head.headers["a"], "value");
    assert!(!range.contains(&(start.head.headers["a"].as_bytes().as_ptr() as usize)));
    assert!(!range.contains(&(start.head.path.as_str().as_ptr() as usize)));
}

/// Or each chunk takes a second packet for its last bytes.
#[test]
fn the_largest_chunk_by_default_is_one_packet_of_the_loopback() {
    // Its MTU, less IPv6, TCP with timestamps, the head of a frame of HTTP/2, and the prefix of a message of gRPC.
    const ROOM: usize = 65_536 - 40 - 32 - 9 - 5;
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let data = Data {
            data: vec![0; Settings::DEFAULT_CHUNK as usize].into(),
            end: None,
        };
        let message = TunnelMessage {
            id: RequestId::from_parts(u64::MAX, [u8::MAX; 10]),
            direction: Direction::ServerToClient,
            protocol,
            payload: Payload::Data(data),
        };
        let len = Writer::default()
            .encode(&message, Direction::ServerToClient)
            .len();
        assert!(len <= ROOM, "{len} bytes, {protocol:?}");
    }
}
