//! Rolling restarts under load: no request is lost.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::any};
use tunnel_tests::{origin::Origin, tunnel::APART, wait::within_limit};

use crate::{
    load::{ANSWER, Load},
    program::{Running, program},
    world::{Files, RunningGateway, TO_WEB, gateway_file, get},
};

/// Answered requests between two restarts.
const BETWEEN: u64 = 100;

/// An upstream whose every answer takes a while, so that each restart finds some open.
async fn origin() -> Origin {
    let answer = || async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        ANSWER
    };
    Origin::http1(Router::new().fallback(any(answer))).await
}

/// An agent of these gateways that is ready.
async fn agent(files: &Files, name: &str, gateways: &[SocketAddr], origin: &Origin) -> Running {
    let gateways: Vec<_> = gateways.iter().map(|addr| format!("http://{addr}")).collect();
    let text = format!(
        "gateways: [\"{}\"]\nid: {name}\ngroups: [web]\ntoken_env: TUNNEL_TOKEN\nupstream: {{url: \"{}\"}}\n",
        gateways.join("\", \""),
        origin.uri()
    );
    let file = files.write(&format!("{name}.yaml"), &text);
    let mut agent = Running::start(program("agent", &["--config", &file]));
    agent.line("ready ").await;
    agent
}

/// Tells a program to stop, and waits until it has.
async fn stop(program: Running) {
    program.signal("TERM");
    let ended = program.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn agents_are_restarted_one_by_one() {
    let files = Files::new();
    let gateway_yaml = files.write("gateway.yaml", &gateway_file(TO_WEB));
    // Builds the programs, which no bound counts.
    let _ = program("gateway", &[]);
    within_limit(async {
        let origin = origin().await;
        let gateway = RunningGateway::start("gateway", &["--config", &gateway_yaml]).await;
        let names = ["web-1", "web-2", "web-3"];
        let mut agents = Vec::new();
        for name in names {
            agents.push(agent(&files, name, &[gateway.agents], &origin).await);
        }
        let load = Load::start(8, 4);
        load.ready(gateway.listen);
        for _ in 0..2 {
            for name in names {
                load.more(BETWEEN).await;
                stop(agents.remove(0)).await;
                agents.push(agent(&files, name, &[gateway.agents], &origin).await);
            }
        }
        load.more(BETWEEN).await;
        let (answered, lost) = load.finish().await;
        println!(
            "6 restarts of 3 agents: {answered} requests answered, {} lost",
            lost.len()
        );
        assert_eq!(lost, [""; 0]);
    })
    .await;
}

/// A gateway's file with these ports, by which agents may ask what clients may.
fn file_of(files: &Files, name: &str, ports: [SocketAddr; 2]) -> String {
    let text = gateway_file(TO_WEB)
        .replacen("lame_duck: 1ms", "lame_duck: 1s", 1)
        .replacen(
            "groups: [web]",
            "groups: [web, edge]\n  calls:\n    rules:\n      - {id: asked, group: web}",
            1,
        );
    let mut parts = text.splitn(3, "listen: 127.0.0.1:0");
    let mut part = || parts.next().expect("two ports");
    let text = format!(
        "{}listen: {}{}listen: {}{}",
        part(),
        ports[0],
        part(),
        ports[1],
        part()
    );
    files.write(name, &text)
}

#[tokio::test]
async fn gateways_are_restarted_one_by_one() {
    let files = Files::new();
    let any = SocketAddr::from((APART, 0));
    let names = ["one.yaml", "two.yaml"];
    let [one, two] = names.map(|name| file_of(&files, name, [any, any]));
    let _ = program("gateway", &[]);
    within_limit(async {
        let origin = origin().await;
        let mut gateways = vec![
            RunningGateway::start("gateway", &["--config", &one]).await,
            RunningGateway::start("gateway", &["--config", &two]).await,
        ];
        let ports = [0, 1].map(|number: usize| [gateways[number].listen, gateways[number].agents]);
        let dialled = ports.map(|[_, agents]| agents);
        let _agents = [
            agent(&files, "web-1", &dialled, &origin).await,
            agent(&files, "web-2", &dialled, &origin).await,
        ];
        let mut load = Load::start(8, 4);
        for [listen, agents] in ports {
            load.follow(listen, agents).await;
        }
        for number in [0, 1, 0, 1] {
            load.more(BETWEEN).await;
            let [listen, agents] = ports[number];
            stop(gateways.remove(0).program).await;
            let file = file_of(&files, names[number], [listen, agents]);
            gateways.push(RunningGateway::start("gateway", &["--config", &file]).await);
            load.follow(listen, agents).await;
        }
        load.more(BETWEEN).await;
        let (answered, lost) = load.finish().await;
        println!(
            "4 restarts of 2 gateways: {answered} requests answered, {} lost",
            lost.len()
        );
        assert_eq!(lost, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn an_agent_goes_on_asking_while_its_gateways_are_restarted() {
    let files = Files::new();
    let any = SocketAddr::from((APART, 0));
    let names = ["one.yaml", "two.yaml"];
    let [one, two] = names.map(|name| file_of(&files, name, [any, any]));
    let _ = program("gateway", &[]);
    within_limit(async {
        let origin = origin().await;
        let mut gateways = vec![
            RunningGateway::start("gateway", &["--config", &one]).await,
            RunningGateway::start("gateway", &["--config", &two]).await,
        ];
        let ports = [0, 1].map(|number: usize| [gateways[number].listen, gateways[number].agents]);
        let dialled = ports.map(|[_, agents]| agents);
        let _web = agent(&files, "web-1", &dialled, &origin).await;
        // It serves what it asks for as well: a gateway that has just come may know it before it knows the other one.
        let text = format!(
            "gateways: [\"http://{}\", \"http://{}\"]\ngroups: [edge, web]\ntoken_env: TUNNEL_TOKEN\nlisten: 127.0.0.1:0\n\
             upstream: {{url: \"{}\"}}\n",
            dialled[0],
            dialled[1],
            origin.uri()
        );
        let file = files.write("edge.yaml", &text);
        let mut edge = Running::start(program("agent", &["--config", &file]));
        let ready = edge.line("ready ").await;
        let (_, local) = ready.split_once(" listen=").expect("it listens");
        let load = Load::start(8, 4);
        load.ready(local.parse().expect("an address"));
        for number in [0, 1, 0, 1] {
            load.more(BETWEEN).await;
            // Whoever goes next may go once the other one could do everything.
            let other = &mut gateways[1];
            other.program.logged("an agent connected", 2).await;
            while get(other.listen, "/").await.0 != 200 {
                tokio::task::yield_now().await;
            }
            let [listen, agents] = ports[number];
            stop(gateways.remove(0).program).await;
            let file = file_of(&files, names[number], [listen, agents]);
            gateways.push(RunningGateway::start("gateway", &["--config", &file]).await);
        }
        load.more(BETWEEN).await;
        let (answered, lost) = load.finish().await;
        println!(
            "4 restarts of 2 gateways: {answered} requests of an agent answered, {} lost",
            lost.len()
        );
        assert_eq!(lost, [""; 0]);
    })
    .await;
}
