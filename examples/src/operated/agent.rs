use std::{io, net::SocketAddr};

use tunnel_transport::admin::Admin;

use super::{Port, Program, replace_access};
use crate::config::AgentConfig;

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
    pub fn open(config: &AgentConfig, program: &Program) -> io::Result<Self> {
        let routing = config.routing.clone();
        let port = match &config.admin {
            Some(port) => {
                let builder = Admin::agent(&config.agent).upstreams(move || routing.named());
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
