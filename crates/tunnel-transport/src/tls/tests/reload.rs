use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::*;
use crate::tls::Alpn;

/// Whether new connections get another configuration than before.
fn has_changed(tls: &ServerTls, before: &Arc<rustls::ServerConfig>) -> bool {
    !Arc::ptr_eq(before, &tls.config(Alpn::Either))
}

#[tokio::test(start_paused = true)]
async fn files_are_read_every_two_seconds() {
    let directory = Directory::new();
    let identity = Made::new("a.test").write(&directory);
    let tls = ServerTls::builder()
        .certificate(identity)
        .build()
        .expect("a server");
    let before = tls.config(Alpn::Either);
    tls.watch();
    // Twice is once.
    tls.watch();

    Made::new("a.test").write(&directory);
    sleep(Duration::from_millis(1_900)).await;
    assert!(!has_changed(&tls, &before));
    sleep(Duration::from_millis(200)).await;
    settled(&tls, &before).await;

    // The same bytes are no change, whenever they were written.
    let before = tls.config(Alpn::Either);
    let (certificate, key) = (directory.file("a.pem"), directory.file("a.key"));
    for file in [&certificate, &key] {
        let bytes = std::fs::read(file).expect("it is there");
        std::fs::write(file, bytes).expect("a file");
    }
    assert_eq!(tls.reload(), Ok(false));
    assert!(!has_changed(&tls, &before));
}

/// The file system has a thread of its own, for which time does not stand still.
async fn settled(tls: &ServerTls, before: &Arc<rustls::ServerConfig>) {
    while !has_changed(tls, before) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_reads_before_somebody_serves() {
    let directory = Directory::new();
    let identity = Made::new("a.test").write(&directory);
    let tls = ServerTls::builder()
        .certificate(identity)
        .build()
        .expect("a server");
    let before = tls.config(Alpn::Either);
    Made::new("a.test").write(&directory);
    sleep(Duration::from_secs(60)).await;
    assert!(!has_changed(&tls, &before));
    assert_eq!(tls.reload(), Ok(true));
    assert!(has_changed(&tls, &before));
}

#[test]
fn a_runtime_that_ends_is_followed_by_the_next() {
    let directory = Directory::new();
    let identity = Made::new("a.test").write(&directory);
    let tls = ServerTls::builder()
        .certificate(identity)
        .build()
        .expect("a server");
    for _ in 0..2 {
        let before = tls.config(Alpn::Either);
        Made::new("a.test").write(&directory);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.expect("a runtime").block_on(async {
            tls.watch();
            sleep(Duration::from_secs(3)).await;
            settled(&tls, &before).await;
        });
    }
}
