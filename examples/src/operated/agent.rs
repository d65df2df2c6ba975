use std::{io, net::SocketAddr};

use tunnel_transport::{admin::Admin, metrics::Reporter};

use super::{Port, Program, measured, replace_access};
use crate::{config::AgentConfig, telemetry::Telemetry};

/// The admin interface of an agent, if its file asks for one.
#[derive(Debug)]
pub struct OperatedAgent {
    admin: Option<Admin>,
    port: Option<Port>,
}

impl OperatedAgent {
    /// Opens the port.
    ///
    /// # Errors
    ///
    /// It is taken, or not ours.
    pub fn open(config: &AgentConfig, program: Program, telemetry: &Telemetry) -> io::Result<Self> {
        let routing = config.routing.clone();
        let port = match &config.admin {
            Some(port) => {
                let (agent, of_reporter) = (config.agent.clone(), routing.clone());
                let reporter = Reporter::agent(agent.clone()).upstreams(move || of_reporter.named());
                let builder = Admin::agent(&agent).upstreams(move || routing.named());
                let builder = measured(builder, telemetry, reporter);
                Some(Port::open(port, builder, program)?)
            }
            None => None,
        };
        Ok(Self {
            admin: port.as_ref().map(|port| port.admin.clone()),
            port,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.port.as_ref().map(|port| port.address)
    }

    /// What serves the port; it never ends.
    pub fn serve(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let port = self.port.take();
        async move {
            match port {
                Some(port) => port.serve().await,
                None => std::future::pending().await,
            }
        }
    }

    /// The file says something else now.
    pub fn replace(&self, config: &AgentConfig) {
        if let Some(admin) = &self.admin {
            replace_access(admin, config.admin.as_ref());
        }
    }
}
