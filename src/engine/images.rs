//! Images in the engine: inspect, pull, load, save, tag and remove.

use std::collections::BTreeMap;
use std::path::Path;

use bollard::models::{BuildInfo, ImageInspect};
use bollard::query_parameters::{
    BuildImageOptions, CreateImageOptions, ImportImageOptions, RemoveImageOptions, TagImageOptions,
};
use futures::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::{Engine, EngineError};
use crate::deadline::Deadline;

/// An image as the engine describes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ImageInfo {
    /// Its content id, `sha256:...`.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Bytes on the engine's disk.
    pub size: u64,
    /// `repository@sha256:...`, if the image came from a registry.
    pub repo_digests: Vec<String>,
    /// `repository:tag`.
    pub repo_tags: Vec<String>,
    /// The architecture, such as `amd64`.
    pub architecture: String,
}

impl Engine {
    /// Returns the image of this reference or id, or none if the engine does not have it. Nothing is pulled.
    ///
    /// # Errors
    /// [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        let doing = || format!("failed to inspect image {reference}");
        match self.ask(doing, self.quick(), self.docker.inspect_image(reference)).await {
            Ok(found) => Ok(Some(read(found))),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Pulls an image for the engine's own architecture. No credentials are sent: those of `docker login` belong to the
    /// docker client. `detail` receives the progress of each layer, and whether the layer has moved since its last
    /// report. A reference without tag and digest means `latest`.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if the registry has no such image, [`EngineError::NoSpace`], [`EngineError::Timeout`],
    /// [`EngineError::Api`], also if the registry refuses or has no image for the architecture.
    ///
    /// # Cancellation
    /// The engine stops the pull.
    pub async fn pull(
        &self,
        reference: &str,
        deadline: Deadline,
        mut detail: impl FnMut(&str, bool),
    ) -> Result<ImageInfo, EngineError> {
        let doing = || format!("failed to pull {reference}");
        let from = tagged(reference);
        let options = CreateImageOptions { from_image: Some(from), ..Default::default() };
        let mut steps = self.docker.create_image(Some(options), None, None);
        let work = async {
            // Some image stores report every open layer many times a second, even without progress.
            let mut last: BTreeMap<String, (String, Option<i64>)> = BTreeMap::new();
            while let Some(step) = steps.try_next().await? {
                let (id, status) = (step.id.unwrap_or_default(), step.status.unwrap_or_default());
                let progress = step.progress_detail.and_then(|p| Some((p.current?, p.total?)));
                let part =
                    progress.map(|(now, all)| format!(" {} of {} MB", now / 1_000_000, all / 1_000_000));
                let text = format!("{id} {status}{}", part.unwrap_or_default());
                let now = (status, progress.map(|(now, _)| now));
                let moved = last.get(&id) != Some(&now);
                last.insert(id, now);
                detail(text.trim(), moved);
            }
            Ok(())
        };
        let pulled = self.ask(doing, deadline, work).await;
        pulled.map_err(|e| if says_more(&e) { e } else { e.or_not_found("image", reference) })?;
        self.existing_image(reference).await
    }

    /// Returns the digest, `sha256:...`, that the reference has in its registry now. The engine asks, through its own
    /// network and with its own certificates.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Timeout`], [`EngineError::Api`].
    pub async fn registry_digest(&self, reference: &str, deadline: Deadline) -> Result<String, EngineError> {
        let doing = || format!("failed to ask the registry for {reference}");
        let asked = self.ask(doing, deadline, self.docker.inspect_registry_image(reference, None)).await;
        let found = asked.map_err(|e| e.or_not_found("image", reference))?;
        let missing = || EngineError::NotFound { what: "digest of image", name: reference.into() };
        found.descriptor.digest.ok_or_else(missing)
    }

    /// Loads an archive written by [`Engine::save`] or `docker save`. Returns the references of its images, or the ids
    /// of images without a reference.
    ///
    /// # Errors
    /// [`EngineError::File`], [`EngineError::NoSpace`], [`EngineError::Timeout`],
    /// [`EngineError::Api`].
    pub async fn load(&self, archive: &Path, deadline: Deadline) -> Result<Vec<String>, EngineError> {
        let doing = || format!("failed to load {}", archive.display());
        let file = tokio::fs::File::open(archive).await;
        let file = file.map_err(|source| EngineError::File { path: archive.into(), source })?;
        let body = ReaderStream::with_capacity(file, 1 << 18);
        let options = ImportImageOptions { quiet: true, ..Default::default() };
        let steps = self.docker.import_image_stream(options, body, None);
        let said: Vec<BuildInfo> = self.ask(doing, deadline, steps.try_collect()).await?;
        let lines: String = said.into_iter().filter_map(|s| s.stream).collect();
        Ok(loaded(&lines))
    }

    /// Writes images into one archive, which gets its name only when it is complete.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::File`], [`EngineError::Timeout`],
    /// [`EngineError::Api`].
    pub async fn save(&self, references: &[&str], to: &Path, deadline: Deadline) -> Result<(), EngineError> {
        let doing = || format!("failed to save {}", references.join(" "));
        let file_error = |source| EngineError::File { path: to.into(), source };
        for reference in references {
            self.existing_image(reference).await?;
        }
        let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let part = tempfile::NamedTempFile::new_in(folder).map_err(file_error)?;
        let mut file = tokio::fs::File::from_std(part.reopen().map_err(file_error)?);
        let mut pieces = self.docker.export_images(references).boxed();
        let work = async {
            while let Some(piece) = pieces.try_next().await? {
                file.write_all(&piece).await?;
            }
            file.flush().await?;
            Ok(())
        };
        self.ask(doing, deadline, work).await?;
        part.persist(to).map(|_| ()).map_err(|e| file_error(e.error))
    }

    /// Creates `tag` from `from` with additional labels. The content stays the same: no layer is added and no container
    /// is created.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if `from` is missing, because nothing is pulled; [`EngineError::Timeout`] after 120 s;
    /// [`EngineError::Api`].
    pub async fn label_image(
        &self,
        from: &str,
        tag: &str,
        labels: &[(&str, &str)],
    ) -> Result<ImageInfo, EngineError> {
        let doing = || format!("failed to label {from} as {tag}");
        let base = self.existing_image(from).await?;
        // A build, not a commit: a commit needs a container, whose volumes would be filled first.
        let context =
            dockerfile(&base.id).map_err(|source| EngineError::File { path: "Dockerfile".into(), source })?;
        let options = BuildImageOptions {
            dockerfile: "Dockerfile".into(),
            t: Some(tag.into()),
            labels: Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
            rm: true,
            forcerm: true,
            ..Default::default()
        };
        let body = bollard::body_full(context.into());
        let steps = self.docker.build_image(options, None, Some(body));
        let drained = steps.try_for_each(|_| async { Ok(()) });
        self.ask(doing, self.work(), drained).await?;
        self.existing_image(tag).await
    }

    /// Gives an existing image another name. If another image has that name, it loses the name.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if `from` is missing, [`EngineError::Api`], [`EngineError::Timeout`] after 30 s.
    pub async fn tag_image(&self, from: &str, name: &str) -> Result<(), EngineError> {
        let doing = || format!("failed to tag {from} as {name}");
        let (repo, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let options = TagImageOptions { repo: Some(repo.into()), tag: Some(tag.into()) };
        let work = self.docker.tag_image(from, Some(options));
        self.ask(doing, self.quick(), work).await.map_err(|e| e.or_not_found("image", from))
    }

    /// Removes a reference, and the image if that was its last reference. Does nothing if the reference does not exist.
    ///
    /// # Errors
    /// [`EngineError::Api`] if a container uses the image, [`EngineError::Timeout`] after 120 s.
    pub async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let doing = || format!("failed to remove image {reference}");
        let work = self.docker.remove_image(reference, None::<RemoveImageOptions>, None);
        match self.ask(doing, self.work(), work).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn existing_image(&self, reference: &str) -> Result<ImageInfo, EngineError> {
        let missing = || EngineError::NotFound { what: "image", name: reference.into() };
        self.image(reference).await?.ok_or_else(missing)
    }
}

/// Whether an answer has a reason other than a missing image: engines use 404 for these reasons too.
fn says_more(error: &EngineError) -> bool {
    let EngineError::Api { source, .. } = error else { return false };
    let said = source.to_string().to_lowercase();
    ["denied", "no matching manifest", "no match for platform"].iter().any(|words| said.contains(words))
}

fn read(found: ImageInspect) -> ImageInfo {
    ImageInfo {
        id: found.id.unwrap_or_default(),
        labels: found.config.and_then(|c| c.labels).unwrap_or_default().into_iter().collect(),
        size: found.size.and_then(|s| u64::try_from(s).ok()).unwrap_or_default(),
        repo_digests: found.repo_digests.unwrap_or_default(),
        repo_tags: found.repo_tags.unwrap_or_default(),
        architecture: found.architecture.unwrap_or_default(),
    }
}

/// Adds `latest` to a bare repository, of which Docker would pull every tag.
fn tagged(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains([':', '@']) { reference.into() } else { format!("{reference}:latest") }
}

/// Parses Docker's output: a line `Loaded image: name` or `Loaded image ID: sha256:..` for each image.
fn loaded(said: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.trim().strip_prefix("Loaded image")?;
        Some(rest.split_once(": ")?.1.trim().to_owned())
    };
    said.lines().filter_map(name).collect()
}

fn dockerfile(from: &str) -> std::io::Result<Vec<u8>> {
    let text = format!("FROM {from}\n");
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "Dockerfile", text.as_bytes())?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_repository_means_latest() {
        assert_eq!(tagged("nginx"), "nginx:latest");
        assert_eq!(tagged("localhost:5000/nginx"), "localhost:5000/nginx:latest");
        assert_eq!(tagged("nginx:1.27"), "nginx:1.27");
        assert_eq!(tagged("nginx@sha256:00"), "nginx@sha256:00");
    }

    #[test]
    fn loaded_names_are_read_from_what_docker_says() {
        let said = "Loaded image: a/b:1\nLoaded image ID: sha256:00\n";
        assert_eq!(loaded(said), ["a/b:1", "sha256:00"]);
    }
}
