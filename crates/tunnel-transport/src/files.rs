//! Files that are looked at again and again to see whether they have changed.
//!
//! Contents are compared and not times, so that it finds files that editors rename into place, and directories that are swapped behind
//! a symbolic link as Kubernetes does it; and a file that was written again as it was is no change.
//!
//! Reading may take long, so that it is done where blocking is allowed, by a thread. But a process that never had a second thread
//! allocates memory, reads and writes without a locked operation: whoever only watches [glances](Files::are_surely_same) first.

mod stat;

use std::{
    collections::BTreeMap,
    fmt, fs,
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::spawn_blocking;

use self::stat::Stat;
pub(crate) use self::stat::is_near;

/// How often files are read to see whether they have changed, where nothing else is said.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);

/// The shortest such time: it costs reading the files.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// What stood in some files when they were looked at, as fingerprints: contents are not kept. Every call that looks reads files, and
/// blocks for as long as that takes, but for [`are_surely_same`](Self::are_surely_same).
#[derive(Default)]
pub struct Files {
    state: RandomState,
    seen: Mutex<BTreeMap<PathBuf, Seen>>,
}

/// What was seen of one file.
#[derive(Clone)]
struct Seen {
    /// None if it could not be read.
    print: Option<u64>,
    /// What the file system said of it then; none if it could not be read, which may pass, or if its contents may have changed since without
    /// a change of that.
    stat: Option<Stat>,
    /// Whether its file system answers at once. Asked while nobody waits: another one may not answer that either.
    is_near: bool,
}

/// The longest file that is read again at a glance, in bytes, which it is once, if it was written just before it was read first: it is in
/// memory then.
const SHORT: u64 = 64 * 1024;

impl Files {
    /// No files yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No files yet, and fingerprints that can be compared with those of `self`.
    #[must_use]
    pub fn empty(&self) -> Self {
        Self {
            state: self.state.clone(),
            seen: Mutex::default(),
        }
    }

    /// Looks at a file, which need not be there. Done before the file is used, it cannot miss a change.
    pub fn note(&self, path: impl Into<PathBuf>) {
        let path = path.into();
        let seen = self.see(&path);
        self.seen().insert(path, seen);
    }

    /// Looks at those files of `other` that have not been looked at yet.
    pub fn note_rest(&self, other: &Self) {
        for path in other.paths() {
            if !self.seen().contains_key(&path) {
                self.note(path);
            }
        }
    }

    /// Looks at all of them again.
    #[cfg(feature = "tls")]
    pub(crate) fn note_again(&self) {
        for path in self.paths() {
            self.note(path);
        }
    }

    /// Whether some of the files are no longer what they were.
    #[must_use]
    pub fn have_changed(&self) -> bool {
        let seen = self.seen().clone();
        seen.iter().any(|(path, seen)| !self.is_same(path, seen))
    }

    /// The same, which blocks a thread only if somebody has to wait for an answer: if a file seems to have changed, or may be far away.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn changed(self: &Arc<Self>) -> bool {
        if self.are_surely_same() {
            return false;
        }
        let files = Arc::clone(self);
        spawn_blocking(move || files.have_changed())
            .await
            .unwrap_or_default()
    }

    /// Whether no file has changed, as far as that can be told at a glance, in microseconds: by what a file system of this machine says of
    /// them. `false` says nothing.
    #[must_use]
    pub fn are_surely_same(&self) -> bool {
        let seen = self.seen().clone();
        seen.iter().all(|(path, seen)| {
            if !seen.is_near {
                return false;
            }
            let now = Stat::of(path);
            match seen.stat {
                Some(_) => now == seen.stat,
                None if now.is_some() && !is_short(path) => false,
                None => self.is_same(path, seen),
            }
        })
    }

    /// Reads a file that was seen.
    fn is_same(&self, path: &Path, seen: &Seen) -> bool {
        let now = self.see(path);
        let is_same = now.print == seen.print;
        if is_same && let Some(known) = self.seen().get_mut(path) {
            *known = now;
        }
        is_same
    }

    /// The same files, as they are now.
    #[must_use]
    pub fn now(&self) -> Self {
        let now = self.empty();
        for path in self.seen().keys() {
            now.note(path);
        }
        now
    }

    /// The paths, in their order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.seen().keys().cloned().collect()
    }

    /// Whether both are the same files with the same contents. Only such as stem from each other are.
    #[must_use]
    pub fn are_as(&self, other: &Self) -> bool {
        let others = other.seen().clone();
        let prints = |(path, seen): (&PathBuf, &Seen)| (path.clone(), seen.print);
        let mine: Vec<_> = self.seen().iter().map(prints).collect();
        mine.into_iter().eq(others.iter().map(prints))
    }

    fn see(&self, path: &Path) -> Seen {
        // First, so that what is written meanwhile makes a difference.
        let stat = Stat::of(path).filter(Stat::is_old);
        let print = fs::read(path).ok().map(|bytes| self.state.hash_one(bytes));
        Seen {
            print,
            stat: stat.filter(|_| print.is_some()),
            is_near: is_near(path),
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is a file, of which somebody else may be the writer otherwise, and a short one: such as can be read where others wait, if its
/// file system [is near](is_near).
pub(crate) fn is_short(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|told| told.is_file() && told.len() <= SHORT)
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.seen().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_count_and_not_times() {
        let directory = std::env::temp_dir().join(format!("tunnel-files-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (path, missing) = (directory.join("a"), directory.join("b"));
        fs::write(&path, "one").unwrap();
        let files = Files::new();
        files.note(&path);
        files.note(&missing);
        assert!(!files.have_changed());

        fs::write(directory.join("new"), "one").unwrap();
        fs::rename(directory.join("new"), &path).unwrap();
        assert!(!files.have_changed(), "it is what it was");
        fs::write(directory.join("new"), "two").unwrap();
        fs::rename(directory.join("new"), &path).unwrap();
        assert!(files.have_changed());

        let now = files.now();
        assert!(!now.have_changed() && !now.are_as(&files));
        fs::write(&missing, "").unwrap();
        assert!(now.have_changed(), "it was not there");
        fs::remove_file(&missing).unwrap();
        assert!(!now.have_changed());
        fs::write(&path, "one").unwrap();
        assert!(files.now().are_as(&files));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test]
    async fn what_is_surely_the_same_needs_no_thread_and_what_is_not_is_read() {
        let directory = std::env::temp_dir().join(format!("tunnel-glance-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (path, missing) = (directory.join("a"), directory.join("b"));
        let write = |text: &str, age: u64| {
            fs::write(&path, text).unwrap();
            let time = std::time::SystemTime::now() - Duration::from_secs(age);
            fs::File::open(&path).unwrap().set_modified(time).unwrap();
        };
        write("one", 60);
        let files = Arc::new(Files::new());
        files.note(&path);
        files.note(&missing);
        let glance = |files: &Files| {
            let is_near = is_near(&path);
            assert!(is_near || !files.are_surely_same(), "it may be far away");
            files.are_surely_same() == is_near
        };
        // The change of the inode is new, so that it is read; the second time, it may be old.
        assert!(glance(&files) && glance(&files));
        assert!(!files.changed().await);

        // As long as before.
        write("two", 60);
        assert!(!files.are_surely_same());
        assert!(files.changed().await);
        write("one", 30);
        assert!(!files.changed().await, "it is what it was");
        assert!(glance(&files));
        fs::write(&missing, "").unwrap();
        assert!(!files.are_surely_same() && files.changed().await);
        fs::remove_file(&missing).unwrap();
        assert!(glance(&files));
        fs::remove_file(&path).unwrap();
        assert!(!files.are_surely_same() && files.changed().await);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_looked_at_again_although_it_is_there() {
        // A directory that was not made just now.
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = Files::new();
        files.note(&directory);
        let seen = files.seen()[&directory].clone();
        assert_eq!((seen.print, seen.stat), (None, None));
        assert!(!files.are_surely_same() && !files.have_changed());
    }
}
