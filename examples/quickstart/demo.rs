//! What the quickstart shows. Each step prints a line, and fails if something else came back than what should.

use std::{fmt::Display, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::{task::JoinSet, time::Instant};
use tunnel_core::BoxError;
use tunnel_examples::client::{Answer, Client};

use crate::{calls, sockets, upstream};

/// Size of the upload, in bytes.
const UPLOAD: usize = 1 << 20;

/// Size of the download, in bytes.
const DOWNLOAD: usize = 64 << 20;

/// Requests at the same time, and how many of them one after the other.
const PARALLEL: (u32, u32) = (50, 20);

pub(crate) async fn run(gateway: SocketAddr) -> Result<(), BoxError> {
    let client = Client::new(gateway);
    println!();
    line("request", "status", "bytes", "time", "");
    hello(&client).await?;
    echo(&client).await?;
    download(&client).await?;
    events(&client).await?;
    parallel(&client).await?;
    calls::run(gateway).await?;
    sockets::run(gateway).await?;
    direct(&client).await?;
    no_route(&client).await?;
    println!();
    Ok(())
}

async fn hello(client: &Client) -> Result<(), BoxError> {
    let answer = get(client, "/app/hello").await?;
    show("GET /app/hello", &answer, "from the upstream, as /hello");
    expect(
        answer.status == StatusCode::OK && answer.body.starts_with(b"hello"),
        "a greeting",
    )
}

async fn echo(client: &Client) -> Result<(), BoxError> {
    let sent: Bytes = (0..UPLOAD).map(|index| (index % 251) as u8).collect();
    let answer = client.send(Method::POST, "/app/echo", sent.clone()).await?;
    show("POST /app/echo", &answer, "up and down at the same time");
    expect(answer.body == sent, "the bytes that were sent")
}

async fn download(client: &Client) -> Result<(), BoxError> {
    let path = format!("/app/bytes/{DOWNLOAD}");
    let answer = get(client, &path).await?;
    let rate = DOWNLOAD as f64 / f64::from(1 << 20) / answer.took.as_secs_f64();
    let first = millis(answer.arrivals.first().copied().unwrap_or_default());
    show(
        &format!("GET {path}"),
        &answer,
        &format!("first byte after {first}, {rate:.0} MiB/s"),
    );
    expect(answer.body.len() == DOWNLOAD, "every byte")
}

async fn events(client: &Client) -> Result<(), BoxError> {
    let answer = get(client, "/app/events").await?;
    let times: Vec<_> = answer
        .arrivals
        .iter()
        .map(|time| time.as_millis().to_string())
        .collect();
    show(
        "GET /app/events",
        &answer,
        &format!("events came at {} ms", times.join(", ")),
    );
    expect(
        answer.arrivals.len() == upstream::EVENTS as usize,
        "events one by one",
    )
}

async fn parallel(client: &Client) -> Result<(), BoxError> {
    let (tasks, each) = PARALLEL;
    let start = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let client = client.clone();
        running.spawn(async move {
            let mut bytes = 0;
            for _ in 0..each {
                let answer = get(&client, "/app/hello").await?;
                expect(answer.status == StatusCode::OK, "status 200")?;
                bytes += answer.body.len();
            }
            Ok::<_, BoxError>(bytes)
        });
    }
    let mut bytes = 0;
    while let Some(done) = running.join_next().await {
        bytes += done??;
    }
    let (count, took) = (tasks * each, start.elapsed());
    let rate = f64::from(count) / took.as_secs_f64();
    let note = format!("{tasks} at a time, {rate:.0} requests/s");
    line(
        &format!("{count} x GET /app/hello"),
        "200",
        bytes,
        millis(took),
        &note,
    );
    Ok(())
}

async fn direct(client: &Client) -> Result<(), BoxError> {
    let answer = get(client, "/robots.txt").await?;
    show("GET /robots.txt", &answer, "the gateway's own answer, by a rule");
    expect(answer.status == StatusCode::OK, "the rule's answer")
}

async fn no_route(client: &Client) -> Result<(), BoxError> {
    let answer = get(client, "/nowhere").await?;
    let header = |name| {
        answer
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("none")
    };
    let cause = header("x-tunnel-error");
    show(
        "GET /nowhere",
        &answer,
        &format!("no rule: x-tunnel-error: {cause}"),
    );
    expect(
        answer.status == StatusCode::NOT_FOUND && cause != "none",
        "404 with x-tunnel-error",
    )
}

async fn get(client: &Client, path: &str) -> Result<Answer, BoxError> {
    client.send(Method::GET, path, Bytes::new()).await
}

pub(crate) fn expect(holds: bool, what: &str) -> Result<(), BoxError> {
    if holds {
        Ok(())
    } else {
        Err(format!("the answer is not {what}").into())
    }
}

fn show(what: &str, answer: &Answer, note: &str) {
    line(
        what,
        answer.status.as_u16(),
        answer.body.len(),
        millis(answer.took),
        note,
    );
}

pub(crate) fn line(what: &str, status: impl Display, bytes: impl Display, time: impl Display, note: &str) {
    println!(
        "{}",
        format!("{what:<26} {status:>6} {bytes:>10} {time:>10}   {note}").trim_end()
    );
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
