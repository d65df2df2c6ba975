//! Who may not ask, and files and command lines that are wrong.

use tunnel_tests::wait::within_limit;

use super::{ADMIN_TOKEN, World, knowing};
use crate::{
    program::{Running, output, program},
    world::{Files, TO_WEB, gateway_file, get},
};

/// Commands that need credentials.
const COMMANDS: [&[&str]; 18] = [
    &["status"],
    &["agents"],
    &["groups"],
    &["rules"],
    &["exchanges"],
    &["upstreams"],
    &["config"],
    &["metrics"],
    &["log"],
    &["log", "off"],
    &["drain", "web-1"],
    &["resume", "web-1"],
    &["disconnect", "web-1"],
    &["revoke", "web-agents"],
    &["drain-endpoint", "own"],
    &["resume-endpoint", "own"],
    &["reload"],
    &["reload", "--json"],
];

#[tokio::test]
async fn without_the_token_no_command_does_anything() {
    let world = World::new(TO_WEB).await;
    let admin = format!("http://{}", world.gateway.admin.expect("the file has it"));
    let wrong = world.files.write("wrong-token", "0123456789abcdef-wrong\n");
    for arguments in COMMANDS {
        for credentials in [&[][..], &["--token-file", &wrong]] {
            let mut command = program("gateway", arguments);
            command.args(["--admin", &admin]).args(credentials);
            let ended = within_limit(Running::start(command).ended()).await;
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (Some(1), ""),
                "{arguments:?} {ended:?}"
            );
            assert!(ended.stderr.contains("token"), "{arguments:?} {ended:?}");
            assert!(!ended.stderr.contains("-wrong"), "{ended:?}");
        }
    }
    assert_eq!(get(world.gateway.listen, "/").await.0, 200, "nothing was done");
    let log = world.gateway.program.log();
    assert!(
        log.contains("the admin interface refuses a request") && !log.contains(ADMIN_TOKEN),
        "{log}"
    );
    for probe in ["/livez", "/readyz"] {
        assert_eq!(
            get(world.gateway.admin.expect("the file has it"), probe).await.0,
            200,
            "open in the file"
        );
    }
}

#[tokio::test]
async fn files_that_let_everybody_in_are_refused() {
    let files = Files::new();
    for (admin, text) in [
        (
            "{listen: 0.0.0.0:9090}",
            "which others can reach, without credentials",
        ),
        ("{listen: 0.0.0.0:9090, open_probes: true}", "without credentials"),
        ("{listen: 127.0.0.1:9090, token: short}", "fewer than 16"),
        (
            "{listen: 127.0.0.1:9090, token_env: NOBODY_HAS_SET_THIS}",
            "is not set",
        ),
        (
            "{listen: 127.0.0.1:9090, certificates: [\"dns:a\"]}",
            "asks nobody for certificates",
        ),
        ("{listen: here}", "no address to listen on"),
        ("{listen: 127.0.0.1:9090, tokens: []}", "tokens"),
    ] {
        let file = files.write(
            "gateway.yaml",
            &format!("{}admin: {admin}\n", gateway_file(TO_WEB)),
        );
        let ended = within_limit(output("gateway", &["--config", &file, "--check"])).await;
        assert_eq!(ended.code, Some(1), "{admin} {ended:?}");
        assert!(ended.stderr.contains(text), "{admin} {ended:?}");
    }
    let file = files.write(
        "gateway.yaml",
        &format!("{}admin: {{listen: 127.0.0.1:9090}}\n", gateway_file(TO_WEB)),
    );
    let ended = within_limit(output("gateway", &["--config", &file, "--check"])).await;
    assert_eq!(ended.code, Some(0), "this machine alone: {ended:?}");
}

#[tokio::test]
async fn command_lines_say_what_is_missing() {
    let files = Files::new();
    let plain = files.write("plain.yaml", &gateway_file(TO_WEB));
    let any = files.write("any.yaml", &(gateway_file(TO_WEB) + super::ADMIN));
    let other = gateway_file(TO_WEB) + "admin: {listen: 127.0.0.1:1, token_env: NOBODY_HAS_SET_THIS}\n";
    let other = files.write("other.yaml", &other);
    for (arguments, code, text) in [
        (&["status"][..], 2, "--config FILE"),
        (&[], 2, "--config <FILE>"),
        (&["status", "--config", &plain], 2, "it has no admin interface"),
        (&["status", "--config", &any], 2, "--admin URL"),
        (&["status", "--config", "/nowhere.yaml"], 2, "cannot be read"),
        (&["status", "--config", &other], 3, "Is the program running"),
        (&["--config", &other, "status"], 3, "Is the program running"),
        (&["status", "--admin", "127.0.0.1:1"], 2, "http://127.0.0.1:1"),
        (
            &[
                "status",
                "--admin",
                "http://127.0.0.1:1",
                "--token-env",
                "NOBODY_HAS_SET_THIS",
            ],
            2,
            "is not set",
        ),
        (&["drain", "--admin", "http://127.0.0.1:1"], 2, "<AGENT>"),
        (&["drain", "a", "--within", "soon"], 2, "such as 30s"),
        (&["statsu"], 2, "statu"),
        (&["status", "--config", &plain, "--check"], 2, "--check"),
    ] {
        let ended = within_limit(Running::start(knowing("gateway", arguments)).ended()).await;
        assert_eq!(ended.code, Some(code), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(text), "{arguments:?} {ended:?}");
    }
}
