//! Commands of both programs.

use std::process::ExitCode;

use clap::Subcommand;
use http::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use tunnel_transport::admin::view;

use super::{Ask, Problem, Target, ask::encoded, print, show};

/// What both programs are asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Common {
    /// The program at a glance.
    Status,
    /// Whether a request could be carried: exits with 1 if none could. For health checks.
    Ready,
    /// Whether the program answers at all. For health checks.
    Live,
    /// The exchanges that are open, the oldest first.
    Exchanges {
        /// Only those of this agent.
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        /// Only those of this rule.
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// How many of them to leave out.
        #[arg(long, default_value_t = 0)]
        offset: u32,
    },
    /// The servers that it reaches itself.
    Upstreams,
    /// Which file it runs with, what came of the last reload, and what was pushed and revoked.
    Config,
    /// Gives a server of an upstream a rest: it finishes what it has, and gets nothing new.
    DrainEndpoint {
        /// The upstream.
        upstream: String,
        /// The server, as `upstreams` has it; all of them without it.
        endpoint: Option<String>,
    },
    /// Lets a server of an upstream take requests again.
    ResumeEndpoint {
        /// The upstream.
        upstream: String,
        /// The server; all of them without it.
        endpoint: Option<String>,
    },
    /// Has the file looked at now.
    Reload,
    /// What is logged, or from now on.
    Log {
        /// A level such as debug, or targets with levels, such as info,tunnel_transport=debug.
        filter: Option<String>,
    },
    /// The metrics, as Prometheus reads them.
    Metrics,
}

impl Common {
    pub(super) async fn run(self, target: &Target) -> Result<ExitCode, Problem> {
        let (ask, json) = (target.ask()?, target.json);
        match self {
            Self::Status => tell(&ask, json, "/api/overview", show::overview).await,
            Self::Ready => ready(&ask, json).await,
            Self::Live => {
                let answer = ask.send(Method::GET, "/livez", None).await?;
                let alive: serde_json::Value = ask.read(&answer)?;
                Ok(told(json, &alive, |_| "alive\n".to_owned()))
            }
            Self::Exchanges {
                agent,
                rule,
                limit,
                offset,
            } => {
                let mut path = format!("/api/exchanges?limit={limit}&offset={offset}");
                for (name, value) in [("agent", agent), ("rule", rule)] {
                    if let Some(value) = value {
                        path.push_str(&format!("&{name}={}", encoded(&value)));
                    }
                }
                tell(&ask, json, &path, show::exchanges).await
            }
            Self::Upstreams => {
                tell(&ask, json, "/api/upstreams", |list: &Vec<_>| {
                    show::upstreams(list)
                })
                .await
            }
            Self::Config => tell(&ask, json, "/api/config", show::config).await,
            Self::DrainEndpoint { upstream, endpoint } => {
                drain(&ask, json, "drain", &upstream, endpoint).await
            }
            Self::ResumeEndpoint { upstream, endpoint } => {
                drain(&ask, json, "resume", &upstream, endpoint).await
            }
            Self::Reload => reload(&ask, json).await,
            Self::Log { filter: None } => tell(&ask, json, "/api/log", show_log).await,
            Self::Log { filter: Some(filter) } => {
                let body = serde_json::to_string(&view::Log { filter }).unwrap_or_default();
                let log: view::Log = ask.read(&ask.send(Method::PUT, "/api/log", Some(body)).await?)?;
                Ok(told(json, &log, show_log))
            }
            Self::Metrics => {
                let answer = ask.send(Method::GET, "/metrics", None).await?;
                if !answer.status.is_success() {
                    return Err(ask.refused(&answer));
                }
                print(&String::from_utf8_lossy(&answer.body));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn show_log(log: &view::Log) -> String {
    format!("{}\n", log.filter)
}

async fn ready(ask: &Ask, json: bool) -> Result<ExitCode, Problem> {
    let answer = ask.send(Method::GET, "/readyz", None).await?;
    if ![StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status) {
        return Err(ask.refused(&answer));
    }
    let ready: view::Ready = serde_json::from_slice(&answer.body).map_err(|_| ask.refused(&answer))?;
    told(json, &ready, |ready| match ready.ready {
        true => "ready\n".to_owned(),
        false => format!(
            "not ready\n{}",
            ready
                .reasons
                .iter()
                .map(|why| format!("  {why}\n"))
                .collect::<String>()
        ),
    });
    Ok(ExitCode::from(u8::from(!ready.ready)))
}

async fn drain(
    ask: &Ask,
    json: bool,
    what: &str,
    upstream: &str,
    endpoint: Option<String>,
) -> Result<ExitCode, Problem> {
    let mut path = format!("/api/upstreams/{}/{what}", encoded(upstream));
    if let Some(endpoint) = endpoint {
        path.push_str(&format!("?endpoint={}", encoded(&endpoint)));
    }
    act(ask, json, &path, None).await
}

async fn reload(ask: &Ask, json: bool) -> Result<ExitCode, Problem> {
    let answer = ask.send(Method::POST, "/api/reload", None).await?;
    if ![StatusCode::OK, StatusCode::UNPROCESSABLE_ENTITY].contains(&answer.status) {
        return Err(ask.refused(&answer));
    }
    let reload: view::Reload = serde_json::from_slice(&answer.body).map_err(|_| ask.refused(&answer))?;
    told(json, &reload, |reload| {
        format!("{}: {}\n", reload.outcome, reload.detail)
    });
    Ok(ExitCode::from(u8::from(reload.outcome == "refused")))
}

/// Has something done, and tells what was.
pub(super) async fn act(
    ask: &Ask,
    json: bool,
    path: &str,
    body: Option<String>,
) -> Result<ExitCode, Problem> {
    let done: view::Done = ask.post(path, body).await?;
    Ok(told(json, &done, show::done))
}

/// Asks for something, and tells what it is.
pub(super) async fn tell<T: DeserializeOwned + Serialize>(
    ask: &Ask,
    json: bool,
    path: &str,
    text: impl FnOnce(&T) -> String,
) -> Result<ExitCode, Problem> {
    let value: T = ask.get(path).await?;
    Ok(told(json, &value, text))
}

pub(super) fn told<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> ExitCode {
    match json {
        true => print(&(serde_json::to_string_pretty(value).unwrap_or_default() + "\n")),
        false => print(&text(value)),
    }
    ExitCode::SUCCESS
}
