//! What moves the bytes of one connection, as the link says.

use std::{collections::VecDeque, io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::link::Weather;

/// Bytes that are on their way in one direction, at most. Together with a delay this bounds how fast a link is.
const MAX_IN_FLIGHT: usize = 1 << 20;

/// The most that is read at once.
const PIECE: usize = 16 * 1024;

/// Moves bytes between the two until both directions have ended, one of them fails, or the link is cut.
pub(super) async fn carry(near: DuplexStream, far: DuplexStream, mut weather: watch::Receiver<Weather>) {
    let cut = weather.borrow_and_update().cuts;
    let (from_near, to_near) = split(near);
    let (from_far, to_far) = split(far);
    let both = async {
        tokio::join!(
            flow(from_near, to_far, weather.clone()),
            flow(from_far, to_near, weather.clone()),
        )
    };
    let mut watched = weather.clone();
    tokio::select! {
        biased;
        // Dropping both ends is what both sides see of it.
        _ = watched.wait_for(|weather| weather.cuts != cut) => {}
        _ = both => {}
    }
}

/// One direction.
async fn flow(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut queue = VecDeque::<(Instant, Bytes)>::new();
    let (mut in_flight, mut is_over) = (0, false);
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let Weather { delay, is_frozen, .. } = *weather.borrow_and_update();
        let due = queue.front().map(|(due, _)| *due);
        if is_over && queue.is_empty() {
            return to.shutdown().await;
        }
        tokio::select! {
            biased;
            changed = weather.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            () = wait_until(due), if due.is_some() && !is_frozen => {
                if let Some((_, bytes)) = queue.pop_front() {
                    in_flight -= bytes.len();
                    to.write_all(&bytes).await?;
                }
            }
            read = from.read_buf(&mut buffer), if !is_over && !is_frozen && in_flight < MAX_IN_FLIGHT => {
                is_over = read? == 0;
                let bytes = buffer.split().freeze();
                if !bytes.is_empty() {
                    in_flight += bytes.len();
                    queue.push_back((Instant::now() + delay, bytes));
                }
            }
        }
    }
}

/// What is due at once does not wait for the timer, whose steps are milliseconds.
async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) if due.saturating_duration_since(Instant::now()) > Duration::ZERO => sleep_until(due).await,
        Some(_) => {}
        None => std::future::pending().await,
    }
}
