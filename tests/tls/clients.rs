//! Clients that show certificates.

use tunnel_tests::{
    pki::{Ca, TlsClient},
    wait::within_limit,
};
use tunnel_transport::tls::{ServerTls, ServerTlsBuilder};

use crate::world::Port;

const WEB: &str =
    "https TLSv1.3 a.test web dns:web.clients.test uri:spiffe://test/web email:web@clients.test";
const NOBODY: &str = "https TLSv1.3 a.test -";

struct World {
    servers: Ca,
    clients: Ca,
    port: Port,
}

impl World {
    async fn new(describe: impl FnOnce(ServerTlsBuilder, &Ca) -> ServerTlsBuilder) -> Self {
        let (servers, clients) = (Ca::new("servers"), Ca::new("clients"));
        let tls = ServerTls::builder().certificate(servers.server(&["a.test"]).identity());
        let tls = describe(tls, &clients).build().expect("certificates");
        Self {
            port: Port::telling(&tls).await,
            servers,
            clients,
        }
    }

    /// What a client is told, or the alert that it gets.
    async fn get(&self, client: &TlsClient) -> String {
        match client.get(self.port.addr, "a.test").await {
            Ok(answer) => answer.text,
            Err(error) => root(&error),
        }
    }

    fn client(&self) -> TlsClient {
        TlsClient::new(&self.servers)
    }
}

/// The last of an error and its sources.
fn root(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[tokio::test]
async fn required_certificates() {
    within_limit(async {
        let world = World::new(|tls, ca| tls.require_client_certificates([ca.believed()])).await;
        let right = world.clients.client("web");
        assert_eq!(world.get(&world.client().showing(&right)).await, WEB);
        let of_tls12 = world.get(&world.client().showing(&right).tls12()).await;
        assert_eq!(of_tls12, WEB.replace("1.3", "1.2"));

        for (client, alert) in [
            (world.client(), "CertificateRequired"),
            (
                world.client().showing(&Ca::new("foreign").client("web")),
                "UnknownCA",
            ),
            (
                world.client().showing(&world.clients.expired_client("web")),
                "CertificateExpired",
            ),
            // It is valid for servers only.
            (
                world.client().showing(&world.clients.server(&["web"])),
                "UnsupportedCertificate",
            ),
        ] {
            let told = world.get(&client).await;
            assert!(told.contains(alert), "{alert}: {told}");
        }
    })
    .await;
}

#[tokio::test]
async fn optional_certificates() {
    within_limit(async {
        let world = World::new(|tls, ca| tls.request_client_certificates([ca.believed()])).await;
        assert_eq!(world.get(&world.client()).await, NOBODY);
        assert_eq!(
            world
                .get(&world.client().showing(&world.clients.client("web")))
                .await,
            WEB
        );
        // One that is not valid is not taken for none.
        let told = world
            .get(&world.client().showing(&Ca::new("foreign").client("web")))
            .await;
        assert!(told.contains("UnknownCA"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn nobody_is_asked_by_default() {
    within_limit(async {
        let world = World::new(|tls, _| tls).await;
        let client = world.client().showing(&world.clients.client("web"));
        assert_eq!(world.get(&client).await, NOBODY);
    })
    .await;
}

#[tokio::test]
async fn each_of_several_cas_is_believed() {
    within_limit(async {
        let second = Ca::new("second");
        let world =
            World::new(|tls, first| tls.require_client_certificates([first.believed(), second.believed()]))
                .await;
        for ca in [&world.clients, &second] {
            assert_eq!(world.get(&world.client().showing(&ca.client("web"))).await, WEB);
        }
    })
    .await;
}
