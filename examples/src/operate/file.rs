//! What a configuration file says of its program's admin interface. Nothing else of it is looked at, so that the command needs none of
//! the secrets and files that the program does.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use serde_json::Value;

use super::Problem;

/// Where the interface is, and how it is asked.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) url: String,
    pub(super) token: Option<String>,
    /// Why the file gives no token though it has one.
    pub(super) missing: Option<String>,
}

/// Reads it.
pub(super) fn find(path: &Path) -> Result<Found, Problem> {
    let file = path.display();
    let wrong = |text: String| Problem::Wrong(format!("{file}: {text}"));
    let text =
        fs::read_to_string(path).map_err(|error| wrong(format!("the file cannot be read: {error}")))?;
    let all: Value =
        serde_saphyr::from_str(&text).map_err(|error| wrong(format!("it is no YAML: {error}")))?;
    let admin = &all["admin"];
    let listen = admin["listen"].as_str().ok_or_else(|| {
        wrong(
            "it has no admin interface: add `admin: {listen: 127.0.0.1:9090}`, or say where with --admin URL"
                .to_owned(),
        )
    })?;
    let listen: SocketAddr = listen
        .parse()
        .map_err(|_| wrong(format!("`{listen}` in `admin` is no address")))?;
    if listen.port() == 0 {
        let text = "the system chooses the port of `admin`: say which with --admin URL, as the program's `ready` line has it";
        return Err(wrong(text.to_owned()));
    }
    let scheme = if admin["tls"].is_null() { "http" } else { "https" };
    let (token, missing) = match token(admin, path.parent().unwrap_or(Path::new(""))) {
        Ok(token) => (token, None),
        Err(missing) => (None, Some(missing)),
    };
    Ok(Found {
        url: format!("{scheme}://{}", reachable(listen)),
        token,
        missing,
    })
}

/// Where programs on this machine reach what listens everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn token(admin: &Value, directory: &Path) -> Result<Option<String>, String> {
    if let Some(token) = admin["token"].as_str() {
        return Ok(Some(token.to_owned()));
    }
    if let Some(name) = admin["token_env"].as_str() {
        let value = env::var(name).ok().filter(|value| !value.is_empty());
        let text = format!(
            "the token stands in the environment variable `{name}`, which is not set here: set it, or give --token-env or --token-file"
        );
        return value.map(Some).ok_or(text);
    }
    match admin["token_file"].as_str() {
        Some(file) => read(&directory.join(file)).map(Some),
        None => Ok(None),
    }
}

/// A token that stands in a file alone.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("the token's file `{}` cannot be read: {error}", path.display()))?;
    match text.trim_end() {
        "" => Err(format!("the token's file `{}` is empty", path.display())),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_on_this_machine() {
        for (listen, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
