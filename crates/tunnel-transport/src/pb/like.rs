//! gRPC and WebSocket heads have the fields of HTTP heads, so one conversion serves all three. What a WebSocket head upgrades to
//! is not among them, and goes beside.

use crate::generated as pb;

macro_rules! like {
    ($( $http:ident { $( $field:ident ),+ } = $( $other:ident ),+; )+) => { $(
        like!(@each $http { $( $field ),+ } = $( $other ),+);
    )+ };
    (@each $http:ident $fields:tt = $( $other:ident ),+) => { $(
        like!(@one $http $fields = $other);
    )+ };
    (@one $http:ident { $( $field:ident ),+ } = $other:ident) => {
        impl From<pb::$other> for pb::$http {
            fn from(other: pb::$other) -> Self {
                Self { $( $field: other.$field ),+ }
            }
        }

        impl From<pb::$http> for pb::$other {
            fn from(http: pb::$http) -> Self {
                #[allow(clippy::needless_update, reason = "WebSocket heads have a field more")]
                Self { $( $field: http.$field, )+ ..Self::default() }
            }
        }
    };
}

like! {
    HttpRequest { method, scheme, authority, path, headers, body, end, trailers, credit } = GrpcRequest, WebSocketRequest;
    HttpResponse { status, headers, body, end, trailers } = GrpcResponse, WebSocketResponse;
}
