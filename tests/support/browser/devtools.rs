//! The debugging port: calls and events as JSON over a WebSocket.

use std::fmt;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// A connection to the port.
pub(super) struct DevTools {
    socket: WebSocketStream<TcpStream>,
    calls: u64,
    /// Those that came while an answer was awaited.
    events: Vec<Value>,
}

impl DevTools {
    /// Connects to `host:port/path`.
    pub(super) async fn connect(url: &str) -> Self {
        let (addr, _) = url.split_once('/').expect("a path");
        let socket = TcpStream::connect(addr).await.expect("the browser listens");
        let (socket, _) = client_async(format!("ws://{url}"), socket)
            .await
            .expect("the browser takes the handshake");
        Self {
            socket,
            calls: 0,
            events: Vec::new(),
        }
    }

    /// Calls a method of the browser, or of a page, and waits for its result.
    pub(super) async fn call(&mut self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        match self.attempt(session, method, parameters).await {
            Ok(result) => result,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    /// The same for what may fail: the error.
    pub(super) async fn attempt(
        &mut self,
        session: Option<&str>,
        method: &str,
        parameters: &Value,
    ) -> Result<Value, Value> {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        self.socket
            .send(Message::text(call.to_string()))
            .await
            .expect("the browser is there");
        loop {
            let mut answer = self.next().await;
            if answer["id"] == self.calls {
                return match answer["error"].take() {
                    Value::Null => Ok(answer["result"].take()),
                    error => Err(error),
                };
            }
            self.events.push(answer);
        }
    }

    /// Waits for an event of a page.
    pub(super) async fn event(&mut self, session: &str, method: &str) {
        let is_it = |event: &Value| event["method"] == method && event["sessionId"] == session;
        if let Some(index) = self.events.iter().position(is_it) {
            self.events.remove(index);
            return;
        }
        loop {
            let event = self.next().await;
            if is_it(&event) {
                return;
            }
            self.events.push(event);
        }
    }

    /// What has come of a page so far, and nobody waited for.
    pub(super) fn events(&self, session: &str) -> impl Iterator<Item = &Value> {
        self.events
            .iter()
            .filter(move |event| event["sessionId"] == session)
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = self.socket.next().await.expect("the browser is there");
            if let Message::Text(text) = message.expect("the browser is there") {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }
}

impl fmt::Debug for DevTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevTools")
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}
