//! Files that are looked at again and again to see whether they have changed.
//!
//! Contents are compared and not times, so that it finds files that editors rename into place, and directories that are swapped behind
//! a symbolic link as Kubernetes does it; and a file that was written again as it was is no change.

use std::{
    collections::BTreeMap,
    fmt, fs,
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How often files are read to see whether they have changed, where nothing else is said.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);

/// The shortest such time: it costs reading the files.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// What stood in some files when they were looked at, as fingerprints: contents are not kept. Every call that looks reads files, and
/// blocks for as long as that takes.
#[derive(Default)]
pub struct Files {
    state: RandomState,
    seen: Mutex<BTreeMap<PathBuf, Option<u64>>>,
}

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
        let print = self.print(&path);
        self.seen().insert(path, print);
    }

    /// Looks at those files of `other` that have not been looked at yet.
    pub fn note_rest(&self, other: &Self) {
        for path in other.paths() {
            if !self.seen().contains_key(&path) {
                self.note(path);
            }
        }
    }

    /// Whether some of the files are no longer what they were.
    #[must_use]
    pub fn have_changed(&self) -> bool {
        let seen = self.seen().clone();
        seen.iter().any(|(path, print)| self.print(path) != *print)
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
        *self.seen() == others
    }

    fn print(&self, path: &Path) -> Option<u64> {
        fs::read(path).ok().map(|bytes| self.state.hash_one(bytes))
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<u64>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
}
