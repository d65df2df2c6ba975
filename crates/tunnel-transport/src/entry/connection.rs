use std::pin::pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use tunnel_core::BoxError;

use crate::{
    entry::{RequestBody, io::EntryIo, service::EntryService},
    net::Socket,
};

/// One connection, until it ends, or has drained, or is cut.
pub(super) async fn run<T, S, B>(
    codec: auto::Builder<TokioExecutor>,
    io: EntryIo<T>,
    service: EntryService<S>,
    drain: CancellationToken,
    cut: CancellationToken,
) where
    T: Socket,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut connection = pin!(codec.serve_connection_with_upgrades(TokioIo::new(io), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = drain.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = cut.cancelled() => Err("cut at the drain's deadline".into()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "connection ended with an error");
    }
}
