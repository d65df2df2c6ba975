//! Which route is whose.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;

use super::{Admin, actions, answer::Problem, guard, page, reads, source::Source};

/// The largest body of a request, in bytes.
const MAX_BODY: usize = 16 * 1024;

pub(super) fn router(admin: &Admin) -> Router {
    let probes = Router::new()
        .route("/livez", get(reads::alive))
        .route("/readyz", get(reads::ready))
        .layer(from_fn_with_state(admin.clone(), guard::probes));
    let login = Router::new().route("/api/login", post(actions::log_in));
    let of_role = match admin.0.source {
        Source::Gateway(_) => of_gateway(),
        Source::Agent(_) => of_agent(),
    };
    let known = of_role
        .merge(of_both())
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(admin.clone(), guard::known));
    known
        .merge(probes)
        .merge(login)
        .merge(page::router())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(admin.clone(), guard::everybody))
        .with_state(admin.clone())
}

fn of_both() -> Router<Admin> {
    Router::new()
        .route("/metrics", get(reads::metrics))
        .route("/api/overview", get(reads::overview))
        .route("/api/exchanges", get(reads::exchanges))
        .route("/api/upstreams", get(reads::upstreams))
        .route("/api/config", get(reads::config))
        .route("/api/events", get(reads::events))
        .route("/api/log", get(reads::log).put(actions::set_log))
        .route("/api/upstreams/{name}/drain", post(actions::drain_upstream))
        .route("/api/upstreams/{name}/resume", post(actions::resume_upstream))
        .route("/api/reload", post(actions::reload))
        .route("/api/logout", post(actions::log_out))
}

fn of_gateway() -> Router<Admin> {
    Router::new()
        .route("/api/agents", get(reads::agents))
        .route("/api/agents/{id}", get(reads::agent))
        .route("/api/groups", get(reads::groups))
        .route("/api/rules", get(reads::rules))
        .route("/api/agents/{id}/drain", post(actions::drain_agent))
        .route("/api/agents/{id}/resume", post(actions::resume_agent))
        .route("/api/agents/{id}/disconnect", post(actions::disconnect_agent))
        .route("/api/tokens/{name}/revoke", post(actions::revoke))
}

fn of_agent() -> Router<Admin> {
    Router::new().route("/api/gateways", get(reads::gateways))
}

async fn nothing_here(request: Request) -> Response {
    Problem::not_found(format!("there is no {} here", request.uri().path())).into_response()
}

async fn wrong_method(request: Request) -> Response {
    let text = format!("{} does not take {}", request.uri().path(), request.method());
    Problem(StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}
