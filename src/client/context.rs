//! Clients of a cluster that is not ours, from a kubeconfig context that a person named.

use std::path::{Path, PathBuf};

use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use super::{Client, ClientError};
use crate::hint::{FailureKind, Hint};
use crate::secret::Secrets;

/// A context of a kubeconfig, named by a person.
#[derive(Clone, Debug)]
pub struct Named {
    /// Clients of its API.
    pub client: Client,
    /// Name of the context.
    pub context: String,
}

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// No cluster was named. The current context is never used by itself.
    #[error("no cluster is named: the current context of a kubeconfig is never used by itself")]
    None {
        /// The contexts of the kubeconfig.
        names: Vec<String>,
    },
    /// The context does not exist.
    #[error("no context is called {name}")]
    Unknown {
        /// The name.
        name: String,
        /// The contexts of the kubeconfig.
        names: Vec<String>,
    },
    /// The user of the context needs an auth provider, which kubectl has removed.
    #[error(
        "refused to use context {context}: its user needs the auth provider {provider}, which is not supported"
    )]
    Provider {
        /// The context.
        context: String,
        /// The auth provider.
        provider: String,
    },
    /// The plugin that gives the credentials is missing.
    #[error("context {context} needs the credential plugin {plugin}, which is not installed")]
    Plugin {
        /// The context.
        context: String,
        /// The program.
        plugin: String,
    },
    /// The kubeconfig or its client is not usable.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Named {
    /// Makes clients of a context. `files` are merged as kubectl merges those in `KUBECONFIG`: the first file that
    /// names a thing counts, and missing files are left out. Tokens, plugins that print them and proxies work as far as
    /// kube supports them. The secrets of the kubeconfig are remembered in `secrets`.
    ///
    /// # Errors
    /// [`ContextError`].
    pub async fn find(
        files: &[PathBuf],
        context: Option<&str>,
        secrets: &Secrets,
    ) -> Result<Self, ContextError> {
        let kubeconfig = merged(files)?;
        let names: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        let Some(name) = context else { return Err(ContextError::None { names }) };
        if !names.iter().any(|known| known == name) {
            return Err(ContextError::Unknown { name: name.into(), names });
        }
        if let Ok(value) = serde_json::to_value(&kubeconfig) {
            secrets.learn_from(&value);
        }
        let options = KubeConfigOptions { context: Some(name.into()), ..Default::default() };
        let path = files.first().cloned().unwrap_or_default();
        let read = |source| ClientError::Read { path, source: Box::new(source) };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(read)?;
        if let Some(provider) = &config.auth_info.auth_provider {
            return Err(ContextError::Provider { context: name.into(), provider: provider.name.clone() });
        }
        if let Some(plugin) = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone())
            && which::which(&plugin).is_err()
        {
            return Err(ContextError::Plugin { context: name.into(), plugin });
        }
        Ok(Self { client: Client::pair(config)?, context: name.into() })
    }
}

fn merged(files: &[PathBuf]) -> Result<Kubeconfig, ContextError> {
    let failed = |path: &Path, source| ClientError::Read { path: path.into(), source: Box::new(source) };
    let mut all = Kubeconfig::default();
    let is_there = |path: &&PathBuf| path.exists() || files.len() == 1;
    for path in files.iter().filter(is_there) {
        let read = Kubeconfig::read_from(path).map_err(|e| failed(path, e))?;
        all = all.merge(read).map_err(|e| failed(path, e))?;
    }
    Ok(all)
}

impl Hint for ContextError {
    fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::None { .. } | Self::Unknown { .. } => Some(FailureKind::Usage),
            Self::Provider { .. } => Some(FailureKind::Refused),
            Self::Plugin { .. } => Some(FailureKind::Unavailable),
            Self::Client(error) => error.failure(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::None { names } | Self::Unknown { names, .. } if names.is_empty() => Some(
                "--cluster NAME names a cluster of `seatrial list`; the kubeconfig has no context for --context".into(),
            ),
            Self::None { names } | Self::Unknown { names, .. } => Some(format!(
                "--context NAME names one of {}; --cluster NAME one of `seatrial list`",
                names.join(", ")
            )),
            Self::Provider { .. } => {
                Some("give the context's user a token, a client certificate or a credential plugin (exec)".into())
            }
            Self::Plugin { plugin, .. } => Some(format!("install {plugin}, or put its folder into PATH")),
            Self::Client(ClientError::Make { .. }) => {
                Some("kubectl --context NAME version shows whether the credentials and the proxy work".into())
            }
            Self::Client(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(dir: &Path, name: &str, user: &str) -> PathBuf {
        let file = dir.join(name);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
             clusters: [{{name: {name}, cluster: {{server: \"https://prod.example.org\"}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]\n\
             users: [{{name: {name}, user: {user}}}]\n"
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    #[tokio::test]
    async fn a_context_must_be_named_and_its_secrets_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            kubeconfig(dir.path(), "a", "{token: t0ken-of-a}"),
            dir.path().join("missing"),
            kubeconfig(dir.path(), "b", "{auth-provider: {name: gcp}}"),
        ];
        let secrets = Secrets::default();
        let find = async |context: Option<&str>| Named::find(&files, context, &secrets).await;
        let none = find(None).await.unwrap_err();
        assert!(none.hint().unwrap().contains("one of a, b;"), "{:?}", none.hint());
        assert!(matches!(find(Some("c")).await.unwrap_err(), ContextError::Unknown { .. }));
        let named = find(Some("a")).await.unwrap();
        assert_eq!(named.client.server, "https://prod.example.org/");
        assert!(!secrets.hide("x t0ken-of-a y").contains("t0ken-of-a"));
        assert!(
            matches!(find(Some("b")).await.unwrap_err(), ContextError::Provider { provider, .. } if provider == "gcp")
        );
    }

    #[tokio::test]
    async fn a_plugin_that_is_missing_is_named_before_anything_starts() {
        let dir = tempfile::tempdir().unwrap();
        let user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}}";
        let file = kubeconfig(dir.path(), "a", user);
        let error = Named::find(&[file], Some("a"), &Secrets::default()).await.unwrap_err();
        assert!(
            matches!(&error, ContextError::Plugin { plugin, .. } if plugin == "no-such-plugin"),
            "{error}"
        );
    }
}
