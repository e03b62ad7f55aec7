//! Loads images from the engine onto nodes.

use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::io::AsyncRead;

use super::error::ImageError;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::node;
use crate::progress::Progress;

/// Imports an archive into the node's containerd. With `--local` (containerd 2), the import does not use the transfer
/// service, and accepts archives that lack other platforms of an index, as Docker's containerd store writes them
/// (kind#3795). Packed layers are discarded because nothing needs them after they are unpacked.
const IMPORT: &str = "case $(ctr images import --help) in *--local*) \
     exec ctr -n k8s.io images import --local --discard-unpacked-layers \"$@\" - ;; \
     *) exec ctr -n k8s.io images import \"$@\" - ;; esac";

/// The CRI label of an image that must not be removed.
const PINNED: &str = "--label=io.cri-containerd.pinned=pinned";

/// The prefix of a folder with an archive that is being loaded onto nodes.
const FOLDER: &str = "load-";

/// Time limit for asking a node for its images.
const QUICK: Duration = Duration::from_secs(60);

/// An image and the nodes that it was loaded onto.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub reference: String,
    /// The nodes that it was loaded onto; the other nodes had it already.
    pub onto: Vec<String>,
}

/// Loads images of the engine onto nodes.
#[derive(Clone, Copy, Debug)]
pub struct Loader<'a> {
    /// The engine, which has the images.
    pub engine: &'a Engine,
    /// A folder on a disk with room for the largest image.
    pub scratch: &'a Path,
    /// Receives the progress.
    pub progress: &'a Progress,
}

impl Loader<'_> {
    /// Loads one image after the other, each onto all nodes in parallel. A node that has an image of that name is
    /// skipped, because a name identifies the content.
    ///
    /// # Errors
    /// [`ImageError::Engine`] if an image or a node is missing, a disk is full, or the deadline passed;
    /// [`ImageError::NotThere`].
    pub async fn load(
        &self,
        nodes: &[&str],
        references: &[&str],
        deadline: Deadline,
    ) -> Result<Vec<Loaded>, ImageError> {
        let Self { engine, scratch, progress } = self;
        let having = nodes.iter().map(|node| node::images(engine, node, deadline.at_most(QUICK)));
        let having = try_join_all(having).await?;
        let mut loaded = Vec::new();
        for reference in references {
            let lacking = nodes.iter().zip(&having).filter(|(_, images)| !images.contains(*reference));
            let lacking: Vec<&str> = lacking.map(|(node, _)| *node).collect();
            if !lacking.is_empty() {
                let task = format!("load {reference}");
                progress.task(&task, one(engine, &lacking, reference, scratch, deadline)).await?;
            }
            let onto = lacking.into_iter().map(str::to_owned).collect();
            loaded.push(Loaded { reference: (*reference).into(), onto });
        }
        Ok(loaded)
    }
}

/// Whether [`Loader::load`] created this folder in its scratch folder. If no process uses the folder, its process was killed
/// while the engine wrote the archive.
pub fn is_archive_folder(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOLDER))
}

/// An archive of images.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    /// The file.
    pub file: &'a Path,
    /// The full names of its images.
    pub references: &'a [&'a str],
}

/// Loads an archive onto a node, unless the node has all of its images, and returns whether it did. The images are
/// pinned: kubelets do not remove them even when they are unused. `paced` turns the open archive into the reader that
/// is sent.
///
/// # Errors
/// As [`Loader::load`].
pub async fn load_archive<R: AsyncRead + Unpin + Send>(
    engine: &Engine,
    node: &str,
    archive: &Archive<'_>,
    paced: impl FnOnce(tokio::fs::File) -> R,
    deadline: Deadline,
) -> Result<bool, ImageError> {
    let Archive { file: archive, references } = archive;
    if missing(engine, node, references, deadline).await?.is_empty() {
        return Ok(false);
    }
    let open = |source| ImageError::Archive { reference: archive.display().to_string(), source };
    let file = tokio::fs::File::open(archive).await.map_err(open)?;
    engine.exec_reading(node, &["sh", "-c", IMPORT, "import", PINNED], paced(file), deadline).await?;
    match missing(engine, node, references, deadline).await?.first() {
        None => Ok(true),
        Some(first) => Err(ImageError::NotThere { reference: first.clone(), place: node.into() }),
    }
}

/// Returns the full names of the images that a node lacks.
async fn missing(
    engine: &Engine,
    node: &str,
    references: &[&str],
    deadline: Deadline,
) -> Result<Vec<String>, ImageError> {
    let there = node::images(engine, node, deadline.at_most(QUICK)).await?;
    Ok(references.iter().filter(|r| !there.contains(**r)).map(|r| (*r).to_owned()).collect())
}

async fn one(
    engine: &Engine,
    nodes: &[&str],
    reference: &str,
    scratch: &Path,
    deadline: Deadline,
) -> Result<(), ImageError> {
    let archive = |source| ImageError::Archive { reference: reference.into(), source };
    tokio::fs::create_dir_all(scratch).await.map_err(archive)?;
    let folder = tempfile::Builder::new().prefix(FOLDER).tempdir_in(scratch).map_err(archive)?;
    let path = folder.path().join("image.tar");
    engine.save(&[reference], &path, deadline).await?;
    let mut files = Vec::new();
    for node in nodes {
        files.push((*node, tokio::fs::File::open(&path).await.map_err(archive)?));
    }
    // The open files keep the archive alive. If this process is killed from here on, it leaves no folder.
    folder.close().map_err(archive)?;
    let imports = files.into_iter().map(|(node, file)| async move {
        engine.exec_reading(node, &["sh", "-c", IMPORT], file, deadline).await?;
        match node::images(engine, node, deadline.at_most(QUICK)).await?.contains(reference) {
            true => Ok(()),
            false => Err(ImageError::NotThere { reference: reference.into(), place: node.into() }),
        }
    });
    try_join_all(imports).await.map(|_| ())
}
