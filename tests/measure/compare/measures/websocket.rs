//! Echoes over 100 WebSockets at the same time.

use std::{io, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _, future::try_join_all};
use http::{HeaderValue, header};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use crate::{
    grid::{Column, Grid, column, percentile},
    process::Failure,
    report::{Bound::AtLeast, Report},
    targets::{AUTHORIZATION, NGINX_TWO, TUNNEL, Way},
    world::World,
};

const SOCKETS: usize = 100;

/// The bytes of a message.
const MESSAGE: usize = 64;

const RATE: &str = "echoes/s";

const COLUMNS: &[Column] = &[
    column(RATE, 0),
    column("p50 µs", 0),
    column("p99 µs", 0),
    column("CPU µs/echo", 2),
];

pub(crate) async fn measure(world: &World, report: &mut Report) {
    let begun = report.begin(&format!("WebSocket echoes of {MESSAGE} bytes, {SOCKETS} sockets"));
    let mut grid = Grid::new(COLUMNS);
    let ways = world.ways(|_| true);
    let time = Duration::from_secs(world.options.seconds);
    let sample = async |way: &Way| sample(way, time).await;
    world.rounds(report, &ways, &mut grid, sample).await;
    report.grid(&begun, &grid);
    let row = "WebSocket echo, 100 sockets / nginx two hops";
    let ratio = grid.pairs((TUNNEL, RATE), (NGINX_TWO, RATE));
    report.ratio(row, ratio, AtLeast(1.0), AtLeast(1.3));
}

async fn sample(way: &Way, time: Duration) -> Result<[f64; 4], Failure> {
    let failed = |error: Error| format!("WebSocket: {error}");
    let mut sockets = Vec::with_capacity(SOCKETS);
    for _ in 0..SOCKETS {
        sockets.push(connect(way).await.map_err(failed)?);
    }
    // Everybody has said something once.
    let talks = sockets.iter_mut().map(|socket| talk(socket, Instant::now()));
    try_join_all(talks).await.map_err(failed)?;
    let before = way.processor_time();
    let begun = Instant::now();
    let talks = sockets.iter_mut().map(|socket| talk(socket, begun + time));
    let times = try_join_all(talks).await.map_err(failed)?;
    let elapsed = begun.elapsed().as_secs_f64();
    let work = way
        .processor_time()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    let mut times = times.concat();
    times.sort_by(f64::total_cmp);
    let echoes = times.len() as f64;
    let each = work.map_or(f64::NAN, |work| work.as_secs_f64() * 1e6 / echoes);
    Ok([
        echoes / elapsed,
        percentile(&times, 50.0),
        percentile(&times, 99.0),
        each,
    ])
}

async fn connect(way: &Way) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut request = format!("ws://{}/bench/socket", way.plain).into_client_request()?;
    let bearer = HeaderValue::from_static(AUTHORIZATION);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let stream = TcpStream::connect(way.plain).await?;
    stream.set_nodelay(true)?;
    Ok(client_async(request, stream).await?.0)
}

/// Says something and waits for the echo, at least once, until that time. Gives the microseconds of each.
async fn talk(socket: &mut WebSocketStream<TcpStream>, until: Instant) -> Result<Vec<f64>, Error> {
    let message = Message::binary(vec![b'm'; MESSAGE]);
    let mut times = Vec::new();
    loop {
        let begun = Instant::now();
        socket.send(message.clone()).await?;
        match socket.next().await {
            Some(Ok(echo)) if echo == message => {}
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) | None => return Err(io::Error::other("no echo").into()),
        }
        let now = Instant::now();
        times.push((now - begun).as_secs_f64() * 1e6);
        if now >= until {
            return Ok(times);
        }
    }
}
