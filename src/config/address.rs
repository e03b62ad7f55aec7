//! Finds the engine's address as the `docker` program does. kind calls that program: if the two used different engines,
//! seatrial would check a cluster on one engine and delete it on another.

use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::Deserialize;

/// The engine's address if no setting names another.
pub const DEFAULT: &str = "unix:///var/run/docker.sock";

/// A docker context that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// A file of the docker program cannot be read.
    #[error("failed to read {} of docker context {context:?}", .path.display())]
    File {
        /// The context.
        context: String,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The file names no engine.
    #[error("{} of docker context {context:?} names no engine", .path.display())]
    Nothing {
        /// The context.
        context: String,
        /// The file.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext", default)]
    current: String,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints")]
    endpoints: std::collections::BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

/// Returns the engine's address: `DOCKER_HOST`, else the address of the context that `DOCKER_CONTEXT` or the docker
/// program's configuration names, else [`DEFAULT`]. `get` returns a variable that is set and not empty.
///
/// The order is that of Docker's documentation of contexts. A configuration that is missing or not JSON names no
/// context: docker itself warns and continues.
///
/// # Errors
/// [`AddressError`] if the named context does not exist; docker refuses it as well.
pub fn address(get: impl Fn(&str) -> Option<String>) -> Result<String, AddressError> {
    if let Some(host) = get("DOCKER_HOST") {
        return Ok(host);
    }
    let own = get("DOCKER_CONFIG").map(PathBuf::from);
    let Some(dir) = own.or_else(|| get("HOME").map(|home| Path::new(&home).join(".docker"))) else {
        return Ok(DEFAULT.into());
    };
    let configured = || {
        let bytes = std::fs::read(dir.join("config.json")).ok()?;
        serde_json::from_slice::<ConfigFile>(&bytes).ok().map(|c| c.current)
    };
    match get("DOCKER_CONTEXT").or_else(configured).filter(|name| !name.is_empty() && name != "default") {
        Some(context) => of_context(&dir, context),
        None => Ok(DEFAULT.into()),
    }
}

fn of_context(dir: &Path, context: String) -> Result<String, AddressError> {
    let folder = hex::encode(digest(&SHA256, context.as_bytes()));
    let path = dir.join("contexts").join("meta").join(folder).join("meta.json");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(AddressError::File { context, path, source }),
    };
    let host = serde_json::from_slice::<Meta>(&bytes).ok().and_then(|mut m| m.endpoints.remove("docker"));
    match host.map(|endpoint| endpoint.host).filter(|host| !host.is_empty()) {
        Some(host) => Ok(host),
        None => Err(AddressError::Nothing { context, path }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a docker program's folder with this configuration and a context `desktop-linux`.
    fn docker(config: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        // The sha256 of `desktop-linux`, as Docker Desktop names the folder.
        let name = "fe9c6bd7a66301f49ca9b6a70b217107cd1284598bfc254700c989b916da791e";
        let meta = dir.path().join("contexts/meta").join(name);
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"desktop-linux","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///d.sock","SkipTLSVerify":false}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        dir
    }

    #[test]
    fn an_address_is_found_as_docker_finds_it() {
        let dir = docker(r#"{"auths":{},"currentContext":"desktop-linux"}"#);
        let with = |more: &[(&str, &str)]| {
            address(|name| match name {
                "DOCKER_CONFIG" => Some(dir.path().display().to_string()),
                _ => more.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
            })
        };
        assert_eq!(with(&[]).unwrap(), "unix:///d.sock");
        assert_eq!(with(&[("DOCKER_HOST", "tcp://h:1"), ("DOCKER_CONTEXT", "x")]).unwrap(), "tcp://h:1");
        assert_eq!(with(&[("DOCKER_CONTEXT", "default")]).unwrap(), DEFAULT);
        let error = with(&[("DOCKER_CONTEXT", "gone")]).unwrap_err().to_string();
        assert!(error.contains("docker context \"gone\""), "{error}");
        let dir = docker("{}");
        let plain = address(|name| (name == "DOCKER_CONFIG").then(|| dir.path().display().to_string()));
        assert_eq!(plain.unwrap(), DEFAULT);
        assert_eq!(address(|_| None).unwrap(), DEFAULT);
    }
}
