//! A link that takes its time: a relay of TCP that hands on every byte later.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::addr;

/// The most that is read at once, and counted as one.
const PIECE: usize = 64 << 10;

/// A relay to one address. It ends, and breaks its connections, when the value is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    _tasks: JoinSet<()>,
}

/// How slow the link is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// From one end to the other.
    pub(crate) delay: Duration,
    /// Bytes of one direction that have been sent and not been acknowledged: what a window of TCP is. The acknowledgement takes
    /// its time as well, so that the link carries as many in two delays.
    pub(crate) flight: usize,
}

/// A piece that is under way.
struct Piece {
    bytes: Bytes,
    arrives: Instant,
    room: OwnedSemaphorePermit,
}

impl Relay {
    pub(crate) async fn start(to: SocketAddr, link: Link) -> Self {
        let (listener, addr) = addr::listen().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((from, _)) = listener.accept().await {
                connections.spawn(connection(from, to, link));
            }
        });
        Self { addr, _tasks: tasks }
    }
}

async fn connection(from: TcpStream, to: SocketAddr, link: Link) {
    let Ok(to) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    // What breaks one direction is heard of in the other.
    let _ = tokio::try_join!(
        direction(from_read, to_write, link),
        direction(to_read, from_write, link)
    );
}

async fn direction(from: OwnedReadHalf, to: OwnedWriteHalf, link: Link) -> io::Result<()> {
    // Each piece has at least one byte, and takes room for all of them, so that the room bounds the queue.
    let room = Arc::new(Semaphore::new(link.flight));
    let (sender, receiver) = mpsc::channel(link.flight.min(1 << 16));
    tokio::try_join!(
        take(from, sender, room, link.delay),
        hand_on(to, receiver, link.delay)
    )
    .map(drop)
}

async fn take(
    mut from: OwnedReadHalf,
    queue: mpsc::Sender<Piece>,
    room: Arc<Semaphore>,
    delay: Duration,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let wanted = PIECE as u32;
        let Ok(mut permit) = room.clone().acquire_many_owned(wanted).await else {
            return Ok(());
        };
        let read = from.read_buf(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let bytes = buffer.split().freeze();
        let Some(room) = permit.split(bytes.len().min(PIECE)) else {
            return Ok(());
        };
        let arrives = Instant::now() + delay;
        if queue.send(Piece { bytes, arrives, room }).await.is_err() {
            return Ok(());
        }
    }
}

async fn hand_on(
    mut to: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Piece>,
    delay: Duration,
) -> io::Result<()> {
    let mut acknowledgements = JoinSet::new();
    while let Some(piece) = queue.recv().await {
        sleep_until(piece.arrives).await;
        to.write_all(&piece.bytes).await?;
        let heard = Instant::now() + delay;
        acknowledgements.spawn(async move {
            sleep_until(heard).await;
            drop(piece.room);
        });
        while acknowledgements.try_join_next().is_some() {}
    }
    to.shutdown().await
}
