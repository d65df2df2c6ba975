//! The HTTP/2 windows and buffers of every connection that we read.
//!
//! h2 counts small DATA frames that pile up unread, and closes the whole connection with ENHANCE_YOUR_CALM when they
//! outgrow a budget that follows the connection's window. So a connection's window is at least twice the sum of its
//! streams' windows times `(256 - L) / L` for frames of `L` bytes; with the largest window that HTTP/2 knows, this holds
//! for frames of [`EDGE_SMALLEST_FRAME`] bytes and more at the edges, and of [`TUNNEL_SMALLEST_FRAME`] in the tunnel. The
//! window of a connection stores nothing by itself: what is stored is bounded by the windows of the streams.

use tunnel_core::Settings;

/// The window of a whole connection, at both ends of all of them: the largest of RFC 9113, section 6.9.1.
pub const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// The window of one stream, in bytes, at an entry and at an upstream: what one exchange whose consumer stands still may
/// make us store there.
pub const EDGE_STREAM_WINDOW: u32 = 256 * 1024;

/// Concurrent streams of one connection at an entry, and of one pooled connection to an upstream. Together with the
/// window this bounds what one connection may make us store (25 MiB).
pub const EDGE_MAX_STREAMS: u32 = 100;

/// What one stream at an edge may have written to h2 without it having gone to the socket, in bytes. It stands behind
/// the tunnel's credit and the socket's own buffer, so it need only cover the time of one wake-up.
pub const EDGE_SEND_BUFFER: usize = 64 * 1024;

/// What is read of a body at once at an edge of HTTP/1.1, in bytes: what is one message in the tunnel, and one packet beside it.
pub const EDGE_PIECE: usize = Settings::DEFAULT_CHUNK as usize;

/// What buffers of HTTP/1.1 have less than a power of two, in bytes, so that what they read is not a piece and a few bytes more.
pub const EDGE_SPARE: u32 = Settings::MAX_CHUNK - Settings::DEFAULT_CHUNK;

/// The smallest DATA frames, in bytes, for which the rule above holds at an edge whose streams are all full.
pub const EDGE_SMALLEST_FRAME: u64 = 7;

/// The window of one stream of the tunnel's connection, in bytes. The reader of a lane never waits, so it stores nothing:
/// it only has to cover bandwidth times delay. (h2 returns it in halves, so a half of it is always on its way.)
pub const TUNNEL_STREAM_WINDOW: u32 = 16 * 1024 * 1024;

/// Streams of the tunnel's connection: the control stream, at most eight lanes, and room for replacing them.
pub const TUNNEL_MAX_STREAMS: u32 = 16;

/// What h2 may hold of one stream of the tunnel's connection before it goes to the socket, in bytes. It is a FIFO under
/// the fair queue, so it is small.
pub const TUNNEL_SEND_BUFFER: usize = 128 * 1024;

/// The largest HTTP/2 frame of the tunnel's connection, in bytes: a chunk and its envelope fit in one.
pub const TUNNEL_MAX_FRAME: u32 = 128 * 1024;

/// What is read from the tunnel's connection before what has come goes on, in bytes: two large chunks.
pub const TUNNEL_TURN: usize = 128 * 1024;

/// The smallest DATA frames, in bytes, for which the rule above holds in the tunnel: every message is larger, but for
/// those that are read at once.
pub const TUNNEL_SMALLEST_FRAME: u64 = 52;

/// How long an HTTP/2 connection may be silent before a PING asks whether anybody is there.
pub const PING_INTERVAL: std::time::Duration = std::time::Duration::from_secs(15);

/// How long that PING may go unanswered before the connection is closed.
pub const PING_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

const fn small_frames_fit(stream_window: u32, streams: u32, frame: u64) -> bool {
    let sum = stream_window as u64 * streams as u64;
    2 * sum * (256 - frame) <= CONNECTION_WINDOW as u64 * frame
}

const _: () = assert!(small_frames_fit(
    EDGE_STREAM_WINDOW,
    EDGE_MAX_STREAMS,
    EDGE_SMALLEST_FRAME
));
const _: () = assert!(small_frames_fit(
    TUNNEL_STREAM_WINDOW,
    TUNNEL_MAX_STREAMS,
    TUNNEL_SMALLEST_FRAME
));
