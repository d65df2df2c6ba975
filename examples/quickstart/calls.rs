//! The four kinds of gRPC calls, with the client that tonic generates, on a connection to the gateway's port.

use std::{net::SocketAddr, time::Duration};

use futures_util::{TryStreamExt as _, stream};
use tokio::{sync::mpsc, time::Instant};
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};
use tunnel_core::BoxError;
use tunnel_examples::greeter::{
    GreetAllRequest, GreetEachRequest, GreetEachResponse, GreetOftenRequest, GreetRequest, GreeterClient,
};

use crate::demo::{expect, line, millis};

/// Messages of each stream.
const MESSAGES: u32 = 100;

pub(crate) async fn run(gateway: SocketAddr) -> Result<(), BoxError> {
    let channel = Endpoint::from_shared(format!("http://{gateway}"))?
        .connect()
        .await?;
    let mut client = GreeterClient::new(channel);
    unary(&mut client).await?;
    server_streaming(&mut client).await?;
    client_streaming(&mut client).await?;
    bidirectional(&mut client).await
}

async fn unary(client: &mut GreeterClient<Channel>) -> Result<(), BoxError> {
    let (start, name) = (Instant::now(), "Ada".to_owned());
    let answer = client.greet(GreetRequest { name }).await?.into_inner();
    show("gRPC Greet", answer.greeting.len(), start.elapsed(), "unary");
    expect(answer.greeting == "hello Ada", "a greeting")
}

async fn server_streaming(client: &mut GreeterClient<Channel>) -> Result<(), BoxError> {
    let start = Instant::now();
    let request = GreetOftenRequest {
        name: "Ada".to_owned(),
        times: MESSAGES,
    };
    let answers: Vec<_> = client
        .greet_often(request)
        .await?
        .into_inner()
        .try_collect()
        .await?;
    let bytes = answers.iter().map(|answer| answer.greeting.len()).sum();
    let note = format!("server streaming: {} messages came", answers.len());
    show("gRPC GreetOften", bytes, start.elapsed(), &note);
    let last = answers.last().map(|answer| answer.greeting.as_str());
    expect(
        answers.len() == MESSAGES as usize && last == Some("hello Ada (100)"),
        "every greeting, in order",
    )
}

async fn client_streaming(client: &mut GreeterClient<Channel>) -> Result<(), BoxError> {
    let start = Instant::now();
    let requests = stream::iter((1..=MESSAGES).map(|number| GreetAllRequest {
        name: number.to_string(),
    }));
    let answer = client.greet_all(requests).await?.into_inner();
    let note = format!("client streaming: {MESSAGES} messages went");
    show("gRPC GreetAll", answer.greeting.len(), start.elapsed(), &note);
    expect(
        answer.greeting.starts_with("hello 1, 2, ") && answer.greeting.ends_with(", 99, 100"),
        "one greeting for every name",
    )
}

/// Each message answers the one before it, so neither side can have waited for the other's end.
async fn bidirectional(client: &mut GreeterClient<Channel>) -> Result<(), BoxError> {
    let start = Instant::now();
    let (requests, receiver) = mpsc::channel(1);
    let receiver = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|request| (request, receiver))
    });
    let mut answers = client.greet_each(receiver).await?.into_inner();
    let mut bytes = 0;
    for number in 1..=MESSAGES {
        let name = number.to_string();
        requests.send(GreetEachRequest { name }).await?;
        let greeting = next(&mut answers).await?;
        expect(
            greeting == format!("hello {number}"),
            "the greeting for this name",
        )?;
        bytes += greeting.len();
    }
    drop(requests);
    let note = format!("bidirectional: {MESSAGES} messages each way, one after the other");
    show("gRPC GreetEach", bytes, start.elapsed(), &note);
    expect(answers.message().await?.is_none(), "the end")
}

async fn next(answers: &mut Streaming<GreetEachResponse>) -> Result<String, BoxError> {
    let answer = answers.message().await?.ok_or("the call ended too early")?;
    Ok(answer.greeting)
}

fn show(what: &str, bytes: usize, took: Duration, note: &str) {
    line(what, "OK", bytes, millis(took), note);
}
