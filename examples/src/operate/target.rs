use std::{env, path::PathBuf};

use clap::Args;
use tunnel_transport::{
    Upstream,
    tls::{ClientTls, Identity, Pem},
    upstream::UpstreamProtocol,
};

use super::{Ask, Problem, file};

const HEADING: &str = "For commands";

/// Which program is asked, and how.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// The YAML file: with it the program starts, or a command finds by its `admin` where the program that runs is asked.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Where it is asked, such as http://127.0.0.1:9090.
    #[arg(long, value_name = "URL", global = true, help_heading = HEADING, env = "TUNNEL_ADMIN")]
    admin: Option<String>,
    /// The environment variable that has the token.
    #[arg(long, value_name = "NAME", global = true, help_heading = HEADING, conflicts_with = "token_file")]
    token_env: Option<String>,
    /// The file that has the token.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING)]
    token_file: Option<PathBuf>,
    /// The CAs that its certificate may come from, with https; those of the system otherwise.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING)]
    ca: Option<PathBuf>,
    /// The name that its certificate must have, if it is not that of the address.
    #[arg(long, value_name = "NAME", global = true, help_heading = HEADING)]
    server_name: Option<String>,
    /// A certificate to show, with its key.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING, requires = "key")]
    cert: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING, requires = "cert")]
    key: Option<PathBuf>,
    /// JSON, as the interface answers it, in the place of a table.
    #[arg(long, global = true, help_heading = HEADING)]
    pub(super) json: bool,
}

impl Target {
    /// How it is asked.
    pub(super) fn ask(&self) -> Result<Ask, Problem> {
        let found = match (&self.admin, &self.config) {
            (Some(url), _) => file::Found {
                url: url.clone(),
                token: None,
                missing: None,
            },
            (None, Some(path)) => file::find(path)?,
            (None, None) => {
                let text = "which program? Give its file with --config FILE, or the address of its admin interface with --admin URL";
                return Err(Problem::Wrong(text.to_owned()));
            }
        };
        let token = self.token()?.or(found.token);
        let missing = found.missing.filter(|_| token.is_none());
        let upstream = self.upstream(&found.url)?;
        Ok(Ask::new(upstream, &found.url, token, missing))
    }

    fn token(&self) -> Result<Option<String>, Problem> {
        if let Some(path) = &self.token_file {
            return file::read(path).map(Some).map_err(Problem::Wrong);
        }
        let Some(name) = &self.token_env else {
            return Ok(None);
        };
        let value = env::var(name).ok().filter(|value| !value.is_empty());
        let text = || format!("the environment variable `{name}` is not set: put the admin token into it");
        value.map(Some).ok_or_else(|| Problem::Wrong(text()))
    }

    /// A client of it.
    fn upstream(&self, url: &str) -> Result<Upstream, Problem> {
        let wrong = |error: &dyn std::fmt::Display| Problem::Wrong(format!("--admin: {error}"));
        let builder = Upstream::builder(url).protocol(UpstreamProtocol::Http1);
        let builder = match url.starts_with("https://") {
            true => builder.tls(self.tls()?),
            false => builder,
        };
        builder.build().map_err(|error| wrong(&error))
    }

    fn tls(&self) -> Result<tunnel_transport::tls::ClientTlsBuilder, Problem> {
        let mut tls = ClientTls::builder();
        if let Some(ca) = &self.ca {
            tls = tls.ca(Pem::file(ca.clone()));
        }
        if let Some(name) = &self.server_name {
            tls = tls.server_name(name);
        }
        if let Some((cert, key)) = self.cert.as_ref().zip(self.key.as_ref()) {
            tls = tls.client_certificate(Identity::files(cert.clone(), key.clone()));
        }
        let built = tls.clone().build();
        built.map_err(|error| Problem::Wrong(format!("--ca, --cert and --key: {error}")))?;
        Ok(tls)
    }
}
