//! Names of fields that many heads in the tunnel have. Those that `http` does not know would each be allocated, and it looks at every byte
//! of the others.

use http::HeaderName;

macro_rules! known {
    ($( $name:literal )+) => {
        /// The name, if it is one of those.
        pub(super) fn known_name(name: &[u8]) -> Option<HeaderName> {
            $(
                if name.len() == $name.len() && name == $name.as_bytes() {
                    static NAME: HeaderName = HeaderName::from_static($name);
                    return Some(NAME.clone());
                }
            )+
            None
        }
    };
}

known! {
    "x-forwarded-for"
    "x-forwarded-proto"
    "x-forwarded-host"
    "x-forwarded-port"
    "forwarded"
    "x-request-id"
    "traceparent"
    "tracestate"
    "grpc-status"
    "grpc-message"
    "grpc-timeout"
    "grpc-encoding"
    "grpc-accept-encoding"
    "user-agent"
    "accept"
    "accept-encoding"
    "accept-language"
    "content-type"
    "content-length"
    "server"
    "date"
    "etag"
    "last-modified"
    "cache-control"
    "cookie"
    "set-cookie"
    "authorization"
    "referer"
    "location"
    "vary"
}
