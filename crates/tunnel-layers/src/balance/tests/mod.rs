mod policies;
mod retried;
mod waiting;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tunnel_core::{
    Agents, Cause, Initiator, Member, Protocol, Routed, Sent, Session, SessionId, Target, TunnelError,
};

use super::*;
use crate::{
    reject::ResponseBody,
    test_session::{group, session},
};

fn request(body: &'static [u8]) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .uri("http://example.com/")
        .header("host", "example.com");
    let target = Target::Group("app".parse().unwrap());
    request
        .extensions_mut()
        .unwrap()
        .insert(Routed::new("all", target));
    request.body(Full::new(Bytes::from_static(body))).unwrap()
}

type Answer = Result<Response<ResponseBody<Full<Bytes>>>, TunnelError>;

/// Sends one request through a balancer over `sessions`; `inner` says what each of them answers. Gives the answer, and the
/// sessions in the order in which they were tried, with what they read of the body.
async fn send<F>(sessions: &[&Session], body: &'static [u8], inner: F) -> (Answer, Vec<(SessionId, Bytes)>)
where
    F: Fn(&Session) -> Option<Sent> + Clone + Send + Sync + 'static,
{
    let tried = Arc::new(Mutex::new(Vec::new()));
    let log = tried.clone();
    let service = ServiceBuilder::new()
        .layer(BalanceLayer::new(group(sessions), RoundRobin::new()))
        .service(service_fn(move |request: Request<Lent<Full<Bytes>>>| {
            let (inner, log) = (inner.clone(), log.clone());
            async move {
                let session = request.extensions().get::<Session>().unwrap().clone();
                let read = request.into_body().collect().await.unwrap().to_bytes();
                log.lock().unwrap().push((session.id(), read));
                match inner(&session) {
                    None => Ok(Response::new(Full::new(Bytes::from_static(b"answer")))),
                    Some(sent) => {
                        Err(TunnelError::new(Cause::AgentLost, Initiator::Peer, "lost").with_sent(sent))
                    }
                }
            }
        }));
    let answer = service.oneshot(request(body)).await;
    let tried = std::mem::take(&mut *tried.lock().unwrap());
    (answer, tried)
}

fn cause(answer: &Answer) -> &str {
    answer.as_ref().unwrap().headers()["x-tunnel-error"]
        .to_str()
        .unwrap()
}

#[tokio::test]
async fn turns_go_round_and_all_clones_take_them_together() {
    let sessions = [session(1, 1), session(2, 1), session(3, 1)];
    let layer = BalanceLayer::new(group(&sessions.each_ref()), RoundRobin::new());
    let service =
        ServiceBuilder::new()
            .layer(layer)
            .service(service_fn(|request: Request<Lent<_>>| async move {
                let id = request.extensions().get::<Session>().unwrap().id();
                let mut response = Response::new(());
                response.extensions_mut().insert(id);
                Ok::<_, TunnelError>(response)
            }));
    let mut order = Vec::new();
    for _ in 0..6 {
        let response = service.clone().oneshot(request(b"")).await.unwrap();
        order.push(*response.extensions().get::<SessionId>().unwrap());
    }
    let expected: Vec<_> = sessions.iter().chain(&sessions).map(Session::id).collect();
    assert_eq!(order, expected);
}

#[tokio::test]
async fn sessions_that_cannot_take_it_are_passed_over() {
    let (draining, without_lane, full, good) = (session(1, 1), session(2, 0), session(3, 1), session(4, 1));
    draining.drain();
    let _open: Vec<_> = (0..2)
        .map(|_| full.open(Protocol::Http, None, true).unwrap())
        .collect();
    for _ in 0..4 {
        let (answer, tried) = send(&[&draining, &without_lane, &full, &good], b"", |_| None).await;
        assert_eq!(answer.unwrap().status(), 200);
        assert_eq!(tried[0].0, good.id());
    }
    let (answer, tried) = send(&[&draining, &without_lane, &full], b"", |_| None).await;
    assert_eq!((cause(&answer), tried.len()), ("overloaded", 0));
    let (answer, _) = send(&[&draining, &without_lane], b"", |_| None).await;
    assert_eq!(cause(&answer), "no-agent");
}

#[tokio::test]
async fn what_never_left_goes_to_another_session_with_its_whole_body() {
    for sent in [Sent::No, Sent::Refused] {
        let (first, second) = (session(1, 1), session(2, 1));
        let id = first.id();
        let (answer, tried) = send(&[&first, &second], b"payload", move |session| {
            (session.id() == id).then_some(sent)
        })
        .await;
        assert_eq!(answer.unwrap().status(), 200);
        assert!(tried.iter().all(|(_, body)| body == "payload"), "{tried:?}");
        assert_eq!(tried.last().unwrap().0, second.id());
    }
}

#[tokio::test]
async fn what_was_sent_is_not_sent_again() {
    let (first, second) = (session(1, 1), session(2, 1));
    let (answer, tried) = send(&[&first, &second], b"payload", |_| Some(Sent::Yes)).await;
    assert_eq!((answer.unwrap_err().cause(), tried.len()), (Cause::AgentLost, 1));
}

#[tokio::test]
async fn at_most_three_sessions_are_tried_and_none_twice() {
    let sessions = [session(1, 1), session(2, 1), session(3, 1), session(4, 1)];
    let (answer, tried) = send(&sessions.each_ref(), b"x", |_| Some(Sent::No)).await;
    assert_eq!(answer.unwrap_err().sent(), Sent::No);
    let ids: std::collections::HashSet<_> = tried.iter().map(|(id, _)| *id).collect();
    assert_eq!((tried.len(), ids.len()), (1 + MAX_RETRIES, 1 + MAX_RETRIES));
    let (_, tried) = send(&[&sessions[0], &sessions[1]], b"x", |_| Some(Sent::No)).await;
    assert_eq!(tried.len(), 2);
}

#[tokio::test]
async fn a_body_of_which_too_much_was_read_is_not_sent_again() {
    static LARGE: [u8; MAX_REPLAY_BYTES + 1] = [7; MAX_REPLAY_BYTES + 1];
    let (first, second) = (session(1, 1), session(2, 1));
    let (answer, tried) = send(&[&first, &second], &LARGE, |_| Some(Sent::No)).await;
    assert_eq!((answer.is_err(), tried.len()), (true, 1));
    let (answer, tried) = send(&[&first, &second], &LARGE[1..], |_| Some(Sent::No)).await;
    assert_eq!((answer.is_err(), tried.len()), (true, 2));
}

#[tokio::test]
async fn a_missing_layer_is_named() {
    let service = BalanceLayer::new(group(&[]), RoundRobin::new());
    let service =
        ServiceBuilder::new()
            .layer(service)
            .service(service_fn(|_: Request<Lent<Full<Bytes>>>| async {
                Ok::<_, TunnelError>(Response::new(()))
            }));
    let mut request = request(b"");
    request.extensions_mut().remove::<Routed>();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-tunnel-error"]),
        (500, &http::HeaderValue::from_static("internal"))
    );
}

/// Agents of which the one with an odd place has registered each host.
#[derive(Clone, Debug)]
struct ByHost(Arc<[Member]>);

impl Agents for ByHost {
    fn members(&self, _: &tunnel_core::GroupName) -> Arc<[Member]> {
        self.0.clone()
    }

    fn members_with_host(&self, _: &tunnel_core::GroupName, host: &str) -> Arc<[Member]> {
        match host {
            "example.com" => self.0[1..].into(),
            _ => Arc::new([]),
        }
    }
}

#[tokio::test]
async fn a_rule_for_registered_hosts_is_served_by_agents_with_the_host() {
    let sessions = [session(1, 1), session(2, 1), session(3, 1)];
    let agents = ByHost(group(&sessions.each_ref()).members(&"app".parse().unwrap()));
    let service = ServiceBuilder::new()
        .layer(BalanceLayer::new(agents, RoundRobin::new()))
        .service(service_fn(|request: Request<Lent<_>>| async move {
            let mut response = Response::new(Full::new(Bytes::new()));
            let id = request.extensions().get::<Session>().unwrap().id();
            response.extensions_mut().insert(id);
            Ok::<_, TunnelError>(response)
        }));
    let ask = |host: &'static str| {
        let mut request = request(b"");
        request.headers_mut().insert("host", host.parse().unwrap());
        *request.uri_mut() = "/".parse().unwrap();
        request
            .extensions_mut()
            .get_mut::<Routed>()
            .unwrap()
            .registered_host = true;
        service.clone().oneshot(request)
    };
    let mut served = Vec::new();
    for _ in 0..4 {
        let answer = ask("Example.com:80").await.unwrap();
        served.push(*answer.extensions().get::<SessionId>().unwrap());
    }
    served.sort_by_key(ToString::to_string);
    let [_, second, third] = sessions.each_ref().map(Session::id);
    assert_eq!(served, [second, second, third, third]);
    assert_eq!(cause(&ask("other.example").await), "no-agent");
}
