//! Files that change while the programs run.

mod agent;
mod agents_tokens;
mod load;
mod refused;
mod watched;

use tunnel_tests::origin::Origin;

use crate::{
    named::{echoes, origin},
    program::{Running, program},
    world::{Files, RunningGateway, agent_file, gateway_file},
};

/// Files are looked at as often as that is allowed.
const OFTEN: &str = "reload: {interval: 10ms}\n";

/// What a program logs when a file has taken effect, and when it has not.
const CHANGED: &str = "the configuration has changed";
const REFUSED: &str = "nothing is changed";

/// A gateway and an agent whose files may change.
struct World {
    files: Files,
    gateway: RunningGateway,
    agent: Running,
    _origin: Origin,
}

impl World {
    /// With these rules, and keys of the gateway's file behind them.
    async fn new(rules: &str) -> Self {
        let files = Files::new();
        let origin = origin("one").await;
        let file = files.write("gateway.yaml", &(gateway_file(rules) + OFTEN));
        let gateway = RunningGateway::start("gateway", &["--config", &file]).await;
        let agent = agent_of(&files, &gateway, &origin).await;
        Self {
            files,
            gateway,
            agent,
            _origin: origin,
        }
    }

    /// Writes the gateway's file as editors do: beside it, and then into its place.
    fn edit(&self, rules: &str) {
        self.replace("gateway.yaml", &(gateway_file(rules) + OFTEN));
    }

    fn replace(&self, name: &str, text: &str) {
        replace(&self.files, name, text);
    }
}

fn replace(files: &Files, name: &str, text: &str) {
    let new = files.write(&format!("{name}.new"), text);
    std::fs::rename(new, files.path(name)).expect("the target directory is ours");
}

/// An agent that is connected.
async fn agent_of(files: &Files, gateway: &RunningGateway, origin: &Origin) -> Running {
    let upstream = format!("{{url: \"{}\"}}", origin.uri());
    let file = files.write("agent.yaml", &(agent_file(gateway.agents, &upstream) + OFTEN));
    let mut agent = Running::start(program("agent", &["--config", &file]));
    agent.line("ready ").await;
    agent
}
