//! Any bytes at the entry points of the parsers that have none beside them: nothing panics, and what is refused is refused in order.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use proptest::{collection::vec, prelude::*, sample::select};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tunnel_core::{
    PeerInfo,
    admit::{self, IpPrefix, Policy},
};
use tunnel_layers::{
    auth::{Htpasswd, JwtKeys},
    grpc_web::GrpcWebLayer,
};

/// Names that admission looks at, and one that it does not.
fn field() -> impl Strategy<Value = (HeaderName, Vec<u8>)> {
    let name = select(vec![
        header::HOST,
        header::CONNECTION,
        header::UPGRADE,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::TE,
        header::FORWARDED,
        HeaderName::from_static("x-forwarded-for"),
        HeaderName::from_static("x-forwarded-proto"),
        HeaderName::from_static("x"),
    ]);
    let word = select(vec![
        "a.example",
        "[::1]:80",
        "a, b",
        "close",
        "upgrade",
        "chunked",
        "for=\"[::1]:1\";proto=http",
        "1, 1",
        "\"\\",
    ]);
    let value = prop_oneof![
        word.prop_map(|word| word.as_bytes().to_vec()),
        vec(any::<u8>(), 0..30)
    ];
    (name, value)
}

proptest! {
    #[test]
    fn any_head_is_admitted_or_refused(
        method in "[A-Z]{1,8}",
        target in "(/[ -~]{0,40}|\\*|[a-z:/.@%0-9]{1,20})",
        fields in vec(field(), 0..8),
        trusted: bool,
    ) {
        let mut request = Request::builder().method(method.as_str()).uri(target);
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request = request.header(name, value);
            }
        }
        if let Ok(request) = request.body(()) {
            let (mut parts, ()) = request.into_parts();
            let peer = PeerInfo::plaintext(([127, 0, 0, 1], 1).into());
            let policy = match trusted {
                true => Policy::new().trusted_peers(["127.0.0.0/8".parse::<IpPrefix>().expect("a prefix")]),
                false => Policy::new(),
            };
            if admit::admit(&mut parts, &peer, &policy).is_ok() {
                prop_assert!(admit::is_admitted(&parts.extensions));
                prop_assert!(!parts.headers.contains_key(header::TRANSFER_ENCODING));
                prop_assert!(!parts.headers.contains_key(header::CONNECTION));
            }
        }
    }

    #[test]
    fn any_prefix_is_read_or_refused(text in "[0-9a-f:./]{0,24}") {
        if let Ok(prefix) = text.parse::<IpPrefix>() {
            prop_assert_eq!(prefix.to_string().parse::<IpPrefix>(), Ok(prefix));
        }
    }

    #[test]
    fn any_keys_are_read_or_refused(json in any_json(), bytes in vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        let _ = JwtKeys::new().jwks(json.as_bytes());
        let _ = JwtKeys::new().jwks(&bytes);
        let _ = JwtKeys::new().pem(&format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"));
        let _ = text.parse::<Htpasswd>();
    }

    #[test]
    fn any_body_of_a_page_is_translated_or_refused(
        pieces in vec(vec(any::<u8>(), 0..40), 0..6),
        content in select(vec!["application/grpc-web", "application/grpc-web-text", "application/grpc-web+proto"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let echo = service_fn(|request: Request<_>| async move {
                let body = http_body_util::BodyExt::collect(request.into_body()).await;
                let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let answer = Response::builder().header("content-type", "application/grpc");
                Ok::<_, Infallible>(answer.body(Full::new(body)).expect("an answer"))
            });
            let request = Request::post("/a.B/C")
                .header("host", "a.example")
                .header("content-type", content)
                .body(Full::new(Bytes::from(pieces.concat())))
                .expect("a request");
            let answer = GrpcWebLayer::new().layer(echo).oneshot(request).await.expect("never an error");
            let _ = answer.into_body().collect().await;
        });
    }
}

/// Sets of keys that are nearly right.
fn any_json() -> impl Strategy<Value = String> {
    let value = select(vec![
        "\"RSA\"",
        "\"EC\"",
        "\"oct\"",
        "\"OKP\"",
        "\"AQAB\"",
        "\"P-256\"",
        "\"\"",
        "[]",
        "null",
        "7",
        "{}",
    ]);
    let name = select(vec![
        "kty", "n", "e", "x", "y", "crv", "k", "kid", "alg", "use", "key_ops",
    ]);
    vec(vec((name, value), 0..8), 0..4).prop_map(|keys| {
        let keys: Vec<String> = keys
            .iter()
            .map(|fields| {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect();
                format!("{{{}}}", fields.join(","))
            })
            .collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    })
}
