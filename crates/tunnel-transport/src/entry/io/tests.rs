use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tunnel_core::turn::Turns;

use super::*;

fn pair() -> (DuplexStream, EntryIo<DuplexStream>) {
    let (client, server) = duplex(64);
    let times = SocketTimes {
        first_bytes: Duration::from_secs(10),
        preface: Duration::from_secs(5),
        send: Some(Duration::from_secs(20)),
    };
    (client, EntryIo::new(server, times, AbortFlag::default(), None))
}

async fn timed_out(io: &mut EntryIo<DuplexStream>) -> bool {
    let read = tokio::time::timeout(Duration::from_secs(60), io.read(&mut [0; 64])).await;
    matches!(read, Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut)
}

/// Counts how often it is asked.
struct Counted {
    io: DuplexStream,
    reads: usize,
    looks: usize,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reads += 1;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Socket for Counted {
    fn poll_left(&mut self, _: &mut Context<'_>) -> Poll<()> {
        self.looks += 1;
        Poll::Pending
    }
}

/// What `ask` says of it, in a turn of its own.
fn turn<R>(
    io: &mut EntryIo<Counted>,
    mut ask: impl FnMut(&mut EntryIo<Counted>, &mut Context<'_>) -> R,
) -> (R, usize, usize) {
    let turn = Turns::new(poll_fn(|cx| Poll::Ready(ask(&mut *io, cx))));
    let said = tokio_test::assert_ready!(tokio_test::task::spawn(turn).poll());
    let Counted { reads, looks, .. } = &mut io.socket;
    (said, std::mem::take(reads), std::mem::take(looks))
}

fn read(io: &mut EntryIo<Counted>, cx: &mut Context<'_>) -> Option<usize> {
    let mut space = [0; 64];
    let mut buf = ReadBuf::new(&mut space);
    match Pin::new(io).poll_read(cx, &mut buf) {
        Poll::Ready(read) => {
            read.unwrap();
            Some(buf.filled().len())
        }
        Poll::Pending => None,
    }
}

fn flush(io: &mut EntryIo<Counted>, cx: &mut Context<'_>) {
    tokio_test::assert_ready!(Pin::new(io).poll_flush(cx)).unwrap();
}

#[tokio::test]
async fn who_has_nothing_is_asked_once_in_a_turn() {
    let (mut client, server) = duplex(64);
    let counted = Counted {
        io: server,
        reads: 0,
        looks: 0,
    };
    let times = SocketTimes {
        first_bytes: Duration::from_secs(10),
        preface: Duration::from_secs(5),
        send: None,
    };
    let usage = UseFlag::default();
    usage.set(Use::Watched);
    let mut io = EntryIo::new(counted, times, AbortFlag::default(), None).used_as(usage.clone());

    let twice = turn(&mut io, |io, cx| [read(io, cx), read(io, cx)]);
    assert_eq!(twice, ([None, None], 1, 0));
    let flushed = turn(&mut io, |io, cx| (flush(io, cx), flush(io, cx), read(io, cx)).2);
    assert_eq!(flushed, (None, 1, 1), "who has looked has not read");
    let flushed = turn(&mut io, |io, cx| (read(io, cx), flush(io, cx)).0);
    assert_eq!(flushed, (None, 1, 0), "who reads hears that the client leaves");

    client.write_all(b"GET ").await.unwrap();
    let found = turn(&mut io, |io, cx| {
        flush(io, cx);
        let read = [read(io, cx), read(io, cx)];
        flush(io, cx);
        read
    });
    assert_eq!(found, ([Some(4), None], 2, 1));
    client.write_all(b"/").await.unwrap();
    let found = turn(&mut io, |io, cx| {
        flush(io, cx);
        let read = read(io, cx);
        flush(io, cx);
        read
    });
    assert_eq!(
        found,
        (Some(1), 1, 2),
        "nobody listens any more behind what was read"
    );

    usage.set(Use::Upgraded);
    let twice = turn(&mut io, |io, cx| [read(io, cx), read(io, cx)]);
    assert_eq!(twice, ([None, None], 2, 0), "each of two tasks waits by itself");
}

#[tokio::test(start_paused = true)]
async fn silence_and_half_a_preface_time_out() {
    let (_client, mut io) = pair();
    assert!(timed_out(&mut io).await);

    let (mut client, mut io) = pair();
    client.write_all(&PREFACE[..10]).await.unwrap();
    io.read_exact(&mut [0; 10]).await.unwrap();
    assert!(timed_out(&mut io).await);
}

#[tokio::test(start_paused = true)]
async fn a_known_version_ends_the_deadline() {
    for first in [&b"P"[..], &PREFACE[..4]] {
        let (mut client, mut io) = pair();
        client.write_all(first).await.unwrap();
        io.read_exact(&mut [0; 4][..first.len()]).await.unwrap();
        let rest = if first.len() == 1 {
            &b"OST"[..]
        } else {
            &PREFACE[4..]
        };
        client.write_all(rest).await.unwrap();
        io.read_exact(&mut vec![0; rest.len()]).await.unwrap();
        assert!(!timed_out(&mut io).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_both_directions_of_an_upgraded_stream_for_good() {
    let (mut client, io) = pair();
    let (token, usage) = (CancellationToken::new(), UseFlag::default());
    let (mut read, mut write) = tokio::io::split(io.used_as(usage.clone()).cut_by(token.clone()));
    client.write_all(b"GET /").await.unwrap();
    read.read_exact(&mut [0; 5]).await.unwrap();
    usage.set(Use::Upgraded);
    write.write_all(b"hello").await.unwrap();
    write.flush().await.unwrap();
    // Each direction is waited for by a task of its own.
    let reading = tokio::spawn(async move {
        let first = read.read_u8().await.unwrap_err().kind();
        (first, read.read_u8().await.unwrap_err().kind())
    });
    tokio::task::yield_now().await;
    token.cancel();
    let ended = io::ErrorKind::ConnectionAborted;
    let reading = tokio::time::timeout(Duration::from_secs(60), reading).await;
    assert_eq!(reading.unwrap().unwrap(), (ended, ended));
    for _ in 0..2 {
        assert_eq!(write.flush().await.unwrap_err().kind(), ended);
    }
}
