//! The server behind every way: one thread, HTTP/1.1 on one port and HTTP/2 on another.

mod bodies;
mod echo;
mod pages;

use std::convert::Infallible;

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

pub(crate) use self::bodies::{STAMP, nanoseconds};
use crate::addr;

/// Serves until the process is killed. Prints both addresses.
pub(crate) async fn run() -> Infallible {
    let (plain, plain_addr) = addr::listen().await;
    let (calls, calls_addr) = addr::listen().await;
    println!("{plain_addr} {calls_addr}");
    tokio::join!(serve_http1(plain), serve_http2(calls)).0
}

async fn serve_http1(listener: TcpListener) -> Infallible {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let _ = socket.set_nodelay(true);
        tokio::spawn(async move {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(pages::answer));
            // Clients leave when they like.
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn serve_http2(listener: TcpListener) -> Infallible {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let _ = socket.set_nodelay(true);
        tokio::spawn(async move {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(1_000);
            let _ = builder
                .serve_connection(TokioIo::new(socket), service_fn(pages::answer))
                .await;
        });
    }
}
