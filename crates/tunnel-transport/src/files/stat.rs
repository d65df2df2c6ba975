//! What the file system says of a file.

use std::path::Path;

/// Two writes within one tick of the file system's clock leave the same times: what is younger than this, which is more than a tick, tells
/// nothing of the contents.
#[cfg(unix)]
const TICK: std::time::Duration = std::time::Duration::from_millis(100);

/// A file, as far as its file system knows it without reading it. Every write changes it, and so does every rename onto its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    /// Seconds and nanoseconds of the last change of anything of it, which nobody can set.
    changed: (i64, i64),
}

impl Stat {
    /// None if there is no such file, or nothing of it is told here.
    #[cfg(unix)]
    pub(super) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;

        let told = std::fs::metadata(path).ok()?;
        Some(Self {
            device: told.dev(),
            inode: told.ino(),
            len: told.len(),
            modified: (told.mtime(), told.mtime_nsec()),
            changed: (told.ctime(), told.ctime_nsec()),
        })
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Path) -> Option<Self> {
        None
    }

    /// Whether whatever is written from now on changes it.
    #[cfg(unix)]
    pub(super) fn is_old(&self) -> bool {
        use std::time::{Duration, UNIX_EPOCH};

        let (seconds, nanos) = self.changed;
        let since = Duration::new(seconds.try_into().unwrap_or(0), nanos.try_into().unwrap_or(0));
        UNIX_EPOCH
            .elapsed()
            .ok()
            .and_then(|now| now.checked_sub(since))
            .is_some_and(|age| age >= TICK)
    }

    #[cfg(not(unix))]
    pub(super) fn is_old(&self) -> bool {
        false
    }
}

/// Whether the file system that has this path, or would have it, is one of this machine, which answers at once: no network, and nobody
/// else's process. One that does not may keep the caller waiting.
#[cfg(target_os = "linux")]
pub(crate) fn is_near(path: &Path) -> bool {
    /// ext2 to ext4, XFS, Btrfs, F2FS, ZFS, tmpfs, ramfs and overlayfs (`statfs(2)`).
    const NEAR: [u32; 8] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0xf2f5_2010,
        0x2fc1_2fc1,
        0x0102_1994,
        0x8584_58f6,
        0x794c_7630,
    ];
    let found = path.ancestors().find_map(|path| {
        let is_here = path.as_os_str().is_empty();
        rustix::fs::statfs(if is_here { Path::new(".") } else { path }).ok()
    });
    // The numbers have 32 bits, in a field that has more here and there, and a sign.
    found.is_some_and(|found| NEAR.contains(&(found.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_near(_: &Path) -> bool {
    false
}
