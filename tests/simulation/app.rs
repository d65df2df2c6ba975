//! What stands behind the agents.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use bytes::BytesMut;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::{
    server::conn::{http1, http2},
    upgrade::OnUpgrade,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::sleep,
};
use tunnel_core::BoxError;

use crate::{
    body::{Check, Checked, pattern},
    ledger::Ledger,
    net::Listener,
};

/// What requests of [`Kind::Upgrade`](crate::plan::Kind::Upgrade) switch to.
pub(crate) const PROTOCOL: &str = "echo";

/// An app that sends back what it gets.
pub(crate) fn app(ledger: Ledger) -> Router {
    Router::new().fallback(move |request: Request| answer(ledger.clone(), request))
}

async fn answer(ledger: Ledger, mut request: Request) -> Response {
    let (Some(id), Some(len)) = (number(&request, "x-id"), number(&request, "x-len")) else {
        ledger.violation(format!(
            "a request without its fields: {} {}",
            request.method(),
            request.uri()
        ));
        return StatusCode::BAD_REQUEST.into_response();
    };
    let wait = number(&request, "x-wait").unwrap_or_default();
    ledger.saw(id);
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    let (what, kind) = ("the body of request", last.to_owned());
    let check = Check {
        what,
        id,
        len,
        at: 0,
        ledger,
    };
    if let Some(stream) = request.extensions_mut().remove::<OnUpgrade>()
        && kind == "upgrade"
    {
        return switch(request.method(), stream, check);
    }
    let body = Checked {
        body: request.into_body(),
        check,
        has_trailers: kind == "call",
        is_over: false,
    };
    match &*kind {
        "get" => {
            sleep(Duration::from_millis(wait)).await;
            pattern(id, 0, 700).into_response()
        }
        "echo" => match body.collect().await {
            Ok(whole) => whole.to_bytes().into_response(),
            // Whoever sent it has left, or has been told already.
            Err(_) => (StatusCode::BAD_REQUEST, [("x-app", "the body broke off")]).into_response(),
        },
        "call" => {
            // Without the second, servers of HTTP/1.1 send none.
            let fields = [
                ("content-type", "application/grpc"),
                ("trailer", "grpc-status, x-bytes"),
            ];
            (fields, Body::new(body)).into_response()
        }
        _ => Body::new(body).into_response(),
    }
}

/// Sends back what comes after the switch, until the other end has ended.
fn switch(method: &Method, stream: OnUpgrade, mut check: Check) -> Response {
    tokio::spawn(async move {
        let mut stream = TokioIo::new(stream.await?);
        let mut buffer = BytesMut::new();
        // An end may be one of a stream that broke off: TCP of this network knows no difference.
        while stream.read_buf(&mut buffer).await? > 0 {
            let mut data = buffer.split().freeze();
            check.data(&data);
            stream.write_all_buf(&mut data).await?;
            stream.flush().await?;
        }
        stream.shutdown().await?;
        Ok::<_, BoxError>(())
    });
    match *method {
        Method::CONNECT => StatusCode::OK.into_response(),
        _ => {
            let fields = [("connection", "upgrade"), ("upgrade", PROTOCOL)];
            (StatusCode::SWITCHING_PROTOCOLS, fields).into_response()
        }
    }
}

fn number(request: &Request, name: &str) -> Option<u64> {
    request.headers().get(name)?.to_str().ok()?.parse().ok()
}

/// The app as a server of its own.
pub(crate) async fn upstream(ledger: Ledger, is_http2: bool) -> turmoil::Result {
    let mut listener = Listener::bind(80).await?;
    loop {
        let io = TokioIo::new(listener.next().await?);
        let service = TowerToHyperService::new(app(ledger.clone()));
        // A connection that breaks is what this is about.
        if is_http2 {
            let connection = http2::Builder::new(TokioExecutor::new())
                .enable_connect_protocol()
                .serve_connection(io, service);
            tokio::spawn(async move { drop(connection.await) });
        } else {
            let connection = http1::Builder::new()
                .serve_connection(io, service)
                .with_upgrades();
            tokio::spawn(async move { drop(connection.await) });
        }
    }
}
