//! Files that are looked at when a command says so.

use tunnel_transport::admin::view;

use super::{ADMIN, World};
use crate::world::{TO_WEB, gateway_file, get};

#[tokio::test]
async fn a_reload_says_what_came_of_it() {
    // The file is not looked at by itself.
    let asked = ADMIN.replace("interval: 10ms", "interval: off");
    let world = World::new(TO_WEB).await;
    world
        .files
        .write("gateway.yaml", &(gateway_file(TO_WEB) + &asked));
    world.told(&["reload"]).await;
    assert_eq!(
        world.told(&["reload"]).await,
        "same: the configuration is as it was\n"
    );

    let fixed = "  - {id: fixed, path: /fixed, respond: {status: 204}}\n";
    world.files.write(
        "gateway.yaml",
        &(gateway_file(&format!("{fixed}{TO_WEB}")) + &asked),
    );
    assert_eq!(get(world.gateway.listen, "/fixed").await.0, 200);
    let told = world.told(&["reload"]).await;
    assert!(
        told.starts_with("changed: ") && told.contains("+rules[fixed]"),
        "{told}"
    );
    assert_eq!(get(world.gateway.listen, "/fixed").await.0, 204);
    assert!(world.told(&["rules"]).await.contains("/fixed/*"));

    world
        .files
        .write("gateway.yaml", &(gateway_file("  - {id: wrong}\n") + &asked));
    let refused = world.ask(&["reload"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stdout.contains("refused: ") && refused.stdout.contains("does not say who answers"),
        "{refused:?}"
    );
    assert_eq!(get(world.gateway.listen, "/fixed").await.0, 204);
    let config: view::Config = world.json(&["config"]).await;
    assert_eq!(config.last_reload.expect("there was one").outcome, "refused");

    world.files.write("gateway.yaml", &gateway_file(TO_WEB));
    let refused = world.ask(&["reload"]).await;
    assert!(
        refused
            .stdout
            .contains("`admin` cannot change while the gateway runs"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn another_admin_token_takes_effect_at_once() {
    let world = World::new(TO_WEB).await;
    world.files.write("admin-token", "0123456789abcdef-new\n");
    let text =
        gateway_file(TO_WEB) + &ADMIN.replace("token_env: TUNNEL_ADMIN_TOKEN", "token_file: admin-token");
    world.files.write("gateway.yaml", &text);
    let refused = world.until(&["status"], |ended| ended.code == Some(1)).await;
    assert!(
        refused.stderr.contains("is it the token of this program?"),
        "{refused:?}"
    );
    let admin = format!("http://{}", world.gateway.admin.expect("the file has it"));
    let file = world.files.path("admin-token");
    let mut command = super::knowing("gateway", &["status", "--admin", &admin, "--token-file", &file]);
    let ended = command.output().await.expect("it was built");
    assert!(ended.status.success(), "{ended:?}");
}
