//! Containers next to the clusters that run one piece of work and end with the process that made them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Mutex;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions};
use tokio::io::AsyncWrite;

use super::{Engine, EngineError};

/// The settings of a container next to the clusters.
#[derive(Clone, Copy, Debug)]
pub struct AsideSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its image, which must be in the engine. The image's own command is not started.
    pub image: &'a str,
    /// Shell commands that run at the start. They start programs in the background; then the container waits.
    pub script: &'a str,
    /// Labels in addition to those of its image.
    pub labels: &'a [(&'a str, &'a str)],
    /// A folder that becomes a volume, filled from the image. A container with such a volume may mount file systems,
    /// which reading an image without packed layers needs.
    pub volume: Option<&'a str>,
}

/// A container next to the clusters, without a network.
///
/// # Guarantees
/// Its first process reads from our connection and ends when the connection closes: when this value is dropped, or when
/// the kernel closes it after seatrial was killed. The engine then removes the container and its volume. Only a
/// container that was created and never started is left; it is found by its labels.
pub struct Aside {
    // Only keeps the connection open. The mutex makes the type usable from several threads.
    _input: Mutex<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aside").finish_non_exhaustive()
    }
}

impl Engine {
    /// Creates and starts a container next to the clusters. Remove it with [`Engine::remove`].
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if the image is missing, because nothing is pulled; [`EngineError::Api`];
    /// [`EngineError::Timeout`] after 120 s each for creating, attaching to and starting the container.
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
        let doing = || format!("failed to attach to container {name}");
        let options = AttachContainerOptions { stream: true, stdin: true, ..Default::default() };
        let joined = self.ask(doing, self.work(), self.docker.attach_container(name, Some(options))).await?;
        self.start(name).await?;
        Ok(Aside { _input: Mutex::new(joined.input) })
    }
}
