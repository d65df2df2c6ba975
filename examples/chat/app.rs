//! The chat: a page, and the WebSocket that it opens. It is an axum app like any other, and knows nothing of tunnels.

use std::time::Duration;

use axum::{
    Router,
    extract::{
        State,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    },
    http::header,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use tokio::time::timeout;

use crate::room::{Room, Seat};

/// The longest message, in bytes. A longer one ends in a close with the code 1009.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024;

/// The longest message that is read at all, in bytes: a longer one breaks the socket before it takes memory.
const MAX_READ: usize = 64 * 1024;

/// The longest name, in characters.
const MAX_NAME: usize = 32;

/// How long a new socket may take to tell its name, and a closed one to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the page may load: nothing from other sites.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'";

/// Why a socket is closed by this side: a code and a reason.
type Close = (u16, &'static str);

pub(crate) fn router() -> Router {
    let file = |kind, text| get(move || async move { ([(header::CONTENT_TYPE, kind)], text) });
    Router::new()
        .route("/", get(page))
        .route(
            "/chat.js",
            file("text/javascript; charset=utf-8", include_str!("page/chat.js")),
        )
        .route(
            "/chat.css",
            file("text/css; charset=utf-8", include_str!("page/chat.css")),
        )
        .route("/ws", any(socket))
        .with_state(Room::new())
}

async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, include_str!("page/index.html"))
}

async fn socket(upgrade: WebSocketUpgrade, State(room): State<Room>) -> Response {
    upgrade
        .max_message_size(MAX_READ)
        .max_frame_size(MAX_READ)
        .on_upgrade(|socket| serve(socket, room))
}

async fn serve(mut socket: WebSocket, room: Room) {
    let ended = match seat(&mut socket, &room).await {
        Ok(Some(seat)) => talk(&mut socket, seat).await,
        Ok(None) => Ok(()),
        Err(close) => Err(close),
    };
    if let Err((code, reason)) = ended {
        let reason = reason.into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        // It has arrived when the other side has answered it.
        let _ = socket.send(close).await;
        let _ = timeout(PATIENCE, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}

/// A place in the room for the name that the first message tells; none for a socket that goes before.
async fn seat(socket: &mut WebSocket, room: &Room) -> Result<Option<Seat>, Close> {
    let Ok(name) = timeout(PATIENCE, next_text(socket)).await else {
        return Err((close_code::POLICY, "no name was told"));
    };
    let Some(name) = name? else { return Ok(None) };
    let name = name.trim();
    let is_name = (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !is_name {
        return Err((close_code::POLICY, "a name has 1 to 32 characters"));
    }
    let seat = room.join(name.to_owned());
    seat.map(Some).ok_or((close_code::AGAIN, "the room is full"))
}

/// Carries what is said both ways until the other side closes. While it does not read, nothing is read from it.
async fn talk(socket: &mut WebSocket, mut seat: Seat) -> Result<(), Close> {
    let mut event = Some(seat.welcome());
    loop {
        if let Some(event) = event.take()
            && socket.send(Message::Text(event)).await.is_err()
        {
            return Ok(());
        }
        tokio::select! {
            next = seat.hear() => event = Some(next),
            said = next_text(socket) => match said? {
                Some(text) if text.trim().is_empty() => {}
                Some(text) => seat.say(text.trim()),
                None => return Ok(()),
            },
        }
    }
}

/// The next text; none when the other side has closed, or is gone. Cancel safe.
async fn next_text(socket: &mut WebSocket) -> Result<Option<Utf8Bytes>, Close> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) if text.len() > MAX_MESSAGE => {
                return Err((close_code::SIZE, "a message has at most 4 KiB"));
            }
            Some(Ok(Message::Text(text))) => return Ok(Some(text)),
            Some(Ok(Message::Binary(_))) => {
                return Err((close_code::UNSUPPORTED, "only texts are understood"));
            }
            // The socket answers them by itself; after a close nothing follows.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {}
            Some(Err(_)) | None => return Ok(None),
        }
    }
}
