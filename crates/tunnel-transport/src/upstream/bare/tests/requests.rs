//! Requests as they come out of heads that were admitted.

use http::{HeaderName, HeaderValue, Uri, header::TRANSFER_ENCODING};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::upstream::{request::for_http1, target::Target};

const METHODS: &str = "GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE|PROPFIND|get";
const URIS: &str = "/|*|/a%2f?b=%20|/?|//x|/\u{e9}?\u{fc}|http://a|http://a?b|http://a/c?d|a";
const NAMES: &str = "host|accept|te|connection|expect|upgrade|content-length|trailer|x-a|x-b|cookie";
const VALUES: &str =
    "0|3|x|close|Close|keep-alive|keep-alive, close|te|trailers|100-continue|websocket|close,|not-close|";

fn value() -> impl Strategy<Value = HeaderValue> {
    let legal = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    let any = vec(any::<u8>().prop_filter("legal", legal), 0..12);
    prop_oneof![
        3 => one_of(VALUES).prop_map(HeaderValue::from_static),
        1 => any.prop_map(|bytes| HeaderValue::from_bytes(&bytes).expect("only legal bytes")),
    ]
}

fn request() -> impl Strategy<Value = Request<Upload>> {
    let fields = vec((one_of(NAMES), value()), 0..6);
    let coding = option::weighted(0.2, one_of("chunked|gzip"));
    let parts = (one_of(METHODS), one_of(URIS), fields, coding, any::<bool>());
    parts.prop_map(|(method, uri, fields, coding, preserve_host)| {
        let mut request = Request::new(Upload::none());
        *request.method_mut() = method.parse().expect("a token");
        *request.uri_mut() = uri.parse::<Uri>().expect("valid");
        for (name, value) in fields {
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        let target = Target::parse("http://upstream:3000").expect("valid");
        for_http1(&mut request, &target, preserve_host);
        // The last one, because hyper removes it, and that moves the last field to its place.
        if let Some(coding) = coding {
            let coding = HeaderValue::from_static(coding);
            request.headers_mut().append(TRANSFER_ENCODING, coding);
        }
        request
    })
}

proptest! {
    #[test]
    fn a_request_is_written_as_hyper_writes_it(request in request()) {
        let mut written = Vec::new();
        let is_last = head::put(&mut written, &request);
        let theirs = by_hyper(request, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let ByHyper { written: theirs, is_kept, .. } = theirs.expect("a good answer");
        prop_assert_eq!(Bytes::from(written), Bytes::from(theirs));
        prop_assert!(is_kept || is_last, "hyper does not keep the connection");
    }
}
