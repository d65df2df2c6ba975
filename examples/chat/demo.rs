//! What two people say to each other. Each step prints a line, and fails if something else was heard than what should.

use std::{fmt, net::SocketAddr};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::Method;
use serde::Deserialize;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tunnel_core::BoxError;
use tunnel_examples::client::{Client, Socket, websocket};

use crate::app::MAX_MESSAGE;

/// Messages of one person, each said when the one before it has come back.
const MESSAGES: u32 = 100;

pub(crate) async fn run(gateway: SocketAddr) -> Result<(), BoxError> {
    let page = Client::new(gateway).send(Method::GET, "/", Bytes::new()).await?;
    expect(
        page.status == 200 && page.body.starts_with(b"<!doctype html>"),
        "the page",
    )?;
    step("page", format_args!("{} bytes of HTML", page.body.len()));

    let start = Instant::now();
    let mut ada = Person::join(gateway, "Ada").await?;
    ada.sees(&["Ada"]).await?;
    step(
        "Ada",
        format_args!("is in the room after {:.1?}", start.elapsed()),
    );
    let mut grace = Person::join(gateway, "Grace").await?;
    for person in [&mut ada, &mut grace] {
        person.sees(&["Ada", "Grace"]).await?;
    }
    step("Grace", "is in the room, and both see both");

    talk(&mut ada, &mut grace).await?;
    too_long(grace).await?;
    ada.sees(&["Ada"]).await?;
    step("Ada", "sees that she is alone");
    let closed = ada.close(CloseCode::Normal, "good bye").await?;
    expect(
        closed == (CloseCode::Normal, "good bye".to_owned()),
        "the close that was sent",
    )?;
    step("Ada", "closed with 1000, and that came back");
    Ok(())
}

async fn talk(ada: &mut Person, grace: &mut Person) -> Result<(), BoxError> {
    let start = Instant::now();
    for number in 1..=MESSAGES {
        let text = format!("<b>message {number}</b>");
        ada.socket.send(Message::text(&text)).await?;
        for person in [&mut *ada, &mut *grace] {
            person.hears("Ada", &text).await?;
        }
    }
    let each = start.elapsed() / MESSAGES;
    step(
        "Ada",
        format_args!(
            "said {MESSAGES} things, one after the other, in {each:.1?} each: Grace and she heard all"
        ),
    );
    Ok(())
}

/// The app refuses it, and its close has to find its way back past what was sent.
async fn too_long(mut grace: Person) -> Result<(), BoxError> {
    let text = "x".repeat(MAX_MESSAGE + 1);
    grace.socket.send(Message::text(text)).await?;
    let (code, reason) = grace.closed().await?;
    expect(code == CloseCode::Size, "code 1009")?;
    step(
        "Grace",
        format_args!("said too much: {}, {reason}", u16::from(code)),
    );
    Ok(())
}

/// Somebody in the room.
struct Person {
    socket: Socket,
}

/// What of the room's events is looked at here.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Event {
    Welcome { you: u64 },
    Here { names: Vec<String> },
    Said { name: String, text: String },
}

impl Person {
    async fn join(gateway: SocketAddr, name: &str) -> Result<Self, BoxError> {
        let mut person = Self {
            socket: websocket(gateway, "/ws").await?,
        };
        person.socket.send(Message::text(name)).await?;
        match person.event().await? {
            Event::Welcome { you } if you > 0 => Ok(person),
            other => Err(unexpected("a welcome", &other)),
        }
    }

    async fn event(&mut self) -> Result<Event, BoxError> {
        match self.next().await? {
            Message::Text(text) => Ok(serde_json::from_str(&text)?),
            other => Err(unexpected("a text", &other)),
        }
    }

    async fn next(&mut self) -> Result<Message, BoxError> {
        Ok(self.socket.next().await.ok_or("the socket ended too early")??)
    }

    async fn sees(&mut self, expected: &[&str]) -> Result<(), BoxError> {
        match self.event().await? {
            Event::Here { names } if names == expected => Ok(()),
            other => Err(unexpected("the people in the room", &other)),
        }
    }

    async fn hears(&mut self, from: &str, expected: &str) -> Result<(), BoxError> {
        match self.event().await? {
            Event::Said { name, text } if name == from && text == expected => Ok(()),
            other => Err(unexpected("what was said", &other)),
        }
    }

    async fn close(mut self, code: CloseCode, reason: &str) -> Result<(CloseCode, String), BoxError> {
        let reason = reason.into();
        self.socket
            .send(Message::Close(Some(CloseFrame { code, reason })))
            .await?;
        self.closed().await
    }

    /// The code and the reason of the other side's close.
    async fn closed(mut self) -> Result<(CloseCode, String), BoxError> {
        match self.next().await? {
            Message::Close(Some(frame)) => Ok((frame.code, frame.reason.to_string())),
            other => Err(unexpected("a close", &other)),
        }
    }
}

fn unexpected(expected: &str, found: &impl fmt::Debug) -> BoxError {
    format!("{found:?} is not {expected}").into()
}

fn expect(holds: bool, what: &str) -> Result<(), BoxError> {
    if holds {
        Ok(())
    } else {
        Err(format!("the answer is not {what}").into())
    }
}

fn step(who: &str, what: impl fmt::Display) {
    println!("{who:<6} {what}");
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A client cannot tell the tunnel from a direct connection.
    #[tokio::test]
    async fn it_is_the_same_without_a_tunnel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, crate::app::router()).await });
        run(address).await.unwrap();
    }
}
