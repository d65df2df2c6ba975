//! What this program can be.

use std::future::{IntoFuture as _, pending};

use tunnel_core::Settings;
use tunnel_tests::{
    tunnel::{GROUP, Tunnel, address, listener},
    websocket::echo,
};
use tunnel_transport::{Agent, Upstream};

/// Runs until it is killed.
pub(crate) async fn run(role: &str, arguments: &[String]) {
    match (role, arguments) {
        ("echo", []) => serve().await,
        ("gateway", []) => gateway().await,
        ("agent", [gateway, sockets]) => agent(gateway, sockets, None).await,
        ("agent", [gateway, sockets, upstream]) => agent(gateway, sockets, Some(upstream)).await,
        _ => panic!("{role} {arguments:?} is none of echo, gateway and agent"),
    }
}

async fn serve() {
    let listener = listener().await;
    println!("{}", address(&listener));
    let served = axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |socket| {
            socket.set_nodelay(true).expect("a fresh socket");
        }),
        echo::app(),
    );
    served.await.expect("axum::serve has no error");
}

async fn gateway() {
    let tunnel = Tunnel::builder().start().await;
    println!("{} {}", tunnel.addr, tunnel.agents_addr);
    pending::<()>().await;
}

async fn agent(gateway: &str, sockets: &str, upstream: Option<&String>) {
    let settings = Settings {
        max_exchanges: sockets.parse().expect("a number"),
        ..Settings::default()
    };
    let agent = Agent::builder(format!("http://{gateway}"))
        .group(GROUP)
        .settings(settings);
    let agent = agent.build().expect("the settings are right");
    let serve = match upstream {
        None => tokio::spawn(agent.serve(echo::app()).into_future()),
        Some(addr) => {
            let upstream = Upstream::builder(format!("http://{addr}"));
            let upstream = upstream.max_connections(settings.max_exchanges as usize).build();
            tokio::spawn(agent.serve(upstream.expect("an address")).into_future())
        }
    };
    agent.connected().await;
    println!("connected");
    serve
        .await
        .expect("it does not panic")
        .expect("the agent is not refused");
}
