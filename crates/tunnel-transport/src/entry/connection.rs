use std::{pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio_util::sync::CancellationToken;
use tower_service::Service;
use tunnel_core::BoxError;

use crate::{
    entry::{
        RequestBody, activity::Activity, executor::StreamExecutor, io::EntryIo, service::EntryService,
        woken::Woken,
    },
    net::Socket,
};

/// What ends a connection.
pub(super) struct Ends {
    pub(super) activity: Activity,
    pub(super) idle: Option<Duration>,
    /// The entry is a lame duck.
    pub(super) leaving: CancellationToken,
    pub(super) drain: CancellationToken,
    pub(super) cut: CancellationToken,
}

/// One connection, until it ends, or has drained, or is cut.
pub(super) async fn run<T, S, B>(
    codec: auto::Builder<StreamExecutor>,
    io: EntryIo<T>,
    service: EntryService<S>,
    ends: Ends,
) where
    T: Socket,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // Requests of HTTP/2 that have been sent by the time that GOAWAY arrives are still served. One of HTTP/1.1 could lose a request if
    // it were closed while it is idle, so it is told with its next answer.
    if ends.leaving.is_cancelled() {
        ends.activity.leave();
    }
    let goes_away = async {
        ends.leaving.cancelled().await;
        ends.activity.leave();
        ends.activity.http2().await;
    };
    let mut connection = pin!(codec.serve_connection_with_upgrades(TokioIo::new(io), service));
    let mut ending = pin!(Woken::new(async {
        tokio::select! {
            biased;
            () = ends.drain.cancelled() => {}
            () = ends.activity.idle(ends.idle) => {}
            () = goes_away => {}
        }
    }));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = ending.as_mut() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = ends.cut.cancelled() => Err("cut at the drain's deadline".into()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "connection ended with an error");
    }
}
