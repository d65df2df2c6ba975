//! The Autobahn cases, which kosoku runs: from a client against our echo server, and from a server against a client here.

mod driver;
mod kosoku;

use std::time::Duration;

use tunnel_tests::{client::Version, tunnel::Tunnel, websocket::echo};
use tunnel_transport::Upstream;

use self::kosoku::{Kosoku, Totals};
use crate::world::{Place, Way, World, ways};

/// Some cases wait for a second, and large ones take theirs where nothing is optimised.
const LIMIT: Duration = Duration::from_secs(240);

/// What belongs to extensions that nobody here has, and what is about speed.
const CONFORMANCE: &[&str] = &["-x", "9.*", "-x", "12.*", "-x", "13.*"];
const CONFORMANCE_CASES: usize = 247;

/// Large messages, without those in fragments of 64 and 256 bytes, which say nothing more and take minutes.
const LARGE: &[&str] = &[
    "-i", "9.*", "-x", "9.3.1", "-x", "9.3.2", "-x", "9.4.1", "-x", "9.4.2",
];
const LARGE_CASES: usize = 50;

const RUNS: [(&str, &[&str], usize); 2] = [
    ("conformance", CONFORMANCE, CONFORMANCE_CASES),
    ("large", LARGE, LARGE_CASES),
];

async fn within<F: Future>(test: F) -> F::Output {
    match tokio::time::timeout(LIMIT, test).await {
        Ok(output) => output,
        Err(_) => panic!("the cases wait for something that does not happen"),
    }
}

/// Prints one line of the table, and asserts that every case passed.
fn tell(what: &str, run: &str, way: Way, cases: usize, totals: &Totals) {
    println!("| {what} | {run} | {way:?} | {totals} |");
    assert_eq!(totals.passed(), cases, "{totals:?}");
    assert_eq!(totals.all(), cases, "{totals:?}");
}

#[tokio::test]
async fn a_server_behind_the_tunnel_passes_as_it_does_directly() {
    let Some(kosoku) = Kosoku::find("server") else {
        return;
    };
    for way in ways(|way| way.near == Version::Http1) {
        for (run, cases, count) in RUNS {
            within(async {
                let world = World::with_app(way, echo::app()).await;
                let totals = kosoku
                    .client(world.addr, &format!("server-{:?}-{run}", way.place), cases)
                    .await;
                tell("our server", run, way, count, &totals);
                world.settled().await;
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_client_before_the_tunnel_passes_as_it_does_directly() {
    let Some(kosoku) = Kosoku::find("client") else {
        return;
    };
    for way in ways(|way| [Place::Direct, Place::Upstream].contains(&way.place)) {
        // kosoku does not speak HTTP/2 itself.
        if (way.place, way.near) == (Place::Direct, Version::Http2) {
            continue;
        }
        for (run, cases, count) in RUNS {
            within(async {
                let name = format!("client-{:?}-{:?}-{run}", way.place, way.near);
                let mut server = kosoku.server(&name, cases).await;
                let mut addr = server.addr;
                let mut tunnel = None;
                if way.place == Place::Upstream {
                    let upstream = Upstream::http1(format!("http://{addr}")).expect("an address");
                    let made = Tunnel::serve(upstream).await;
                    addr = made.addr;
                    tunnel = Some(made);
                }
                driver::run(way.near, addr).await;
                let totals = server.totals().await;
                tell("our client", run, way, count, &totals);
                if let Some(tunnel) = tunnel {
                    tunnel.settled().await;
                }
            })
            .await;
        }
    }
}
