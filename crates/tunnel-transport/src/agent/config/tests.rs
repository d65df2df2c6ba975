use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn update(version: u64, text: &'static str) -> pb::ConfigUpdate {
    pb::ConfigUpdate {
        version,
        config: Bytes::from_static(text.as_bytes()),
    }
}

/// Refuses what says `bad`, and keeps the rest.
fn configs(cache: Option<&Path>) -> (Configs, Arc<Mutex<Vec<u64>>>) {
    let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
    let taken = seen.clone();
    let apply = move |config: &PushedConfig| {
        if config.text.starts_with(b"bad") {
            return Err("it is bad".into());
        }
        taken.lock().unwrap().push(config.version);
        Ok(())
    };
    (
        Configs::new(Some(Arc::new(apply)), cache.map(Path::to_owned)),
        seen,
    )
}

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tunnel-config-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn take(configs: &Configs, version: u64, text: &'static str) -> (u64, u64, String) {
    let state = configs.take(update(version, text)).await.unwrap();
    (state.applied_version, state.refused_version, state.error)
}

#[tokio::test]
async fn what_is_bad_or_old_is_refused_and_the_old_one_stays() {
    let (configs, seen) = configs(None);
    let good = |version| (version, 0, String::new());
    assert_eq!(take(&configs, 5, "a").await, good(5));
    assert_eq!(take(&configs, 6, "bad").await, (5, 6, "it is bad".to_owned()));
    let told = || configs.0.as_ref().and_then(|taker| taker.state().refused.clone());
    assert_eq!(told(), Some((6, "it is bad".to_owned())));
    let (running, refused, why) = take(&configs, 4, "b").await;
    assert_eq!((running, refused), (5, 4));
    assert!(why.contains("version 5 is in force"), "{why}");
    assert_eq!(take(&configs, 3, "a").await, good(3), "it is what runs");
    assert_eq!(
        take(&configs, 4, "b").await.1,
        4,
        "and what runs is version 5 still"
    );
    assert_eq!(take(&configs, 9, "a").await, good(9));
    assert_eq!(told(), None);
    assert_eq!(take(&configs, 8, "b").await.1, 8);
    assert_eq!(take(&configs, 10, "b").await, good(10));
    assert_eq!(*seen.lock().unwrap(), [5, 10]);
}

#[tokio::test]
async fn an_agent_that_takes_none_says_so() {
    let state = take(&Configs::default(), 1, "a").await;
    assert_eq!((state.0, state.1), (0, 1));
    assert!(state.2.contains("takes no configuration"), "{state:?}");
}

#[tokio::test]
async fn the_last_good_one_is_there_at_the_next_start() {
    let directory = Directory::new();
    let path = directory.0.join("last.yaml");
    let (first, _) = configs(Some(&path));
    first.start().await;
    take(&first, 7, "---\na\n").await;
    take(&first, 8, "bad").await;

    let (second, seen) = configs(Some(&path));
    second.start().await;
    second.start().await;
    assert_eq!(*seen.lock().unwrap(), [7]);
    // What a gateway says now counts, whatever its clock says.
    assert_eq!(take(&second, 3, "b").await.0, 3);
    assert_eq!(take(&second, 2, "c").await.1, 2);

    for text in ["", "---\na\n", "# Version 1\n"] {
        std::fs::write(&path, text).unwrap();
        let (third, seen) = configs(Some(&path));
        third.start().await;
        assert!(seen.lock().unwrap().is_empty(), "{text}");
    }
}

#[tokio::test]
async fn of_many_that_come_at_once_the_newest_is_looked_at() {
    let (configs, seen) = configs(None);
    let mut updates = Updates::new(&configs);
    assert_eq!(updates.came(update(1, "a")), None);
    assert_eq!(updates.came(update(2, "b")), None);
    assert_eq!(updates.came(update(2, "again")), None);
    let overtaken = updates.came(update(3, "c")).unwrap();
    assert_eq!(overtaken.refused_version, 2);
    assert_eq!(updates.done().await.applied_version, 1);
    assert_eq!(updates.done().await.applied_version, 3);
    assert_eq!(*seen.lock().unwrap(), [1, 3]);
    assert!(futures_util::FutureExt::now_or_never(updates.done()).is_none());
}

#[tokio::test]
async fn a_function_that_panics_refuses() {
    let configs = Configs::new(Some(Arc::new(|_| panic!("oh"))), None);
    let mut updates = Updates::new(&configs);
    updates.came(update(1, "a"));
    let state = updates.done().await;
    assert_eq!(
        (state.refused_version, state.error.as_str()),
        (1, "the agent failed over it")
    );
}

#[test]
fn debug_shows_no_text() {
    let config = PushedConfig {
        version: 7,
        text: Bytes::from_static(b"secret"),
    };
    assert_eq!(format!("{config:?}"), "PushedConfig { version: 7, bytes: 6 }");
}
