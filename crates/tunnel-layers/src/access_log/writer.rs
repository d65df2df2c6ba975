use std::{
    cell::Cell,
    fmt,
    io::{self, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Entry, Sink};

/// How long the first line waits for others, so that they are written together.
const GATHER: Duration = Duration::from_millis(5);

/// So many bytes are written at once, and not much more.
const CHUNK: usize = 64 << 10;

/// A thread keeps the memory of its last line for the next one, up to so many bytes.
const KEPT: usize = 16 << 10;

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The most lines that wait to be written, unless [set](Writer::with_bounds).
pub const DEFAULT_MAX_LINES: usize = 16_384;

/// The most bytes that wait to be written, unless [set](Writer::with_bounds).
pub const DEFAULT_MAX_BYTES: usize = 8 << 20;

/// How an [`Entry`] becomes a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// An object of JSON: [`Entry::to_json`].
    #[default]
    Json,
    /// The combined log format, and more: [`Entry::to_common`].
    Common,
}

/// Writes each entry as a line, in a thread of its own, so that nobody waits for a disk or a pipe. What is written is bounded
/// while it waits: beyond that lines are [dropped and counted](Self::dropped). Lines that come within a few milliseconds are written
/// together. Clones are the same one.
///
/// The last clone to be dropped waits until everything is written; [`flush`](Self::flush) does so at any time.
#[derive(Clone)]
pub struct Writer(Arc<Inner>);

struct Inner {
    format: Format,
    max_lines: usize,
    max_bytes: usize,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread shares with all others.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// The thread has something to do.
    work: Condvar,
    /// It has done something, or is gone.
    done: Condvar,
    dropped: AtomicU64,
    written: AtomicU64,
}

/// Lines that wait.
#[derive(Default)]
struct Queue {
    text: Vec<u8>,
    lines: usize,
    /// Those that the thread has taken, and not written yet.
    taken: usize,
    taken_bytes: usize,
    /// How many have been taken in, and how many of these are written or lost.
    began: u64,
    ended: u64,
    /// The thread waits for the first line.
    is_idle: bool,
    /// Somebody waits until all is written.
    is_urgent: bool,
    /// Nobody will have anything more to write.
    is_closed: bool,
    /// The thread is gone.
    is_over: bool,
}

impl Writer {
    /// Writes to `to`, many lines at once, and flushes it behind them.
    ///
    /// # Errors
    ///
    /// The system has no thread for it.
    pub fn new(format: Format, to: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_bounds(format, to, DEFAULT_MAX_LINES, DEFAULT_MAX_BYTES)
    }

    /// The same, with other bounds for what waits.
    ///
    /// # Errors
    ///
    /// The system has no thread for it.
    pub fn with_bounds(
        format: Format,
        to: impl Write + Send + 'static,
        max_lines: usize,
        max_bytes: usize,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("access-log".into())
                .spawn(move || write_all(&OfThread(shared), to))?
        };
        Ok(Self(Arc::new(Inner {
            format,
            max_lines: max_lines.max(1),
            max_bytes,
            shared,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// How many lines were lost because too much waited already, or because they could not be written.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.shared.dropped.load(Relaxed)
    }

    /// How many lines were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.shared.written.load(Relaxed)
    }

    /// Waits until everything that was taken so far is written. It blocks the thread.
    pub fn flush(&self) {
        let shared = &self.0.shared;
        let mut queue = shared.lock();
        let all = queue.began;
        while queue.ended < all && !queue.is_over {
            queue.is_urgent = true;
            shared.work.notify_one();
            queue = shared.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Sink for Writer {
    fn take(&self, entry: &Entry<'_>) {
        // It is not there any more when the thread ends, and there is none while another one is being written.
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        match self.0.format {
            Format::Json => entry.to_json(&mut line),
            Format::Common => entry.to_common(&mut line),
        }
        line.push(b'\n');
        self.0.add(&line);
        if line.capacity() <= KEPT {
            let _ = LINE.try_with(|kept| kept.set(line));
        }
    }
}

impl Inner {
    fn add(&self, line: &[u8]) {
        let mut queue = self.shared.lock();
        let fits = queue.lines + queue.taken < self.max_lines
            && queue.text.len() + queue.taken_bytes + line.len() <= self.max_bytes;
        if !fits || queue.is_over {
            drop(queue);
            self.shared.dropped.fetch_add(1, Relaxed);
            return;
        }
        queue.text.extend_from_slice(line);
        queue.lines += 1;
        queue.began += 1;
        if mem::take(&mut queue.is_idle) {
            drop(queue);
            self.shared.work.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines; they stand in `text` then. False if there are none, and never will be.
    fn next(&self, text: &mut Vec<u8>) -> bool {
        let mut queue = self.lock();
        while queue.lines == 0 && !queue.is_closed {
            queue.is_idle = true;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.is_idle = false;
        let gathers = |queue: &mut Queue| !queue.is_urgent && !queue.is_closed;
        let waited = self.work.wait_timeout_while(queue, GATHER, gathers);
        (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        text.clear();
        mem::swap(&mut queue.text, text);
        queue.taken = mem::take(&mut queue.lines);
        queue.taken_bytes = text.len();
        queue.is_urgent = false;
        queue.taken > 0
    }

    /// All that was taken has been written, or lost.
    fn ended(&self) {
        let mut queue = self.lock();
        queue.ended += mem::take(&mut queue.taken) as u64;
        queue.taken_bytes = 0;
        drop(queue);
        self.done.notify_all();
    }
}

/// What the thread has, whose end tells all others that there is none any more.
struct OfThread(Arc<Shared>);

impl Drop for OfThread {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.done.notify_all();
    }
}

/// Until nobody has anything more to write. What cannot be written is lost, and the next lines are tried again: a full disk may be
/// emptied.
fn write_all(OfThread(shared): &OfThread, mut to: impl Write) {
    let mut text = Vec::new();
    while shared.next(&mut text) {
        for lines in chunks(&text) {
            let count = match to.write_all(lines) {
                Ok(()) => &shared.written,
                Err(_) => &shared.dropped,
            };
            let lines = lines.iter().filter(|byte| **byte == b'\n').count();
            count.fetch_add(lines as u64, Relaxed);
        }
        let _ = to.flush();
        shared.ended();
    }
}

/// Whole lines, so many that they are a chunk.
fn chunks(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let least = text.len().min(CHUNK);
        let rest = text[least..].iter().position(|byte| *byte == b'\n');
        let end = match text[..least].last()? {
            b'\n' => least,
            _ => rest.map_or(text.len(), |more| least + more + 1),
        };
        let (lines, rest) = text.split_at(end);
        text = rest;
        Some(lines)
    })
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.work.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its panic is nobody's business here.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("format", &self.0.format)
            .field("written", &self.written())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}
