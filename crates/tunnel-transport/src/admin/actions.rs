//! What changes something.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use tunnel_core::{AgentId, TlsIdentity};

use super::{
    Admin, Hooks,
    access::{self, Who},
    answer::{self, Problem, json},
    gateway as of_gateway, guard,
    logins::{COOKIE, LOGIN_FOR},
    query::Query,
    reads, view,
};
use crate::upstream::EndpointState;

type Answer = Result<Response, Problem>;

/// The body, as JSON; the default without one.
fn read<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Problem> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Problem::bad(format!("the body is wrong: {error}")))
}

pub(super) async fn drain_agent(State(admin): State<Admin>, Path(id): Path<String>, body: Bytes) -> Answer {
    let view::Drain { within_ms } = read(&body)?;
    let (gateway, agent) = (reads::gateway(&admin)?, connected(&admin, &id)?);
    let was_drained = gateway.agents().drained().contains(&agent);
    admin
        .0
        .drains
        .begin(gateway, &agent, within_ms.map(Duration::from_millis));
    let after = match within_ms {
        Some(time) => format!("what is open in {time} ms is cut"),
        None => "it finishes what it has".to_owned(),
    };
    Ok(done(
        &admin,
        &id,
        format!("the agent `{id}` gets nothing new: {after}"),
        !was_drained,
    ))
}

pub(super) async fn resume_agent(State(admin): State<Admin>, Path(id): Path<String>) -> Answer {
    let gateway = reads::gateway(&admin)?;
    let agent: AgentId = id.parse().map_err(|_| reads::no_agent(&id))?;
    admin.0.drains.end(&agent);
    let was_drained = gateway.resume_agent(&agent);
    if !was_drained {
        connected(&admin, &id)?;
    }
    Ok(done(
        &admin,
        &id,
        format!("the agent `{id}` takes requests"),
        was_drained,
    ))
}

pub(super) async fn disconnect_agent(State(admin): State<Admin>, Path(id): Path<String>) -> Answer {
    let (gateway, agent) = (reads::gateway(&admin)?, connected(&admin, &id)?);
    let open = of_gateway::agent(gateway, &id).map_or(0, |agent| agent.in_flight);
    let sessions = gateway.disconnect_agent(&agent);
    Ok(json(&view::Done {
        done: format!("the agent `{id}` is disconnected; it may connect again"),
        changed: sessions > 0,
        sessions,
        in_flight: open,
    }))
}

/// An agent that is there.
fn connected(admin: &Admin, id: &str) -> Result<AgentId, Problem> {
    let agent: AgentId = id.parse().map_err(|_| reads::no_agent(id))?;
    let list = reads::gateway(admin)?.agents().list();
    match list.iter().any(|status| *status.session.agent() == agent) {
        true => Ok(agent),
        false => Err(reads::no_agent(id)),
    }
}

fn done(admin: &Admin, id: &str, done: String, changed: bool) -> Response {
    let agent = reads::gateway(admin)
        .ok()
        .and_then(|gateway| of_gateway::agent(gateway, id));
    let agent = agent.unwrap_or_default();
    json(&view::Done {
        done,
        changed,
        sessions: agent.sessions.len(),
        in_flight: agent.in_flight,
    })
}

pub(super) async fn drain_upstream(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    endpoints(&admin.0.hooks, &name, query.as_deref(), true)
}

pub(super) async fn resume_upstream(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    endpoints(&admin.0.hooks, &name, query.as_deref(), false)
}

fn endpoints(hooks: &Hooks, name: &str, query: Option<&str>, drain: bool) -> Answer {
    let query = Query::parse(query, &["endpoint"])?;
    let upstreams = hooks.upstreams();
    let upstream = upstreams.iter().find(|(known, _)| known == name);
    let (_, upstream) = upstream.ok_or_else(|| {
        let known: Vec<_> = upstreams.iter().map(|(name, _)| name.as_str()).collect();
        Problem::not_found(format!(
            "there is no upstream `{name}`: there are {}",
            listed(&known)
        ))
    })?;
    let takes = if drain { "get nothing new" } else { "take requests" };
    let before = upstream.endpoints();
    let (done, changed) = match query.get("endpoint") {
        None => {
            let was_draining = upstream.is_draining();
            match drain {
                true => upstream.drain(),
                false => upstream.resume(),
            }
            (
                format!("the endpoints of the upstream `{name}` {takes}"),
                was_draining != drain,
            )
        }
        Some(endpoint) => {
            let is_there = match drain {
                true => upstream.drain_endpoint(endpoint),
                false => upstream.resume_endpoint(endpoint),
            };
            if !is_there {
                let known: Vec<_> = before.iter().map(|endpoint| endpoint.name.as_str()).collect();
                let known = listed(&known);
                return Err(Problem::not_found(format!(
                    "the upstream `{name}` has no endpoint `{endpoint}`: it has {known}"
                )));
            }
            let done = format!("what the upstream `{name}` has at `{endpoint}`: {takes}");
            let draining =
                |endpoints: &[EndpointState]| endpoints.iter().filter(|state| state.is_draining).count();
            (done, draining(&before) != draining(&upstream.endpoints()))
        }
    };
    Ok(json(&view::Done {
        done,
        changed,
        sessions: 0,
        in_flight: upstream.endpoints().iter().map(|endpoint| endpoint.pending).sum(),
    }))
}

/// How many names are told.
const TOLD: usize = 20;

fn listed(names: &[&str]) -> String {
    let told: Vec<_> = names.iter().take(TOLD).map(|name| format!("`{name}`")).collect();
    match told.is_empty() {
        true => "none".to_owned(),
        false => told.join(", "),
    }
}

pub(super) async fn revoke(State(admin): State<Admin>, Path(name): Path<String>) -> Answer {
    let gateway = reads::gateway(&admin)?;
    let hooks = &admin.0.hooks;
    let of_session = |known: &str| {
        gateway
            .agents()
            .list()
            .iter()
            .any(|agent| &*agent.credentials == known)
    };
    if let Some(names) = &hooks.token_names {
        let names = names();
        if !names.contains(&name) && !of_session(&name) {
            let known: Vec<_> = names.iter().map(String::as_str).collect();
            let text = format!(
                "no token and no connected agent's credentials have the name `{name}`: there are {}",
                listed(&known)
            );
            return Err(Problem::not_found(text));
        }
    }
    let was_revoked = gateway.revoked().iter().any(|known| **known == *name);
    let of_callers = hooks.revoke.as_ref().is_some_and(|revoke| revoke(&name));
    let sessions = gateway.revoke(&name);
    let callers = if of_callers {
        ", and so is that of callers"
    } else {
        ""
    };
    Ok(json(&view::Done {
        done: format!(
            "the token `{name}` is revoked until it is another one in the file, or the gateway starts anew{callers}"
        ),
        changed: !was_revoked,
        sessions,
        in_flight: 0,
    }))
}

pub(super) async fn reload(State(admin): State<Admin>) -> Answer {
    let reload = admin.0.hooks.reload.as_ref();
    let reload =
        reload.ok_or_else(|| Problem::not_found("this program has no file that can be read again"))?;
    let outcome = reload().await;
    let status = match outcome.outcome.as_str() {
        "refused" => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    Ok(answer::with_status(status, &outcome))
}

pub(super) async fn set_log(State(admin): State<Admin>, body: Bytes) -> Answer {
    let hook = admin.0.hooks.log.as_ref().ok_or_else(reads::no_log)?;
    let view::Log { filter } = read(&body)?;
    (hook.set)(&filter).map_err(|why| Problem::bad(format!("`{filter}` is no filter of the log: {why}")))?;
    Ok(json(&view::Log { filter: (hook.get)() }))
}

/// Takes the token, and gives a browser a cookie in its place, which scripts cannot read.
pub(super) async fn log_in(State(admin): State<Admin>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let access = admin.0.access.load_full();
    let peer = access::peer_of(&parts);
    // Whatever else it shows: this is a form's business, and has to be no form.
    if let Err(problem) = access::check_origin(&parts, &Who::Browser) {
        return problem.into_response();
    }
    let shown = match axum::body::to_bytes(body, 4_096).await {
        Ok(body) => read::<view::Login>(&body),
        Err(_) => Err(Problem::bad("the body is too long")),
    };
    let Ok(shown) = shown else {
        // What is wrong in it could be the token.
        return Problem::bad("send {\"token\": \"...\"}").into_response();
    };
    if !access.is_token(shown.token.as_bytes()) {
        tracing::warn!(?peer, "a login to the admin interface was refused");
        let text = match access.has_credentials() {
            true => "the token is not valid",
            false => "there is no token: nobody needs to log in",
        };
        return guard::refused(Problem(StatusCode::UNAUTHORIZED, text.to_owned()));
    }
    tracing::info!(?peer, "a browser has logged in to the admin interface");
    let is_tls = parts.extensions.get::<TlsIdentity>().is_some() || is_secure(&parts);
    let secure = if is_tls { "; Secure" } else { "" };
    let cookie = admin.0.logins.add();
    let seconds = LOGIN_FOR.as_secs();
    with_cookie(&format!(
        "{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
    ))
}

fn is_secure(parts: &http::request::Parts) -> bool {
    let peer = parts.extensions.get::<tunnel_core::PeerInfo>();
    peer.is_some_and(|peer| peer.scheme == http::uri::Scheme::HTTPS)
}

pub(super) async fn log_out(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    admin.0.logins.remove(&headers);
    with_cookie(&format!(
        "{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    ))
}

fn with_cookie(cookie: &str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
