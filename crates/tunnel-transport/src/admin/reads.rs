//! What is asked and changes nothing.

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    response::Response,
};
use http::StatusCode;
use serde::Serialize;

use super::{
    Admin, agent as of_agent,
    answer::{self, Problem, json},
    events as streams, gateway as of_gateway,
    guard::Asker,
    overview as at_a_glance,
    query::Query,
    snapshot as in_few_words,
    source::Source,
    upstreams as of_upstreams, view,
};

type Answer = Result<Response, Problem>;

/// The process answers.
pub(super) async fn alive() -> Response {
    answer::typed(StatusCode::OK, "application/json", "{\"alive\":true}")
}

pub(super) async fn ready(State(admin): State<Admin>, asker: Option<Extension<Asker>>) -> Response {
    let mut ready = admin.readiness();
    let status = match ready.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    if asker.is_none() {
        ready.reasons.clear();
    }
    answer::with_status(status, &ready)
}

pub(super) async fn metrics(State(admin): State<Admin>) -> Answer {
    let render = admin.0.hooks.metrics.as_ref();
    let render = render.ok_or_else(|| Problem::not_found("this program has no metrics"))?;
    #[cfg(feature = "metrics")]
    if let Source::Gateway(_) = admin.0.source {
        crate::metrics::ready(admin.readiness().ready);
    }
    Ok(answer::typed(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        render(),
    ))
}

pub(super) async fn overview(State(admin): State<Admin>) -> Response {
    json(&at_a_glance::alone(&admin))
}

pub(super) async fn events(State(admin): State<Admin>) -> Answer {
    streams::stream(&admin)
}

pub(super) async fn agents(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref(), &["group", "brief", "offset", "limit"])?;
    let page = query.page()?;
    let mut agents = of_gateway::agents(gateway(&admin)?);
    if let Some(wanted) = query.get("group") {
        agents.retain(|agent| agent.groups.iter().any(|group| group == wanted));
    }
    if query.get("brief") == Some("true") {
        return Ok(json(&part(agents.iter().map(in_few_words::row).collect(), page)));
    }
    Ok(json(&part(agents, page)))
}

pub(super) async fn agent(State(admin): State<Admin>, Path(id): Path<String>) -> Answer {
    let agent = of_gateway::agent(gateway(&admin)?, &id);
    Ok(json(&agent.ok_or_else(|| no_agent(&id))?))
}

pub(super) async fn gateways(State(admin): State<Admin>) -> Answer {
    match &admin.0.source {
        Source::Agent(agent) => Ok(json(&of_agent::gateways(agent))),
        Source::Gateway(_) => Err(Problem::not_found("a gateway has no gateways")),
    }
}

pub(super) async fn exchanges(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Answer {
    match &admin.0.source {
        Source::Gateway(gateway) => {
            let query = Query::parse(query.as_deref(), &["agent", "rule", "offset", "limit"])?;
            let page = query.page()?;
            let agent = match query.get("agent") {
                Some(id) => Some(id.parse().map_err(|_| no_agent(id))?),
                None => None,
            };
            Ok(json(&of_gateway::exchanges(
                gateway,
                agent.as_ref(),
                query.get("rule"),
                page,
            )))
        }
        Source::Agent(agent) => {
            let query = Query::parse(query.as_deref(), &["offset", "limit"])?;
            Ok(json(&of_agent::exchanges(agent, query.page()?)))
        }
    }
}

pub(super) async fn groups(State(admin): State<Admin>) -> Answer {
    let gateway = gateway(&admin)?;
    let agents = of_gateway::agents(gateway);
    Ok(json(&of_gateway::groups(gateway, &agents, &admin.0.hooks)))
}

pub(super) async fn rules(State(admin): State<Admin>) -> Answer {
    Ok(json(&of_gateway::rules(gateway(&admin)?, &admin.0.hooks)))
}

pub(super) async fn upstreams(State(admin): State<Admin>) -> Response {
    json(&of_upstreams::list(&admin.0.hooks.upstreams()))
}

pub(super) async fn config(State(admin): State<Admin>) -> Response {
    json(&admin.0.source.config(&admin.0.hooks))
}

pub(super) async fn log(State(admin): State<Admin>) -> Answer {
    let hook = admin.0.hooks.log.as_ref().ok_or_else(no_log)?;
    Ok(json(&view::Log { filter: (hook.get)() }))
}

pub(super) fn no_log() -> Problem {
    Problem::not_found("this program cannot change what it logs while it runs")
}

pub(super) fn no_agent(id: &str) -> Problem {
    Problem::not_found(format!(
        "no agent `{id}` is connected: `agents` has those that are"
    ))
}

/// The gateway; these routes are only its own.
pub(super) fn gateway(admin: &Admin) -> Result<&crate::Gateway, Problem> {
    match &admin.0.source {
        Source::Gateway(gateway) => Ok(gateway),
        Source::Agent(_) => Err(Problem::not_found("an agent has no agents")),
    }
}

fn part<T: Serialize>(all: Vec<T>, (offset, limit): (usize, usize)) -> view::Page<T> {
    view::Page {
        total: all.len(),
        offset,
        items: all.into_iter().skip(offset).take(limit).collect(),
    }
}
