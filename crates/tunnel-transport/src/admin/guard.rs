//! What every request passes.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::{Admin, access, access::Who, answer::Problem};

/// Everybody, and every file of the page: `Host` has to be right, and answers are not kept, framed or guessed at.
pub(super) async fn everybody(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let checked = admin.0.access.load().check_host(&parts);
    let mut response = match checked {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    };
    harden(response.headers_mut());
    response
}

fn harden(headers: &mut HeaderMap) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let fields: [(HeaderName, &'static str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    for (name, value) in fields {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Who shows credentials. Finds out who asks, for the log.
pub(super) async fn known(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let access = admin.0.access.load_full();
    let checked = access.identify(&parts, &admin.0.logins).and_then(|who| {
        access::check_origin(&parts, &who)?;
        Ok(who)
    });
    let changes = !matches!(parts.method, Method::GET | Method::HEAD);
    let (method, path, peer) = (
        parts.method.clone(),
        parts.uri.path().to_owned(),
        access::peer_of(&parts),
    );
    let who = match checked {
        Ok(who) => who,
        Err(problem) => {
            tracing::warn!(%method, path, ?peer, why = problem.1, "the admin interface refuses a request");
            return refused(problem);
        }
    };
    parts.extensions.insert(Asker(who.clone()));
    let response = next.run(Request::from_parts(parts, body)).await;
    if changes {
        let status = response.status().as_u16();
        tracing::info!(%who, ?peer, %method, path, status, "an action of the admin interface");
    }
    response
}

/// Probes, which may be everybody's. Tells them whether they are told reasons.
pub(super) async fn probes(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let access = admin.0.access.load_full();
    match access.identify(&parts, &admin.0.logins) {
        Ok(who) => {
            parts.extensions.insert(Asker(who));
        }
        Err(_) if access.probes_are_open() => {}
        Err(problem) => return refused(problem),
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Who asks, in the extensions of a request.
#[derive(Clone, Debug)]
pub(super) struct Asker(#[expect(dead_code, reason = "what counts is that there is one")] pub(super) Who);

pub(super) fn refused(problem: Problem) -> Response {
    let is_unknown = problem.0 == StatusCode::UNAUTHORIZED;
    let mut response = problem.into_response();
    if is_unknown {
        let challenge = HeaderValue::from_static("Bearer realm=\"tunnel admin\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
