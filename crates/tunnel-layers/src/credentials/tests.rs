use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tokio::sync::Semaphore;
use tokio_test::task;
use tower::{Layer, ServiceExt, service_fn};
use tunnel_core::{BoxError, Cause, TunnelError};

use super::*;
use crate::{
    reject::ResponseBody,
    test_util::{Scripted, grpc_request, request},
};

const SECOND: Duration = Duration::from_secs(1);

type Answer = Response<ResponseBody<String>>;

/// Answers with what was shown, in a header; a token that ends in `bad` is refused.
async fn server(request: Request<Scripted>) -> Result<Response<String>, Infallible> {
    let shown: Vec<_> = request.headers().get_all(header::AUTHORIZATION).iter().collect();
    let is_grpc = request.headers().contains_key("content-type");
    let mut response = Response::new(String::new());
    if shown.len() == 1 && shown[0].as_bytes().ends_with(b"bad") {
        match is_grpc {
            true => drop(
                response
                    .headers_mut()
                    .insert("grpc-status", HeaderValue::from(16)),
            ),
            false => *response.status_mut() = StatusCode::UNAUTHORIZED,
        }
    }
    for value in shown {
        assert!(value.is_sensitive());
        let mut value = value.clone();
        value.set_sensitive(false);
        response.headers_mut().append("x-shown", value);
    }
    Ok(response)
}

async fn send<P: Credentials>(layer: &CredentialsLayer<P>, request: Request<Scripted>) -> Answer {
    let Ok(answer) = layer.layer(service_fn(server)).oneshot(request).await;
    answer
}

async fn shown<P: Credentials>(layer: &CredentialsLayer<P>) -> String {
    let answer = send(layer, request("/")).await;
    let values: Vec<_> = answer.headers().get_all("x-shown").iter().collect();
    assert_eq!(values.len(), 1);
    values[0].to_str().unwrap().to_owned()
}

/// Tokens `t1`, `t2` and so on, good for ten seconds; `None` fails.
struct Issuer {
    fetched: AtomicUsize,
    fails: std::sync::atomic::AtomicBool,
    open: Semaphore,
    ending: &'static str,
}

impl Issuer {
    fn new(ending: &'static str) -> Arc<Self> {
        Arc::new(Self {
            fetched: AtomicUsize::new(0),
            fails: false.into(),
            open: Semaphore::new(1_000),
            ending,
        })
    }

    async fn fetch(self: Arc<Self>) -> Result<Fetched, BoxError> {
        let number = self.fetched.fetch_add(1, Ordering::SeqCst) + 1;
        let _open = self.open.acquire().await?;
        if self.fails.load(Ordering::SeqCst) {
            return Err("the issuer is down".into());
        }
        let token = FixedCredentials::bearer(&format!("t{number}{}", self.ending))?;
        Ok(Fetched::new(token).good_for(10 * SECOND))
    }

    fn layer(self: &Arc<Self>) -> CredentialsLayer<RefreshingCredentials> {
        let issuer = self.clone();
        CredentialsLayer::new(RefreshingCredentials::new(move || issuer.clone().fetch()))
    }

    fn count(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_was_there_is_replaced() {
    let layer = CredentialsLayer::bearer("abc").unwrap();
    assert_eq!(shown(&layer).await, "Bearer abc");
    let mut other = request("/");
    for value in ["Bearer x", "Bearer y"] {
        other
            .headers_mut()
            .append(header::AUTHORIZATION, HeaderValue::from_static(value));
    }
    let answer = send(&layer, other).await;
    let values: Vec<_> = answer.headers().get_all("x-shown").iter().collect();
    assert_eq!(values, ["Bearer abc"]);
}

#[test]
fn credentials_that_cannot_be_are_refused() {
    for token in ["", "a b", "é", "a\n"] {
        assert!(FixedCredentials::bearer(token).is_err(), "{token:?}");
    }
    assert!(FixedCredentials::basic("a:b", "c").is_err());
    assert!(FixedCredentials::basic("a", "c\r\n").is_err());
    assert!(FixedCredentials::basic("é", ":").is_ok());
}

#[tokio::test(start_paused = true)]
async fn they_are_fetched_once_and_anew_before_they_are_over() {
    let issuer = Issuer::new("");
    let layer = issuer.layer();
    assert_eq!(issuer.count(), 0);
    let all = join_all((0..5).map(|_| shown(&layer))).await;
    assert_eq!(all, ["Bearer t1"; 5]);
    tokio::time::advance(8 * SECOND).await;
    // The old ones serve while others are fetched.
    assert_eq!(shown(&layer).await, "Bearer t1");
    while shown(&layer).await == "Bearer t1" {
        tokio::task::yield_now().await;
    }
    assert_eq!((shown(&layer).await.as_str(), issuer.count()), ("Bearer t2", 2));
    tokio::time::advance(10 * SECOND).await;
    assert_eq!((shown(&layer).await.as_str(), issuer.count()), ("Bearer t3", 3));
}

#[tokio::test(start_paused = true)]
async fn refused_ones_are_not_shown_again() {
    for request in [request as fn(&str) -> _, |_| grpc_request()] {
        let issuer = Issuer::new("bad");
        let layer = issuer.layer();
        send(&layer, request("/")).await;
        // Just now fetched, others would do no better.
        send(&layer, request("/")).await;
        assert_eq!(issuer.count(), 1);
        tokio::time::advance(MIN_FETCH_INTERVAL).await;
        send(&layer, request("/")).await;
        assert_eq!(issuer.count(), 1);
        send(&layer, request("/")).await;
        assert_eq!(issuer.count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn without_credentials_nothing_goes_out() {
    let issuer = Issuer::new("");
    issuer.fails.store(true, Ordering::SeqCst);
    let layer = issuer.layer();
    for _ in 0..3 {
        let answer = send(&layer, request("/")).await;
        assert_eq!(answer.status(), 503);
        assert!(!answer.headers().contains_key("x-shown"));
        let error = answer.extensions().get::<TunnelError>().unwrap();
        assert_eq!(error.cause(), Cause::AuthUnavailable);
        assert!(std::error::Error::source(error).is_some());
    }
    assert_eq!(issuer.count(), 1);
    let answer = send(&layer, grpc_request()).await;
    assert_eq!(answer.headers()["grpc-status"], "14");
    issuer.fails.store(false, Ordering::SeqCst);
    tokio::time::advance(MIN_FETCH_INTERVAL).await;
    assert_eq!(shown(&layer).await, "Bearer t2");
}

#[tokio::test(start_paused = true)]
async fn old_ones_serve_to_their_end_while_the_issuer_is_down() {
    let issuer = Issuer::new("");
    let layer = issuer.layer();
    assert_eq!(shown(&layer).await, "Bearer t1");
    issuer.fails.store(true, Ordering::SeqCst);
    tokio::time::advance(9 * SECOND).await;
    for _ in 0..10 {
        assert_eq!(shown(&layer).await, "Bearer t1");
        tokio::task::yield_now().await;
    }
    assert_eq!(issuer.count(), 2);
    tokio::time::advance(SECOND).await;
    assert_eq!(send(&layer, request("/")).await.status(), 503);
}

#[tokio::test]
async fn who_leaves_does_not_stop_the_fetching() {
    let issuer = Issuer::new("");
    let closed = issuer.open.acquire_many(1_000).await.unwrap();
    let layer = issuer.layer();
    let mut leaves = task::spawn(Box::pin(send(&layer, request("/"))));
    assert!(leaves.poll().is_pending());
    drop(leaves);
    let stays = task::spawn(Box::pin(shown(&layer)));
    drop(closed);
    assert_eq!(stays.await, "Bearer t1");
    assert_eq!(issuer.count(), 1);
}

#[tokio::test]
async fn no_secret_is_printed() {
    let fixed = CredentialsLayer::bearer("hush-hush").unwrap();
    let provider = FixedCredentials::basic("alice", "hush-hush").unwrap();
    let service = fixed.layer(service_fn(server));
    let call = service.clone().oneshot(request("/"));
    let fetched = Fetched::new(provider.clone());
    for text in [
        format!("{fixed:?}"),
        format!("{provider:?} {fetched:?}"),
        format!("{:?}", service.get_ref()),
        format!("{:?}", WithCredentials::new((), Arc::new(provider))),
    ] {
        assert!(!text.contains("hush") && !text.contains("alice"), "{text}");
    }
    assert!(call.await.is_ok());
}
