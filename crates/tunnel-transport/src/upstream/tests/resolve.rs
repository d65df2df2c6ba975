//! Names whose addresses come and go.

use std::{collections::BTreeSet, sync::Mutex};

use tokio::sync::Semaphore;
use tunnel_core::balance::RoundRobin;

use super::*;
use crate::upstream::resolve::Resolver;

/// Says where it is.
fn origin() -> Origin {
    let addr = Arc::new(Mutex::new(String::new()));
    let known = Arc::clone(&addr);
    let origin = Origin::start(move |_| {
        let answer = known.lock().unwrap().clone();
        async move { Ok(Response::new(body(answer))) }
    });
    *addr.lock().unwrap() = origin.addr.to_string();
    origin
}

fn by_name(list: &Arc<Mutex<Vec<SocketAddr>>>) -> Upstream {
    Upstream::builder("http://app.internal")
        .policy(RoundRobin::new())
        .resolver(Resolver::List(Arc::clone(list)))
        .resolve_every(Duration::from_millis(100))
        .build()
        .unwrap()
}

fn names(upstream: &Upstream) -> BTreeSet<String> {
    upstream.endpoints().into_iter().map(|one| one.name).collect()
}

#[tokio::test]
async fn all_addresses_are_endpoints_and_the_old_ones_go() {
    let origins = [origin(), origin(), origin()];
    let [a, b, c] = origins.each_ref().map(|origin| origin.addr);
    let list = Arc::new(Mutex::new(vec![a, b]));
    let upstream = by_name(&list);
    assert!(names(&upstream).is_empty());
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        seen.insert(text(soon(upstream.clone().oneshot(get())).await.unwrap()).await);
    }
    assert_eq!(seen, [a.to_string(), b.to_string()].into());

    // A look-up that finds nothing changes nothing.
    list.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(names(&upstream), [a.to_string(), b.to_string()].into());

    *list.lock().unwrap() = vec![b, c];
    let wanted = [b.to_string(), c.to_string()].into();
    soon(async {
        while names(&upstream) != wanted {
            settle().await;
        }
    })
    .await;
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        seen.insert(text(soon(upstream.clone().oneshot(get())).await.unwrap()).await);
    }
    assert_eq!(seen, wanted);
    assert_eq!(origins[1].accepted(), 1, "who stays keeps its connection");
}

#[tokio::test]
async fn what_runs_at_an_address_that_goes_is_finished() {
    for protocol in BOTH {
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        let old = Origin::start(move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await?.forget();
                Ok(Response::new(body("old")))
            }
        });
        let new = origin();
        let list = Arc::new(Mutex::new(vec![old.addr]));
        let upstream = Upstream::builder("http://app.internal")
            .protocol(protocol)
            .resolver(Resolver::List(Arc::clone(&list)))
            .resolve_every(Duration::from_millis(100))
            .build()
            .unwrap();
        let running = tokio::spawn(upstream.clone().oneshot(get()));
        soon(async {
            while old.accepted() == 0 {
                settle().await;
            }
        })
        .await;
        *list.lock().unwrap() = vec![new.addr];
        let wanted = [new.addr.to_string()].into();
        soon(async {
            while names(&upstream) != wanted {
                settle().await;
            }
        })
        .await;
        opened.add_permits(1);
        assert_eq!(text(soon(running).await.unwrap().unwrap()).await, "old");
        // And nothing of it is left.
        soon(async {
            while upstream.connections() > 0 {
                settle().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_no_upstream() {
    let upstream = by_name(&Arc::default());
    let error = soon(upstream.oneshot(get())).await.unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::Upstream, Sent::No));
}

#[tokio::test]
async fn what_is_closed_gets_no_new_endpoints() {
    let origins = [origin(), origin()];
    let list = Arc::new(Mutex::new(vec![origins[0].addr]));
    let upstream = by_name(&list);
    text(soon(upstream.clone().oneshot(get())).await.unwrap()).await;
    upstream.close();
    *list.lock().unwrap() = vec![origins[1].addr];
    let wanted = [origins[1].addr.to_string()].into();
    soon(async {
        while names(&upstream) != wanted {
            settle().await;
        }
    })
    .await;
    let error = soon(upstream.oneshot(get())).await.unwrap_err();
    assert_eq!((error.cause(), error.sent()), (Cause::Draining, Sent::No));
    assert_eq!(origins[1].accepted(), 0);
}
