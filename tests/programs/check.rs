//! Command lines and files that are right, and wrong.

use tunnel_tests::wait::within_limit;

use crate::{
    program::output,
    world::{Files, TO_WEB, agent_file, gateway_file},
};

#[tokio::test]
async fn a_file_that_is_right() {
    let files = Files::new();
    let gateway = files.write("gateway.yaml", &gateway_file(TO_WEB));
    let agents = "127.0.0.1:7000".parse().unwrap();
    let agent = files.write("agent.yaml", &agent_file(agents, "{url: http://127.0.0.1:3000}"));
    for (name, file, told) in [
        (
            "gateway",
            gateway,
            "listen 127.0.0.1:0, agents 127.0.0.1:0, tokens 1, rules 1",
        ),
        (
            "agent",
            agent,
            "gateway http://127.0.0.1:7000, groups web, upstreams 1",
        ),
    ] {
        let ended = within_limit(output(name, &["--check", "--config", &file])).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stdout, format!("{file}: ok: {told}\n"));
        assert_eq!(ended.stderr, "");
    }
}

/// A start says the same as `--check`, and opens no port.
#[tokio::test]
async fn a_file_that_is_wrong() {
    let files = Files::new();
    let rules = "  - id: web\n    gruop: web\n";
    let file = files.write("gateway.yaml", &gateway_file(rules));
    for arguments in [&["--check", "--config", &file][..], &["--config", &file]] {
        let ended = within_limit(output("gateway", arguments)).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.stdout, "");
        let beginning = format!("{file}:11:5: unknown key `gruop`: did you mean `group`?");
        assert!(ended.stderr.starts_with(&beginning), "{ended:?}");
        let end = format!("\n  11 |     gruop: web\n     |     ^\n{file}: 1 error\n");
        assert!(ended.stderr.ends_with(&end), "{ended:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    let ended = within_limit(output("agent", &["--config", "/nowhere/agent.yaml"])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .starts_with("/nowhere/agent.yaml: the file cannot be read"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_command_line_that_is_wrong() {
    for (name, arguments) in [
        ("gateway", &[][..]),
        ("agent", &["--config"]),
        ("agent", &["--confg", "x"]),
        ("quickstart", &["--listen", "here"]),
    ] {
        let ended = within_limit(output(name, arguments)).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = (taken.local_addr().unwrap().to_string(), taken);
    let files = Files::new();
    let text = gateway_file(TO_WEB).replacen("127.0.0.1:0", &taken.0, 1);
    let file = files.write("gateway.yaml", &text);
    let ended = within_limit(output("gateway", &["--config", &file])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let text = format!("gateway: cannot listen on {}", taken.0);
    assert!(ended.stderr.contains(&text), "{ended:?}");
}
