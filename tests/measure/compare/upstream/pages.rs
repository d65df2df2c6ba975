//! What the server answers.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;

use super::{
    bodies::{Drip, Pieces, Stamps, ThenNothing},
    echo,
};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The body of a small GET: 13 bytes.
const SMALL: &[u8] = b"Hello, World!";

/// The time between two stamps of `/bench/stamps/N`.
pub(crate) const BETWEEN_STAMPS: Duration = Duration::from_millis(50);

/// | path | answer |
/// | --- | --- |
/// | `/bench/small` | 13 bytes |
/// | `/bench/bytes/N` | N bytes |
/// | `/bench/begun/N` | the same, with a pause behind the first KiB |
/// | `/bench/sink` | how many bytes have come |
/// | `/bench/first`, `/bench.Hold/First` | one byte, and then nothing more |
/// | `/bench/drip` | bytes without an end, each in a frame of its own |
/// | `/bench/stamps/N` | N times the time at which it was written, with a pause in front of each |
/// | `/bench/socket` | a WebSocket that says everything back |
/// | `/bench.Echo/Unary` | what came, as a gRPC call that went well |
pub(super) async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let (path, number) = match path.rsplit_once('/') {
        Some((path, last)) => match last.parse::<u64>() {
            Ok(number) => (path, number),
            Err(_) => (request.uri().path(), 0),
        },
        None => (path, 0),
    };
    Ok(match path {
        "/bench/small" => Response::new(full(Bytes::from_static(SMALL))),
        "/bench/bytes" => Response::new(Pieces::new(number).boxed_unsync()),
        "/bench/begun" => Response::new(Pieces::begun(number).boxed_unsync()),
        "/bench/first" | "/bench.Hold/First" => Response::new(ThenNothing::new().boxed_unsync()),
        "/bench/drip" => Response::new(Drip.boxed_unsync()),
        "/bench/stamps" => Response::new(Stamps::new(number, BETWEEN_STAMPS).boxed_unsync()),
        "/bench/socket" => echo::answer(request).map(full),
        "/bench/sink" => sink(request).await,
        "/bench.Echo/Unary" => unary(request).await,
        _ => status(StatusCode::NOT_FOUND),
    })
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

async fn sink(request: Request<Incoming>) -> Response<Body> {
    let mut body = request.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return status(StatusCode::BAD_REQUEST);
        };
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    Response::new(full(Bytes::from(bytes.to_string())))
}

async fn unary(request: Request<Incoming>) -> Response<Body> {
    let Ok(message) = request.into_body().collect().await else {
        return status(StatusCode::BAD_REQUEST);
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(message.to_bytes()).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed_unsync());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}
