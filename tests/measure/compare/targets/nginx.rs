//! nginx with two workers, once or twice.

use std::path::Path;

use tokio::process::Command;

use super::{Server, write};
use crate::{
    addr,
    process::{Failure, Process},
    tools,
};

/// Connections to the server that each worker keeps.
pub(super) const KEPT: usize = 512;

pub(super) async fn hops(
    directory: &Path,
    mut to: Server,
    hops: usize,
    kept: usize,
) -> Result<(Server, Vec<Process>), Failure> {
    let mut processes = Vec::new();
    for hop in 1..=hops {
        let at = Server {
            plain: addr::free().await,
            calls: addr::free().await,
        };
        // The last one to be started is the first that a request meets.
        processes.insert(0, start(&directory.join(format!("hop-{hop}")), at, to, kept)?);
        to = at;
    }
    Ok((to, processes))
}

fn start(directory: &Path, at: Server, to: Server, kept: usize) -> Result<Process, Failure> {
    std::fs::create_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let config = write(directory, "nginx.conf", &config(at, to, kept))?;
    let program = tools::find("nginx").ok_or("nginx is not installed")?;
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(directory)
        .arg("-c")
        .arg(config)
        .args(["-e", "stderr"]);
    Process::start("nginx", directory, &mut command)
}

/// Connections are kept for any number of requests on both sides, unless `kept` is 0, and no body is written into a file.
fn config(at: Server, to: Server, kept: usize) -> String {
    let keeps = match kept {
        0 => String::new(),
        _ => format!("keepalive {kept}; keepalive_requests 1000000000; keepalive_timeout 1h;"),
    };
    format!(
        "daemon off; worker_processes 2; pid nginx.pid; error_log stderr crit; worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
    access_log off; tcp_nodelay on; server_tokens off; client_max_body_size 0;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_requests 1000000000; keepalive_timeout 1h; send_timeout 1h;
    proxy_read_timeout 1h; proxy_send_timeout 1h; proxy_max_temp_file_size 0; proxy_request_buffering off;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream plain {{ server {}; {keeps} }}
    upstream calls {{ server {}; {keeps} }}
    server {{
        listen {} backlog=4096;
        location / {{
            proxy_pass http://plain; proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        }}
    }}
    server {{
        listen {} http2 backlog=4096;
        location / {{ grpc_pass grpc://calls; }}
    }}
}}
",
        to.plain, to.calls, at.plain, at.calls
    )
}
