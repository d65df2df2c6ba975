use std::{
    fmt,
    io::{self, BufWriter, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{Entry, Sink};

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
/// while it waits: beyond that lines are [dropped and counted](Self::dropped). Clones are the same one.
///
/// The last clone to be dropped waits until everything is written; [`flush`](Self::flush) does so at any time.
#[derive(Clone)]
pub struct Writer(Arc<Inner>);

struct Inner {
    format: Format,
    /// None when it is being dropped.
    lines: Option<SyncSender<Job>>,
    waiting: Arc<AtomicUsize>,
    max_bytes: usize,
    dropped: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Job {
    Line(Vec<u8>),
    /// Tell when all before is written.
    Flush(SyncSender<()>),
}

impl Writer {
    /// Writes to `to`, which is flushed whenever nothing more waits.
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
        let (lines, jobs) = sync_channel(max_lines.max(1));
        let (waiting, written) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let dropped = Arc::new(AtomicU64::new(0));
        let thread = {
            let counts = Counts {
                waiting: Arc::clone(&waiting),
                written: Arc::clone(&written),
                dropped: Arc::clone(&dropped),
            };
            thread::Builder::new()
                .name("access-log".into())
                .spawn(move || write_all(&jobs, BufWriter::new(to), &counts))?
        };
        Ok(Self(Arc::new(Inner {
            format,
            lines: Some(lines),
            waiting,
            max_bytes,
            dropped,
            written,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// How many lines were lost because too much waited already, or because they could not be written.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// How many lines were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Waits until everything that was taken so far is written. It blocks the thread.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if let Some(lines) = &self.0.lines
            && lines.send(Job::Flush(done)).is_ok()
        {
            // An error means that the thread is gone, and nothing will be written any more.
            let _ = wait.recv();
        }
    }
}

impl Sink for Writer {
    fn take(&self, entry: &Entry<'_>) {
        let inner = &*self.0;
        let mut line = Vec::with_capacity(512);
        match inner.format {
            Format::Json => entry.to_json(&mut line),
            Format::Common => entry.to_common(&mut line),
        }
        line.push(b'\n');
        let bytes = line.len();
        let before = inner.waiting.fetch_add(bytes, Ordering::AcqRel);
        let fits = before + bytes <= inner.max_bytes;
        let lines = inner.lines.as_ref().filter(|_| fits);
        if lines.is_none_or(|lines| lines.try_send(Job::Line(line)).is_err()) {
            inner.waiting.fetch_sub(bytes, Ordering::AcqRel);
            inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the thread tells.
struct Counts {
    waiting: Arc<AtomicUsize>,
    written: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

/// Until nobody can send any more. What cannot be written is lost, and the next line is tried again: a full disk may be emptied.
fn write_all(jobs: &Receiver<Job>, mut to: BufWriter<impl Write>, counts: &Counts) {
    while let Ok(first) = jobs.recv() {
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Line(line) => {
                    counts.waiting.fetch_sub(line.len(), Ordering::AcqRel);
                    let count = match to.write_all(&line) {
                        Ok(()) => &counts.written,
                        Err(_) => &counts.dropped,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Job::Flush(done) => {
                    let _ = to.flush();
                    let _ = done.send(());
                }
            }
            next = jobs.try_recv().ok();
        }
        let _ = to.flush();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lines = None;
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
