//! `Debug` for the messages that hold header values, bodies or secrets: it shows how many bytes or fields there are,
//! and no more.

use std::fmt;

macro_rules! redacted {
    ($( $name:ident { $( $shown:ident ),* ; $( $counted:ident ),* } )+) => { $(
        impl fmt::Debug for super::$name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    $( .field(stringify!($shown), &self.$shown) )*
                    $( .field(concat!(stringify!($counted), ".len"), &self.$counted.len()) )*
                    .finish()
            }
        }
    )+ };
}

redacted! {
    Header { name; value }
    HttpRequest { method, scheme, end, credit; authority, path, headers, body, trailers }
    GrpcRequest { method, scheme, end, credit; authority, path, headers, body, trailers }
    WebSocketRequest { method, scheme, end, credit; authority, path, headers, body, trailers }
    HttpResponse { status, end; headers, body, trailers }
    GrpcResponse { status, end; headers, body, trailers }
    WebSocketResponse { status, end; headers, body, trailers }
    HttpBodyChunk { end; data, trailers }
    GrpcStreamChunk { is_request, is_first_chunk, is_last_chunk; data, trailers }
    WebSocketFrame { fin, opcode, rsv, more, frame_direction; payload }
    StreamOpen {
        revision, agent_id, instance_id, groups, labels, weight, version, settings, features, session_id, lane_index,
        services, hosts;
        lane_key
    }
    StreamOpenResponse {
        revision, session_id, settings, features, heartbeat_interval_ms, heartbeat_timeout_ms, max_lanes, gateway_id;
        lane_key
    }
    ConfigSyncRequest { session_id, state; lane_key }
    ConfigUpdate { version; config }
    Credentials { ; authorization }
}
