use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::task_tracker::TaskTrackerToken,
};
use tunnel_core::turn::{self, Number};

use crate::{
    entry::{Entry, addresses::Place, idle::Idle, woken::Woken},
    net::{MaybeTls, Socket, Turn},
};

#[cfg(test)]
mod tests;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// So many bytes of it are the beginning of nothing else: PROPFIND is a method.
const PREFACE_BEGUN: usize = 3;

/// Whether a connection must end with a failure that the peer can see.
#[derive(Clone, Debug, Default)]
pub(super) struct AbortFlag(Arc<AtomicBool>);

impl AbortFlag {
    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What a connection is used for, as far as its socket must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// HTTP/2, whose codec always reads, or nothing yet.
    Codec,
    /// HTTP/1.1. The client is watched while the codec does not read: hyper reads nothing while it serves a request and has
    /// the next one already, so it would not see that the client left.
    Watched,
    /// A stream that was upgraded from HTTP/1.1 and belongs to somebody else, maybe to two tasks. It is not watched, because a
    /// look at the socket by the one that writes would take the wake-up from the one that reads.
    Upgraded,
    /// The same, in the hands of somebody who closes its direction before it drops the stream, unless it broke off.
    Relayed,
}

/// The [`Use`] of a connection.
#[derive(Clone, Debug)]
pub(super) struct UseFlag(Arc<AtomicU8>);

impl Default for UseFlag {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Use::Codec as u8)))
    }
}

impl UseFlag {
    pub(super) fn set(&self, to: Use) {
        self.0.store(to as u8, Ordering::Release);
    }

    fn is(&self, what: Use) -> bool {
        self.0.load(Ordering::Acquire) == what as u8
    }

    fn is_upgraded(&self) -> bool {
        self.is(Use::Upgraded) || self.is(Use::Relayed)
    }
}

/// Ends an upgraded stream when its entry does: the connection's own future is over by then. Each direction waits by itself, because
/// each may have a task of its own.
struct Cut {
    token: CancellationToken,
    read: Option<Wait>,
    write: Option<Wait>,
}

type Wait = Pin<Box<Woken<WaitForCancellationFutureOwned>>>;

/// Ready from the cut on.
fn poll_cut(token: &CancellationToken, wait: &mut Option<Wait>, cx: &mut Context<'_>) -> Poll<()> {
    let wait = wait.get_or_insert_with(|| Box::pin(Woken::new(token.clone().cancelled_owned())));
    wait.as_mut().poll(cx)
}

/// What a connection holds for its whole life, upgraded streams included.
pub(super) struct Held {
    pub(super) _permit: OwnedSemaphorePermit,
    pub(super) _place: Place,
    pub(super) _tracked: TaskTrackerToken,
}

/// How long a client may leave its socket alone.
#[derive(Clone, Copy)]
pub(super) struct SocketTimes {
    first_bytes: Duration,
    preface: Duration,
    send: Option<Duration>,
}

impl SocketTimes {
    pub(super) fn of<T: Socket>(entry: &Entry, socket: &MaybeTls<T>) -> Self {
        let preface = entry.preface_timeout;
        let first_bytes = if socket.is_http2() {
            // Nothing but the preface can come.
            entry.first_bytes_timeout.min(preface)
        } else {
            entry.first_bytes_timeout
        };
        Self {
            first_bytes,
            preface,
            send: entry.send_timeout,
        }
    }
}

/// The socket of an entry's connection: a deadline until the client has shown its version, another while it takes nothing of
/// what is sent, and RST instead of FIN when
/// the flag is raised, or when a relayed stream is dropped that was not shut down.
pub(super) struct EntryIo<T: Socket> {
    socket: T,
    version: Version,
    abort: AbortFlag,
    usage: UseFlag,
    cut: Cut,
    turn: Turn,
    silence: Silence,
    /// The client takes nothing.
    unsent: Idle,
    is_shut: bool,
    _held: Option<Held>,
}

/// In which turn of its task the socket was asked and had nothing. hyper asks several times each time that it is polled, and the answer
/// stays what it is until the task is woken.
#[derive(Default)]
struct Silence {
    /// Somebody wanted to read.
    read: Option<Number>,
    /// Somebody looked whether the client has left, and may not have wanted what is there.
    look: Option<Number>,
}

impl Silence {
    /// Whether a read of this turn had to wait.
    fn waits(&self) -> bool {
        is_now(self.read)
    }

    /// Whether this turn knows that the client has not left, and hears if it does.
    fn is_watched(&self) -> bool {
        is_now(self.read) || is_now(self.look)
    }
}

fn is_now(turn: Option<Number>) -> bool {
    turn.is_some() && turn == turn::number()
}

/// hyper-util tells the versions apart by the client's first bytes, and no timer of hyper's runs before that.
enum Version {
    Unknown {
        matched: usize,
        preface: Duration,
        deadline: Pin<Box<Sleep>>,
    },
    Known,
}

impl<T: Socket> EntryIo<T> {
    pub(super) fn new(socket: T, times: SocketTimes, abort: AbortFlag, held: Option<Held>) -> Self {
        let version = Version::Unknown {
            matched: 0,
            preface: times.preface,
            deadline: Box::pin(sleep(times.first_bytes)),
        };
        Self {
            socket,
            version,
            abort,
            usage: UseFlag::default(),
            cut: Cut {
                token: CancellationToken::new(),
                read: None,
                write: None,
            },
            turn: Turn::endless(),
            silence: Silence::default(),
            unsent: Idle::new(times.send),
            is_shut: false,
            _held: held,
        }
    }

    /// Looks at this flag whenever somebody writes or flushes, which the codec does each time it is polled.
    pub(super) fn used_as(mut self, usage: UseFlag) -> Self {
        self.usage = usage;
        self
    }

    /// Reads in turns, or else as long as there is something.
    pub(super) fn in_turns(mut self, yes: bool) -> Self {
        self.turn = if yes { Turn::of_tunnel() } else { Turn::endless() };
        self
    }

    /// Ends with RST when `token` is canceled while it is an upgraded stream.
    pub(super) fn cut_by(mut self, token: CancellationToken) -> Self {
        self.cut.token = token;
        self
    }

    /// An error if the client is watched and has left.
    fn check_left(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.usage.is(Use::Watched) || self.silence.is_watched() {
            return Ok(());
        }
        if self.socket.poll_left(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.silence.look = turn::number();
        Ok(())
    }

    /// What was done with bytes for the client: an error if it has taken none for too long.
    fn sent<R>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.unsent.moved();
        } else if !self.usage.is_upgraded() && self.unsent.poll_over(cx).is_ready() {
            // What the kernel still holds for it goes as well.
            self.abort.raise();
            let text = "the client took nothing for too long";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        polled
    }

    /// Whoever writes waits, or will wait for something else once it has flushed: what may end that.
    fn check_writer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.usage.is_upgraded() && poll_cut(&self.cut.token, &mut self.cut.write, cx).is_ready() {
            return Err(self.was_cut());
        }
        self.check_left(cx)
    }

    fn was_cut(&self) -> io::Error {
        self.abort.raise();
        io::Error::new(io::ErrorKind::ConnectionAborted, "cut at the drain's deadline")
    }
}

impl Version {
    fn see(&mut self, bytes: &[u8]) {
        let Self::Unknown {
            matched,
            preface,
            deadline,
        } = self
        else {
            return;
        };
        let rest = &PREFACE[*matched..];
        if bytes.len() >= rest.len() || !rest.starts_with(bytes) {
            *self = Self::Known;
        } else {
            let before = *matched;
            *matched += bytes.len();
            if before < PREFACE_BEGUN && *matched >= PREFACE_BEGUN {
                let end = Instant::now() + *preface;
                if end < deadline.deadline() {
                    deadline.as_mut().reset(end);
                }
            }
        }
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Unknown { deadline, .. } => deadline.as_mut().poll(cx),
            Self::Known => Poll::Pending,
        }
    }
}

impl<T: Socket> AsyncRead for EntryIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let is_upgraded = this.usage.is_upgraded();
        // An upgraded stream may belong to two tasks, and each waits by itself.
        if !is_upgraded && this.silence.waits() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let socket = &mut this.socket;
        let read = |cx: &mut Context<'_>, buf: &mut ReadBuf<'_>| Pin::new(socket).poll_read(cx, buf);
        match this.turn.poll_read(cx, buf, read) {
            Poll::Ready(result) => {
                this.version.see(&buf.filled()[before..]);
                this.silence = Silence::default();
                Poll::Ready(result)
            }
            Poll::Pending if is_upgraded => {
                ready!(poll_cut(&this.cut.token, &mut this.cut.read, cx));
                Poll::Ready(Err(this.was_cut()))
            }
            Poll::Pending => {
                this.silence.read = turn::number();
                ready!(this.version.poll_expired(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<T: Socket> AsyncWrite for EntryIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        if written.is_pending() {
            self.check_writer(cx)?;
        }
        self.sent(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        if written.is_pending() {
            self.check_writer(cx)?;
        }
        self.sent(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_writer(cx)?;
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.sent(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.abort.is_raised() {
            return Poll::Ready(Ok(()));
        }
        self.is_shut = true;
        let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.sent(cx, shut)
    }
}

impl<T: Socket> Drop for EntryIo<T> {
    fn drop(&mut self) {
        let is_broken = self.usage.is(Use::Relayed) && !self.is_shut;
        if is_broken || self.abort.is_raised() {
            self.socket.abort();
        }
    }
}
