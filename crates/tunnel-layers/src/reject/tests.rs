use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tunnel_core::{Cause, Initiator, TunnelError, auth::Rejection};

use super::*;
use crate::trace_context::{SpanId, TraceContext, TraceId};

type Answer = Response<ResponseBody<Full<Bytes>>>;

fn error(cause: Cause) -> TunnelError {
    TunnelError::new(cause, Initiator::Tunnel, "what happened")
}

fn http_caller() -> Caller {
    Caller::of(&Request::new(()))
}

fn grpc_caller() -> Caller {
    Caller::of(
        &Request::builder()
            .header("content-type", "application/grpc+proto")
            .body(())
            .unwrap(),
    )
}

async fn text(answer: Answer) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The table of the design: cause, HTTP status, gRPC code.
const TABLE: &[(Cause, u16, u32)] = &[
    (Cause::NoRoute, 404, 5),
    (Cause::Unauthenticated, 401, 16),
    (Cause::Forbidden, 403, 7),
    (Cause::AuthUnavailable, 503, 14),
    (Cause::RateLimited, 429, 8),
    (Cause::Overloaded, 503, 14),
    (Cause::NoAgent, 503, 14),
    (Cause::NoGateway, 503, 14),
    (Cause::AgentLost, 502, 14),
    (Cause::Upstream, 502, 14),
    (Cause::NoEndpoint, 503, 14),
    (Cause::Deadline, 504, 4),
    (Cause::BodyTooLarge, 413, 8),
    (Cause::HeadTooLarge, 431, 8),
    (Cause::UriTooLong, 414, 8),
    (Cause::Malformed, 400, 13),
    (Cause::Loop, 508, 9),
    (Cause::MethodNotServed, 501, 12),
    (Cause::BodyIdle, 408, 4),
    (Cause::BadUpgrade, 502, 14),
    (Cause::Draining, 503, 14),
    (Cause::Canceled, 502, 1),
    (Cause::Protocol, 502, 14),
    (Cause::Internal, 500, 13),
];

#[test]
fn every_cause_has_its_row() {
    assert_eq!(TABLE.len(), Cause::ALL.len());
    for &(cause, http, grpc) in TABLE {
        let answer: Answer = http_caller().reject(&error(cause));
        assert_eq!(answer.status(), http, "{cause}");
        assert_eq!(answer.headers()[CAUSE_HEADER], cause.word());

        let answer: Answer = grpc_caller().reject(&error(cause));
        assert_eq!(answer.status(), 200, "{cause}");
        assert_eq!(answer.headers()["grpc-status"], grpc.to_string(), "{cause}");
        assert_eq!(answer.headers()[CAUSE_HEADER], cause.word());
        assert!(answer.body().is_end_stream());
    }
}

#[tokio::test]
async fn a_problem_document_is_whole_and_escaped() {
    let error = TunnelError::new(Cause::Malformed, Initiator::Caller, "a \"b\" \\ \n\u{1} é");
    let answer: Answer = http_caller().reject(&error);
    let length = answer.headers()[header::CONTENT_LENGTH].clone();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let text = text(answer).await;
    assert_eq!(length, text.len().to_string());
    assert_eq!(
        text,
        "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\
         \"detail\":\"a \\\"b\\\" \\\\ \\u000a\\u0001 é\",\"cause\":\"malformed\"}"
    );
}

#[tokio::test]
async fn the_trace_id_is_told() {
    let id = TraceId::new(0xabc).unwrap();
    let mut request = Request::new(());
    request
        .extensions_mut()
        .insert(TraceContext::new(id, SpanId::new(1).unwrap(), true));
    let answer: Answer = Caller::of(&request).reject(&error(Cause::NoRoute));
    assert_eq!(answer.headers()[TRACE_ID_HEADER], id.to_string());
    assert!(text(answer).await.ends_with(&format!(",\"trace_id\":\"{id}\"}}")));
}

#[test]
fn the_wait_is_rounded_up_and_has_a_default_only_where_it_helps() {
    let retry_after = |error: TunnelError| -> Option<String> {
        let answer: Answer = http_caller().reject(&error);
        let value = answer.headers().get(header::RETRY_AFTER)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let known = Duration::from_millis(2_001);
    assert_eq!(
        retry_after(error(Cause::Draining).with_retry_after(known)).as_deref(),
        Some("3")
    );
    assert_eq!(
        retry_after(error(Cause::Upstream).with_retry_after(known)).as_deref(),
        Some("3")
    );
    assert_eq!(retry_after(error(Cause::RateLimited)).as_deref(), Some("1"));
    assert_eq!(retry_after(error(Cause::NoAgent)).as_deref(), Some("1"));
    assert_eq!(retry_after(error(Cause::NoGateway)).as_deref(), Some("1"));
    assert_eq!(retry_after(error(Cause::Upstream)), None);
}

#[test]
fn only_a_401_has_a_challenge() {
    let challenge = |cause| -> bool {
        let answer: Answer = http_caller().reject(&error(cause));
        answer.headers().contains_key(header::WWW_AUTHENTICATE)
    };
    assert!(challenge(Cause::Unauthenticated));
    assert!(!challenge(Cause::Forbidden));
}

#[test]
fn a_refusal_has_its_own_challenges_in_plain_http_alone() {
    let challenge = |text| http::HeaderValue::from_static(text);
    let rejection = Rejection::missing("who are you?")
        .with_challenge(challenge("Basic realm=\"a\""))
        .with_challenge(challenge("Bearer realm=\"a\""));
    let answer: Answer = http_caller().refuse(&rejection);
    let told: Vec<_> = answer
        .headers()
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .collect();
    assert_eq!(answer.status(), 401);
    assert_eq!(told, ["Basic realm=\"a\"", "Bearer realm=\"a\""]);

    let answer: Answer = http_caller().refuse(&Rejection::missing("who are you?"));
    assert!(answer.headers().contains_key(header::WWW_AUTHENTICATE));
    let answer: Answer = grpc_caller().refuse(&rejection);
    assert_eq!(answer.headers()["grpc-status"], "16");
    assert!(!answer.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[test]
fn head_gets_the_head_alone() {
    let request = Request::builder().method("HEAD").body(()).unwrap();
    let answer: Answer = Caller::of(&request).reject(&error(Cause::NoRoute));
    assert!(answer.body().is_end_stream());
    assert_ne!(answer.headers()[header::CONTENT_LENGTH], "0");
}

#[test]
fn a_grpc_message_is_percent_encoded() {
    let error = TunnelError::new(Cause::Upstream, Initiator::Peer, "50 % off: é\n");
    let answer: Answer = grpc_caller().reject(&error);
    assert_eq!(answer.headers()["grpc-message"], "50 %25 off: %C3%A9%0A");
    let trailers = Caller::trailers(&error);
    assert_eq!(trailers["grpc-message"], "50 %25 off: %C3%A9%0A");
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(trailers[CAUSE_HEADER], "upstream");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let error = TunnelError::new(Cause::Upstream, Initiator::Peer, "é".repeat(MAX_DETAIL_BYTES));
    assert_eq!(detail(&error).len(), MAX_DETAIL_BYTES);
    let error = TunnelError::new(
        Cause::Upstream,
        Initiator::Peer,
        format!("x{}", "é".repeat(MAX_DETAIL_BYTES)),
    );
    assert_eq!(detail(&error).len(), MAX_DETAIL_BYTES - 1);
}

#[test]
fn trailers_are_for_grpc_answers_to_grpc_callers() {
    let grpc = grpc_caller().reject::<()>(&error(Cause::Upstream));
    let http = http_caller().reject::<()>(&error(Cause::Upstream));
    assert!(grpc_caller().takes_trailers(grpc.headers()));
    assert!(!grpc_caller().takes_trailers(http.headers()));
    assert!(!http_caller().takes_trailers(grpc.headers()));
}

#[tokio::test]
async fn a_direct_answer_keeps_status_headers_and_body() {
    let direct = Direct::new(StatusCode::IM_A_TEAPOT)
        .header(header::SET_COOKIE, "a=1".parse().unwrap())
        .header(header::SET_COOKIE, "b=2".parse().unwrap())
        .body("short and stout");
    let answer: Answer = http_caller().direct(&direct);
    assert_eq!(answer.status(), 418);
    assert_eq!(answer.headers().get_all(header::SET_COOKIE).iter().count(), 2);
    assert_eq!(answer.headers()[header::CONTENT_LENGTH], "15");
    assert_eq!(text(answer).await, "short and stout");

    let none: Answer = http_caller().direct(&Direct::new(StatusCode::NO_CONTENT).body("dropped"));
    assert!(none.body().is_end_stream());
    assert!(!none.headers().contains_key(header::CONTENT_LENGTH));
}

#[test]
fn debug_shows_neither_values_nor_bodies() {
    let direct = Direct::new(StatusCode::OK)
        .header(header::SET_COOKIE, "secret".parse().unwrap())
        .body("secret");
    assert_eq!(
        format!("{direct:?}"),
        "Direct { status: 200, headers: [\"set-cookie\"], body_bytes: 6 }"
    );
    let body = ResponseBody::<Full<Bytes>>::reply("secret");
    assert!(!format!("{body:?}").contains("secret"));
}

#[tokio::test]
async fn a_body_yields_no_empty_frame_and_knows_its_size() {
    let mut empty = ResponseBody::<Full<Bytes>>::reply("");
    assert!(empty.is_end_stream());
    assert_eq!(empty.size_hint().exact(), Some(0));
    assert!(empty.frame().await.is_none());

    let mut reply = ResponseBody::<Full<Bytes>>::reply("abc");
    assert_eq!(reply.size_hint().exact(), Some(3));
    assert_eq!(reply.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
    assert!(reply.is_end_stream());
    assert_eq!(reply.size_hint().exact(), Some(0));
    assert!(reply.frame().await.is_none());

    let inner = ResponseBody::inner(Full::new(Bytes::from_static(b"inner")));
    assert_eq!(inner.size_hint().exact(), Some(5));
    let collected: Result<_, Infallible> = inner.collect().await;
    assert_eq!(collected.unwrap().to_bytes(), "inner");
}

#[test]
fn a_body_has_a_default_whatever_it_wraps() {
    struct NoDefault;
    let body = ResponseBody::<NoDefault>::default();
    assert!(matches!(format!("{body:?}").as_str(), "ResponseBody::Reply(..)"));
}

#[cfg(feature = "grpc")]
mod details {
    use tonic::{Code, Status};
    use tonic_types::StatusExt;
    use tunnel_core::Sent;

    use super::*;

    fn told(headers: &http::HeaderMap) -> Status {
        Status::from_header_map(headers).unwrap()
    }

    #[test]
    fn programs_can_read_what_failed_and_when_to_come_back() {
        let after = Duration::from_millis(1_500);
        let error = TunnelError::new(Cause::RateLimited, Initiator::Caller, "50 % too many: é")
            .with_sent(Sent::No)
            .with_retry_after(after);
        let answer: Answer = grpc_caller().reject(&error);
        for headers in [answer.headers(), &Caller::trailers(&error)] {
            assert_eq!(headers.get_all("grpc-status").iter().count(), 1);
            assert_eq!(headers["grpc-message"], "50 %25 too many: %C3%A9");
            let status = told(headers);
            assert_eq!(
                (status.code(), status.message()),
                (Code::ResourceExhausted, "50 % too many: é")
            );
            let details = status.check_error_details().unwrap();
            let info = details.error_info().unwrap();
            assert_eq!((&*info.reason, &*info.domain), ("RATE_LIMITED", DETAILS_DOMAIN));
            assert_eq!(info.metadata["initiator"], "caller");
            assert_eq!(info.metadata["sent"], "no");
            assert_eq!(details.retry_info().unwrap().retry_delay, Some(after));
        }
    }

    #[test]
    fn every_cause_has_a_reason_that_the_specification_allows() {
        for &cause in Cause::ALL {
            let status = told(&Caller::trailers(&error(cause)));
            let reason = status.get_details_error_info().unwrap().reason;
            let allowed = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            assert!(
                reason.len() <= 63 && reason.bytes().all(allowed),
                "{reason} for {cause}"
            );
            assert!(
                status.get_details_retry_info().is_none(),
                "nobody knows when to come back"
            );
        }
    }

    #[test]
    fn the_longest_details_leave_room_in_a_head() {
        let error = TunnelError::new(Cause::Upstream, Initiator::Peer, "é".repeat(MAX_DETAIL_BYTES));
        let bytes: usize = Caller::trailers(&error)
            .values()
            .map(http::HeaderValue::len)
            .sum();
        assert!(bytes < 8 * 1024, "{bytes} bytes");
    }
}
