use std::process::ExitCode;

use clap::Subcommand;
use tunnel_transport::admin::view;

use super::{
    Command, Problem, Target,
    ask::encoded,
    common::{Common, act, tell},
    show, units,
};

/// What a gateway that runs is asked.
#[derive(Clone, Debug, Subcommand)]
pub enum GatewayCommand {
    /// The agents that are connected, and how they are.
    Agents {
        /// Only those of this group.
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// How many of them to leave out.
        #[arg(long, default_value_t = 0)]
        offset: u32,
    },
    /// The groups, and how many of their sessions take requests.
    Groups,
    /// The rules, where they lead, and how often they were followed.
    Rules,
    /// Gives an agent a rest: it stays connected, finishes what it has, and gets nothing new.
    Drain {
        /// Its id.
        agent: String,
        /// What is open after this time is cut, such as 30s; without it nothing is.
        #[arg(long, value_name = "TIME", value_parser = units::parse_time)]
        within: Option<u64>,
    },
    /// Lets an agent that was drained take requests again.
    Resume {
        /// Its id.
        agent: String,
    },
    /// Ends the sessions of an agent; it may connect again.
    Disconnect {
        /// Its id.
        agent: String,
    },
    /// Takes a token back by its name: sessions that were opened with it end, and callers who show it are refused.
    Revoke {
        /// The name.
        token: String,
    },
    /// Commands that an agent knows as well.
    #[command(flatten)]
    Common(Common),
}

impl Command for GatewayCommand {
    const PROGRAM: &'static str = "gateway";
    const ABOUT: &'static str =
        "The gateway of a reverse tunnel, from a YAML file; and commands that ask one that runs";

    async fn run(self, target: &Target) -> Result<ExitCode, Problem> {
        let about = |agent: &str, what: &str| format!("/api/agents/{}/{what}", encoded(agent));
        let (ask, json) = match self {
            Self::Common(common) => return common.run(target).await,
            _ => (target.ask()?, target.json),
        };
        match self {
            Self::Common(_) => Ok(ExitCode::SUCCESS),
            Self::Agents { group, limit, offset } => {
                let mut path = format!("/api/agents?limit={limit}&offset={offset}");
                if let Some(group) = group {
                    path.push_str(&format!("&group={}", encoded(&group)));
                }
                tell(&ask, json, &path, show::agents).await
            }
            Self::Groups => tell(&ask, json, "/api/groups", |list: &Vec<_>| show::groups(list)).await,
            Self::Rules => tell(&ask, json, "/api/rules", |list: &Vec<_>| show::rules(list)).await,
            Self::Drain { agent, within } => {
                let body = serde_json::to_string(&view::Drain { within_ms: within });
                act(&ask, json, &about(&agent, "drain"), body.ok()).await
            }
            Self::Resume { agent } => act(&ask, json, &about(&agent, "resume"), None).await,
            Self::Disconnect { agent } => act(&ask, json, &about(&agent, "disconnect"), None).await,
            Self::Revoke { token } => {
                act(
                    &ask,
                    json,
                    &format!("/api/tokens/{}/revoke", encoded(&token)),
                    None,
                )
                .await
            }
        }
    }
}
