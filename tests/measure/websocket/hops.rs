//! The ways from a client to the server.

use std::{env, fmt, fs, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, process::Command, time::sleep};
use tunnel_tests::tunnel::{address, listener};

use crate::process::Process;

/// What stands between a client and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    TunnelToUpstream,
    TunnelToApp,
    TwiceNginx,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [
        Self::Direct,
        Self::TunnelToUpstream,
        Self::TunnelToApp,
        Self::TwiceNginx,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::TunnelToUpstream => "gateway, agent, server",
            Self::TunnelToApp => "gateway, app in the agent",
            Self::TwiceNginx => "nginx, nginx, server",
        })
    }
}

/// The processes of one way, and where it begins.
pub(crate) struct Hops {
    pub(crate) kind: Kind,
    pub(crate) addr: SocketAddr,
    pub(crate) processes: Vec<Process>,
}

impl Hops {
    /// Starts them, if they are installed.
    pub(crate) async fn start(kind: Kind, sockets: usize) -> Option<Self> {
        if kind == Kind::TunnelToApp {
            let (addr, processes) = tunnel(sockets, None).await;
            return Some(Self {
                kind,
                addr,
                processes,
            });
        }
        let (server, words) = Process::role("echo", &[]).await;
        let echo = words[0].parse().expect("an address");
        let (addr, mut processes) = match kind {
            Kind::TunnelToUpstream => tunnel(sockets, Some(echo)).await,
            Kind::TwiceNginx => twice_nginx(echo).await?,
            Kind::Direct | Kind::TunnelToApp => (echo, Vec::new()),
        };
        processes.push(server);
        Some(Self {
            kind,
            addr,
            processes,
        })
    }
}

async fn tunnel(sockets: usize, upstream: Option<SocketAddr>) -> (SocketAddr, Vec<Process>) {
    let (gateway, words) = Process::role("gateway", &[]).await;
    let mut arguments = vec![words[1].clone(), (sockets + 100).to_string()];
    arguments.extend(upstream.map(|addr| addr.to_string()));
    let (agent, _) = Process::role("agent", &arguments).await;
    (words[0].parse().expect("an address"), vec![gateway, agent])
}

async fn twice_nginx(echo: SocketAddr) -> Option<(SocketAddr, Vec<Process>)> {
    let (inner_addr, inner) = nginx("inner", echo).await?;
    let (addr, outer) = nginx("outer", inner_addr).await?;
    Some((addr, vec![outer, inner]))
}

async fn nginx(name: &'static str, to: SocketAddr) -> Option<(SocketAddr, Process)> {
    let addr = address(&listener().await);
    let directory = env::temp_dir().join(format!("websocket-measure-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).expect("there is a place for such files");
    let config = directory.join("nginx.conf");
    let pid = directory.join("pid");
    let text = format!(
        "daemon off; master_process off; pid {}; error_log stderr crit;
        worker_rlimit_nofile 20000;
        events {{ worker_connections 20000; }}
        http {{
            access_log off; proxy_read_timeout 1h; proxy_send_timeout 1h;
            server {{
                listen {addr} backlog=4096;
                location / {{
                    proxy_pass http://{to};
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection upgrade;
                }}
            }}
        }}",
        pid.display()
    );
    fs::write(&config, text).expect("there is a place for such files");
    let process = Process::start("nginx", Command::new("nginx").arg("-c").arg(&config)).ok()?;
    while TcpStream::connect(addr).await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    // It has read them.
    let _ = fs::remove_dir_all(&directory);
    Some((addr, process))
}
