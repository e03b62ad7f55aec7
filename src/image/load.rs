//! Images from the engine onto nodes.

use std::path::Path;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::io::AsyncRead;

use super::error::ImageError;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::progress::Progress;

/// Reads an archive as the nodes' containerd. `--local` (containerd 2) does not go through the
/// transfer service and so takes archives that lack the other platforms of an index, which Docker's
/// containerd store writes (kind#3795); the layers' archives are of no use once unpacked.
const IMPORT: &str = "case $(ctr images import --help) in *--local*) \
     exec ctr -n k8s.io images import --local --discard-unpacked-layers \"$@\" - ;; \
     *) exec ctr -n k8s.io images import \"$@\" - ;; esac";

/// The CRI's word for an image that is not to be removed.
const PINNED: &str = "--label=io.cri-containerd.pinned=pinned";

/// The beginning of the name of a folder with an archive on its way to the nodes.
const FOLDER: &str = "load-";

/// Asking a node what it has.
const QUICK: Duration = Duration::from_secs(60);

/// What was done about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub reference: String,
    /// The nodes that it was loaded onto; the others had it.
    pub onto: Vec<String>,
}

/// Loads images of the engine onto node containers.
#[derive(Clone, Copy, Debug)]
pub struct Loader<'a> {
    /// The engine, which has the images.
    pub engine: &'a Engine,
    /// A folder on a disk with room for the largest image.
    pub scratch: &'a Path,
    /// Who shows what is going on.
    pub progress: &'a Progress,
}

impl Loader<'_> {
    /// Loads one image after the other, onto all nodes side by side, skipping those that have it. Names tell content,
    /// so a name that is there is enough.
    ///
    /// # Errors
    /// [`ImageError::Engine`] for an image or a node that is not there, a full disk, or a deadline
    /// that passed; [`ImageError::NotThere`].
    pub async fn load(
        &self,
        nodes: &[&str],
        references: &[&str],
        deadline: Deadline,
    ) -> Result<Vec<Loaded>, ImageError> {
        let Self { engine, scratch, progress } = self;
        let mut loaded = Vec::new();
        for reference in references {
            let having = nodes.iter().map(|node| async move {
                Ok::<_, ImageError>((*node, present(engine, node, reference, deadline).await?))
            });
            let having = try_join_all(having).await?.into_iter();
            let lacking: Vec<&str> = having.filter(|(_, has)| !has).map(|(node, _)| node).collect();
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

/// Whether [`Loader::load`] made this folder in its scratch folder. One that no process uses was left by one that was killed
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

/// Loads an archive onto a node container unless that has all of its images already; says whether it did. The
/// images are kept by kubelets that remove unused ones. `paced` makes what is sent of the open archive.
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

/// Those of these images that a node lacks, by their full names.
async fn missing(
    engine: &Engine,
    node: &str,
    references: &[&str],
    deadline: Deadline,
) -> Result<Vec<String>, ImageError> {
    let argv = ["ctr", "-n", "k8s.io", "images", "ls", "-q"];
    let listed = engine.exec_ok(node, &argv, None, deadline.at_most(QUICK)).await?;
    let there: Vec<&str> = listed.lines().map(str::trim).collect();
    Ok(references.iter().filter(|r| !there.contains(r)).map(|r| (*r).to_owned()).collect())
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
    // Open files are all that is needed: a process that is killed from here on leaves nothing.
    folder.close().map_err(archive)?;
    let imports = files.into_iter().map(|(node, file)| async move {
        engine.exec_reading(node, &["sh", "-c", IMPORT], file, deadline).await?;
        match present(engine, node, reference, deadline).await? {
            true => Ok(()),
            false => Err(ImageError::NotThere { reference: reference.into(), place: node.into() }),
        }
    });
    try_join_all(imports).await.map(|_| ())
}

async fn present(
    engine: &Engine,
    node: &str,
    reference: &str,
    deadline: Deadline,
) -> Result<bool, ImageError> {
    let filter = format!("name=={reference}");
    let argv = ["ctr", "-n", "k8s.io", "images", "ls", "-q", &filter];
    let found = engine.exec_ok(node, &argv, None, deadline.at_most(QUICK)).await?;
    Ok(found.lines().any(|line| line.trim() == reference))
}
