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
    assert!(decode(message.clone(), &limits).is_ok());
    let smaller = Limits {
        head_bytes: limits.head_bytes - 1,
        ..limits
    };
    assert!(decode(message.clone(), &smaller).is_err());
    assert!(decode(message, &Limits { fields: 1, ..limits }).is_err());
}

#[test]
fn a_short_piece_does_not_hold_the_receive_buffer() {
    for (len, copied) in [(1_000, true), (32_768, false)] {
        let buffer = bytes::Bytes::from(vec![1_u8; 100_000]);
        let data = buffer.slice(10..10 + len);
        let chunk = pb::HttpBodyChunk {
            data: data.clone(),
            ..Default::default()
        };
        let message = decode(wire(Wire::HttpChunk(chunk)), &Limits::MAX)
            .unwrap()
            .unwrap();
        let tunnel_core::Payload::Data(piece) = message.payload else {
            panic!("a piece stays one");
        };
        assert_eq!(piece.data, data);
        assert_eq!(piece.data.as_ptr() != data.as_ptr(), copied);
    }
}
