use std::process::ExitCode;

use clap::Subcommand;

use super::{
    Command, Problem, Target,
    common::{Common, tell},
    show,
};

/// What an agent that runs is asked.
#[derive(Clone, Debug, Subcommand)]
pub enum AgentCommand {
    /// Its gateways, and how it is connected to them.
    Gateways,
    /// Commands that a gateway knows as well.
    #[command(flatten)]
    Common(Common),
}

impl Command for AgentCommand {
    const PROGRAM: &'static str = "agent";
    const ABOUT: &'static str =
        "The agent of a reverse tunnel, from a YAML file; and commands that ask one that runs";

    async fn run(self, target: &Target) -> Result<ExitCode, Problem> {
        match self {
            Self::Gateways => {
                let text = |list: &Vec<_>| show::gateways(list);
                tell(&target.ask()?, target.json, "/api/gateways", text).await
            }
            Self::Common(common) => common.run(target).await,
        }
    }
}
