//! Files that are wrong, and handshakes on pipes with paused time. The suite `tls` of the workspace has the sockets.

mod files;
mod pipes;
mod reload;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{CertificateParams, KeyPair};

use super::{ClientTls, Identity, Pem, ServerTls};

/// A certificate that signs itself, and its key.
struct Made {
    certificate: String,
    key: String,
}

impl Made {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        Self {
            certificate: params.self_signed(&key).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    fn identity(&self) -> Identity {
        Identity::new(Pem::bytes(&self.certificate), Pem::bytes(&self.key))
    }

    fn server(&self) -> ServerTls {
        ServerTls::builder()
            .certificate(self.identity())
            .build()
            .expect("a server")
    }

    fn client(&self) -> ClientTls {
        ClientTls::builder()
            .ca(Pem::bytes(&self.certificate))
            .build()
            .expect("a client")
    }

    fn write(&self, directory: &Directory) -> Identity {
        let (certificate, key) = (directory.file("a.pem"), directory.file("a.key"));
        std::fs::write(&certificate, &self.certificate).expect("a file");
        std::fs::write(&key, &self.key).expect("a file");
        Identity::files(certificate, key)
    }
}

/// A directory of a test, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tunnel-unit-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a directory of our own");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
