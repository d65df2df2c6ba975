//! grpcio as a client, as a server, and as both.

mod errors;
mod python;
mod table;

use std::net::SocketAddr;

use tunnel_tests::{
    pki::Ca,
    tunnel::{GROUP, Tunnel},
};
use tunnel_transport::{Upstream, entry::Entry, tls::ServerTls};

use self::{
    python::{Python, Script},
    table::{Results, Table},
};
use crate::{
    cases::CASES,
    world::{PLACES, Place, World, settled, within},
};

/// All cases with tonic's client.
async fn tonic(addr: SocketAddr) -> Results {
    let mut results = Results::new();
    for (name, case) in CASES {
        // A task keeps a panic to itself.
        let result = tokio::spawn(case(addr)).await;
        results.insert((*name).to_owned(), result.map_err(|error| error.to_string()));
    }
    results
}

/// A grpcio server, and the way to it.
struct Foreign {
    addr: SocketAddr,
    tunnel: Option<Tunnel>,
    _server: Script,
}

impl Foreign {
    async fn new(python: &Python, place: Place) -> Self {
        let (server, addr) = python.serve().await;
        let mut foreign = Self {
            addr,
            tunnel: None,
            _server: server,
        };
        if place != Place::Direct {
            let upstream = Upstream::h2c(format!("http://{addr}")).expect("an address");
            let tunnel = Tunnel::serve(upstream).await;
            foreign.addr = tunnel.addr;
            foreign.tunnel = Some(tunnel);
        }
        foreign
    }

    async fn settled(&self) {
        if let Some(tunnel) = &self.tunnel {
            settled(tunnel).await;
        }
    }
}

/// Every case over TLS, through the tunnel and back to a server of its own.
#[tokio::test]
async fn every_case_of_grpcio_over_tls() {
    let ca = Ca::new("interop");
    let Some(python) = Python::find("tls") else {
        return;
    };
    let python = python.believing(&ca.pem);
    let mut table = Table::default();
    within("grpcio over TLS", async {
        let (_server, addr) = python.serve().await;
        let tls = ServerTls::builder().certificate(ca.server(&["127.0.0.1"]).identity());
        let entry = Entry::new().tls(tls.build().expect("certificates"));
        let mut tunnel = Tunnel::builder().entry(entry).start().await;
        let upstream = Upstream::h2c(format!("http://{addr}")).expect("an address");
        tunnel.add_agent(GROUP, upstream).await;
        let results = python.cases(tunnel.addr, &[]).await;
        table.add("grpcio over TLS", "grpcio", Place::Upstream, results);
        settled(&tunnel).await;
    })
    .await;
    table.print();
    table.assert_ok();
}

#[tokio::test]
async fn every_case_between_tonic_and_grpcio() {
    let Some(python) = Python::find("cases") else {
        return;
    };
    let mut table = Table::default();
    let tonics: Vec<_> = CASES.iter().map(|(name, _)| *name).collect();
    for place in PLACES {
        within("tonic's server", async {
            let world = World::new(place).await;
            table.add("tonic", "tonic", place, tonic(world.addr).await);
            world.settled().await;
            // tonic's server has no decompressor here.
            table.add("grpcio", "tonic", place, python.cases(world.addr, &tonics).await);
            world.settled().await;
        })
        .await;
    }
    for place in [Place::Direct, Place::Upstream] {
        within("grpcio's server", async {
            let foreign = Foreign::new(&python, place).await;
            table.add("tonic", "grpcio", place, tonic(foreign.addr).await);
            foreign.settled().await;
            table.add("grpcio", "grpcio", place, python.cases(foreign.addr, &[]).await);
            foreign.settled().await;
        })
        .await;
    }
    table.print();
    table.assert_ok();
}
