//! Files that are wrong change nothing, and the log says why.

use tunnel_examples::client::websocket;
use tunnel_tests::wait::within_limit;

use super::{CHANGED, OFTEN, REFUSED, World, echoes};
use crate::world::{TO_WEB, gateway_file, get};

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_the_log_says_what_and_where() {
    let mut world = World::new(TO_WEB).await;
    within_limit(async {
        let listen = world.gateway.listen;
        let mut socket = websocket(listen, "/socket").await.unwrap();
        let wrong = "  - {id: web, group: web}\n  - {id: api, path: api, group: web}\n";
        let cases = [
            // A rule that cannot match, by its line and column.
            (
                gateway_file(wrong) + OFTEN,
                "gateway.yaml:11:",
                "does not start with `/`",
            ),
            // No YAML at all.
            ("listen: [".to_owned(), "gateway.yaml:1:", "error"),
            (String::new(), "gateway.yaml", "error"),
            // What cannot change.
            (
                format!("{}{OFTEN}drain: 3s\n", gateway_file(TO_WEB)),
                "`drain` cannot change while the gateway runs",
                "start the gateway anew",
            ),
        ];
        for (count, (file, place, what)) in cases.iter().enumerate() {
            world.replace("gateway.yaml", file);
            world.gateway.program.logged(REFUSED, count + 1).await;
            world.gateway.program.logged(place, 1).await;
            world.gateway.program.logged(what, 1).await;
            assert_eq!(get(listen, "/").await, (200, "one".to_owned()));
            assert!(echoes(&mut socket, "hello").await);
        }
        // It watches on, and what is right counts again.
        world.edit("  - {id: gone, respond: {status: 410}}\n  - {id: web, path: /web, group: web}\n");
        world.gateway.program.logged(CHANGED, 1).await;
        assert_eq!(get(listen, "/").await.0, 410);
        assert!(echoes(&mut socket, "hello").await);
    })
    .await;
}

#[tokio::test]
async fn a_file_that_goes_away_and_comes_back_changes_nothing() {
    let mut world = World::new(TO_WEB).await;
    within_limit(async {
        let file = world.files.path("gateway.yaml");
        std::fs::rename(&file, world.files.path("away")).unwrap();
        world.gateway.program.logged("the file cannot be read", 1).await;
        assert_eq!(get(world.gateway.listen, "/").await.0, 200);
        std::fs::rename(world.files.path("away"), &file).unwrap();
        world
            .gateway
            .program
            .logged("the configuration is as it was", 1)
            .await;
        assert_eq!(get(world.gateway.listen, "/").await.0, 200);
    })
    .await;
}
