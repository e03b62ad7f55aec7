//! Containers beside the clusters, for a piece of work. They live as long as whoever made them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Mutex;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions};
use tokio::io::AsyncWrite;

use super::{Engine, EngineError};

/// What a container beside the clusters is made of.
#[derive(Clone, Copy, Debug)]
pub struct AsideSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its image, which the engine has. What the image would start is not started.
    pub image: &'a str,
    /// Shell commands that run before it waits. They start what is to run in the background.
    pub script: &'a str,
    /// Labels, beside those of its image.
    pub labels: &'a [(&'a str, &'a str)],
    /// A folder that is a volume of its own, filled from the image. A container that has one may mount, as is
    /// needed to read images without packed layers.
    pub volume: Option<&'a str>,
}

/// A container beside the clusters. It has no network.
///
/// # Guarantees
/// Its first process reads from our connection, and ends when that is closed: by dropping this, and
/// by the kernel when we are killed. The engine then removes it with its volume. Only one that was
/// made and never started stays, and is found by its labels.
pub struct Aside {
    // Never read from; a mutex lets several threads have it.
    _input: Mutex<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aside").finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes and starts a container beside the clusters. Take it away with [`Engine::remove`].
    ///
    /// # Errors
    /// [`EngineError::NotFound`] without the image: nothing is pulled; [`EngineError::Api`],
    /// [`EngineError::Timeout`] after 120 s for each of making, joining and starting it.
    pub async fn aside(&self, spec: AsideSpec<'_>) -> Result<Aside, EngineError> {
        let AsideSpec { name, image, script, labels, volume } = spec;
        let labels: HashMap<String, String> =
            labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let host = HostConfig {
            privileged: Some(volume.is_some()),
            network_mode: Some("none".into()),
            auto_remove: Some(true),
            ..Default::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.into()),
            entrypoint: Some(vec!["/bin/sh".into(), "-c".into(), format!("{script}\nexec cat")]),
            cmd: Some(Vec::new()),
            labels: Some(labels),
            volumes: volume.map(|folder| vec![folder.to_owned()]),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            host_config: Some(host),
            ..Default::default()
        };
        let doing = || format!("failed to make container {name} from {image}");
        let options = CreateContainerOptions { name: Some(name.into()), ..Default::default() };
        let made = self.ask(doing, self.work(), self.docker.create_container(Some(options), body)).await;
        made.map_err(|e| e.or_not_found("image", image))?;
        let doing = || format!("failed to join container {name}");
        let options = AttachContainerOptions { stream: true, stdin: true, ..Default::default() };
        let joined = self.ask(doing, self.work(), self.docker.attach_container(name, Some(options))).await?;
        self.start(name).await?;
        Ok(Aside { _input: Mutex::new(joined.input) })
    }
}
