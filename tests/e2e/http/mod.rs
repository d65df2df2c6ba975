//! HTTP comes out as it went in, whichever HTTP the client speaks and whatever stands behind the agent.
//!
//! Most checks run six times: for clients of HTTP/1.1 and HTTP/2, in front of an app inside the agent's process, of an
//! upstream of HTTP/1.1, and of one of HTTP/2. Each ends by asserting that no exchange is left anywhere.

/// Runs each of these functions, which take the way that requests go, on every way.
macro_rules! on_every_way {
    ($($check:ident),+ $(,)?) => {
        on_every_way! { @way http1_to_process Http1 Process $($check)+ }
        on_every_way! { @way http1_to_http1 Http1 Http1 $($check)+ }
        on_every_way! { @way http1_to_h2c Http1 H2c $($check)+ }
        on_every_way! { @way http2_to_process Http2 Process $($check)+ }
        on_every_way! { @way http2_to_http1 Http2 Http1 $($check)+ }
        on_every_way! { @way http2_to_h2c Http2 H2c $($check)+ }
    };
    (@way $way:ident $client:ident $far:ident $($check:ident)+) => {
        mod $way {
            use crate::http::world::{Far, Way};
            use tunnel_tests::{client::Version, wait::within_limit};

            $(#[tokio::test]
            async fn $check() {
                within_limit(super::$check(Way { client: Version::$client, far: Far::$far })).await;
            })+
        }
    };
}

/// Runs each of these functions, which take where the app is, for each such place.
macro_rules! on_every_far_end {
    ($($check:ident),+ $(,)?) => {
        on_every_far_end! { @far to_process Process $($check)+ }
        on_every_far_end! { @far to_http1 Http1 $($check)+ }
        on_every_far_end! { @far to_h2c H2c $($check)+ }
    };
    (@far $name:ident $far:ident $($check:ident)+) => {
        mod $name {
            use crate::http::world::Far;
            use tunnel_tests::wait::within_limit;

            $(#[tokio::test]
            async fn $check() {
                within_limit(super::$check(Far::$far)).await;
            })+
        }
    };
}

mod bodies;
mod connections;
mod expect;
mod failures;
mod fields;
mod framing;
mod hops;
mod methods;
mod mounted;
mod refusals;
mod routes;
mod streaming;
mod targets;
mod trailers;
mod upload;
mod world;
