//! Two proxies that are hyper and nothing else: the least that two hops cost that know where a request ends.

use std::{convert::Infallible, net::SocketAddr, path::Path};

use http::{Request, Response, StatusCode};
use hyper::{
    body::Incoming,
    client::conn as client,
    server::conn as server,
    service::service_fn,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
};

use super::Server;
use crate::{
    addr,
    process::{Failure, Process},
};

/// The word by which this program is such a proxy, followed by the two addresses that requests go to.
pub(crate) const ROLE: &str = "proxy";

pub(super) async fn start(directory: &Path, to: Server) -> Result<(Server, Vec<Process>), Failure> {
    let (far_at, far) = hop("far", directory, to).await?;
    let (at, near) = hop("near", directory, far_at).await?;
    Ok((at, vec![near, far]))
}

async fn hop(name: &str, directory: &Path, to: Server) -> Result<(Server, Process), Failure> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(this);
    command.args([ROLE, &to.plain.to_string(), &to.calls.to_string()]);
    let (process, line) = Process::ready(name, directory, &mut command).await?;
    Ok((Server::parse(&line)?, process))
}

/// Passes requests on until the process is killed. Prints where.
pub(crate) async fn run(to: Server) -> Infallible {
    let (plain, plain_addr) = addr::listen().await;
    let (calls, calls_addr) = addr::listen().await;
    println!("{plain_addr} {calls_addr}");
    tokio::join!(serve(plain, to.plain, http1), serve(calls, to.calls, http2)).0
}

/// Each connection has one of its own behind it, so that nothing is looked for.
async fn serve<F>(listener: TcpListener, to: SocketAddr, pass: fn(TcpStream, TcpStream) -> F) -> Infallible
where
    F: Future<Output = hyper::Result<()>> + Send + 'static,
{
    loop {
        let Ok((near, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(to).await else {
                return;
            };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            // Either end leaves when it likes.
            let _ = pass(near, far).await;
        });
    }
}

async fn http1(near: TcpStream, far: TcpStream) -> hyper::Result<()> {
    let (sender, connection) = client::http1::handshake(TokioIo::new(far)).await?;
    tokio::spawn(connection.with_upgrades());
    let sender = tokio::sync::Mutex::new(sender);
    let service = service_fn(async |mut request: Request<Incoming>| {
        let near = upgrade::on(&mut request);
        let mut sender = sender.lock().await;
        sender.ready().await?;
        let mut response = sender.send_request(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            tokio::spawn(switch(near, upgrade::on(&mut response)));
        }
        Ok::<Response<Incoming>, hyper::Error>(response)
    });
    let connection = server::http1::Builder::new().serve_connection(TokioIo::new(near), service);
    connection.with_upgrades().await
}

async fn switch(near: OnUpgrade, far: OnUpgrade) {
    if let (Ok(near), Ok(far)) = tokio::join!(near, far) {
        let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}

async fn http2(near: TcpStream, far: TcpStream) -> hyper::Result<()> {
    let (sender, connection) = client::http2::handshake(TokioExecutor::new(), TokioIo::new(far)).await?;
    tokio::spawn(connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut sender = sender.clone();
        async move {
            sender.ready().await?;
            sender.send_request(request).await
        }
    });
    let mut builder = server::http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(1_000);
    builder.serve_connection(TokioIo::new(near), service).await
}
