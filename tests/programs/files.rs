//! A gateway without file descriptors.

use std::process::Stdio;

use tokio::{io::AsyncReadExt as _, net::TcpStream, process::Command};
use tunnel_tests::wait::within_limit;

use crate::{
    program::{Running, TOKEN, program},
    world::{Files, gateway_file, get},
};

/// Few enough to run out, and more than the gateway needs for itself.
const DESCRIPTORS: usize = 64;

/// The gateway's program under a lower limit; the shell goes, the limit stays.
fn limited(file: &str) -> Command {
    let gateway = program("gateway", &["--config", file]);
    let gateway = gateway.as_std();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"")])
        .arg(gateway.get_program())
        .args(gateway.get_args())
        .env_remove("RUST_LOG")
        .env("TUNNEL_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_gateway_that_runs_out_of_files_serves_again_when_it_has_some() {
    let files = Files::new();
    let rules = "  - id: robots\n    path: /\n    respond: {status: 200, body: nothing}\n";
    let file = format!("limits:\n  first_bytes_timeout: 1s\n{}", gateway_file(rules));
    let command = limited(&files.write("gateway.yaml", &file));
    within_limit(async {
        let mut gateway = Running::start(command);
        let ready = gateway.line("ready listen=").await;
        let (listen, _) = ready.split_once(" agents=").expect("two addresses");
        let listen = listen.parse().expect("an address");
        assert_eq!(get(listen, "/").await, (200, "nothing".to_owned()));

        // The kernel takes more of them than the gateway can.
        let mut silent = Vec::new();
        for _ in 0..4 * DESCRIPTORS {
            silent.push(
                TcpStream::connect(listen)
                    .await
                    .expect("there is room in the backlog"),
            );
        }
        // The gateway closes those that it has taken, and takes the next ones, to the last.
        for mut socket in silent {
            let _ = socket.read(&mut [0; 1]).await;
        }
        assert_eq!(get(listen, "/").await, (200, "nothing".to_owned()));
        gateway.signal("TERM");
        let ended = gateway.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("cannot accept connections"),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("accepting connections again"),
            "{}",
            ended.stderr
        );
    })
    .await;
}
