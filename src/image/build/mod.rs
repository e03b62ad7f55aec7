//! Builds images without a registry: runs the recipes of `offline/` in the order of their needs, in parallel where
//! possible, and keeps each result under a name that contains a hash of all its inputs.
//!
//! # Guarantees
//! A folder below `<cache>/built/` is complete: it gets its name by a rename after its recipe succeeded. However a
//! builder ends, also by SIGKILL, the next one removes what it left and continues. Two processes never build the same
//! piece twice: the second waits for the first.

mod error;
mod key;
pub(super) mod lock;
mod machine;
mod outdated;
mod pieces;
mod recipes;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::Semaphore;

pub use error::BuildError;
pub use machine::able;
pub(super) use machine::room;
pub use outdated::Outdated;
pub use pieces::{KUBE_IMAGES, KUBERNETES, LOAD_BALANCER, NODE, Piece, pieces};
pub use recipes::unpack;
pub(super) use run::keep;

use crate::deadline::Deadline;
use crate::progress::Progress;
use crate::secret::Secrets;
use lock::KeyLock;
use run::Job;

/// Runs recipes and keeps their results.
#[derive(Debug)]
pub struct Builder {
    cache: PathBuf,
    recipes: PathBuf,
    jobs: usize,
    slots: Semaphore,
    progress: Progress,
    secrets: Secrets,
}

/// The result of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The folder with the results.
    pub dir: PathBuf,
    /// The sha256 over all inputs, in hex.
    pub key: String,
    /// The image's full name, if the piece is an image.
    pub image: Option<String>,
    /// The pieces that this process built for it just now, in the order in which they finished.
    pub made: Vec<String>,
}

impl Builder {
    /// Returns a builder that keeps results in `cache` and expects a piece's recipe at `<recipes>/<recipe>/build`. At
    /// most `jobs` recipes run at a time, and each may use `jobs` cores.
    pub fn new(cache: &Path, recipes: &Path, jobs: usize, progress: Progress) -> Self {
        let jobs = jobs.max(1);
        let secrets = Secrets::default();
        Self {
            cache: cache.into(),
            recipes: recipes.into(),
            jobs,
            slots: Semaphore::new(jobs),
            progress,
            secrets,
        }
    }

    /// Removes these secrets from the logs of builds: recipes get proxies and their passwords through the environment.
    pub fn without(mut self, secrets: &Secrets) -> Self {
        self.secrets = secrets.clone();
        self
    }

    /// Returns the result that `target` would have, and whether it is complete. Nothing is built.
    ///
    /// # Errors
    /// [`BuildError::Order`], or an error of a recipe that cannot be read.
    pub fn find(&self, pieces: &[Piece], target: &str) -> Result<(Built, bool), BuildError> {
        let keys = key::keys(&self.recipes, pieces)?;
        let unknown = || BuildError::Order { piece: "the build".into(), need: target.into() };
        let piece = pieces.iter().find(|p| p.id == target).ok_or_else(unknown)?;
        let key = keys[target].clone();
        let dir = self.dir(piece, &key);
        let there = dir.is_dir();
        Ok((Built { dir, image: piece.image(&key), key, made: Vec::new() }, there))
    }

    /// Builds `target` and the pieces that it needs. `pieces` lists each piece after its needs. Finished pieces are
    /// used, and pieces that only finished pieces need are not built.
    ///
    /// # Errors
    /// The first failure, after which all other running recipes are killed. See [`BuildError`].
    ///
    /// # Cancellation
    /// Recipes are killed with all their children; finished pieces stay.
    pub async fn build(
        &self,
        pieces: &[Piece],
        target: &str,
        deadline: Deadline,
    ) -> Result<Built, BuildError> {
        let (mut built, there) = self.find(pieces, target)?;
        if there {
            return Ok(built);
        }
        for folder in ["built", "building", "locks", "logs"] {
            let dir = self.cache.join(folder);
            std::fs::create_dir_all(&dir).map_err(BuildError::file("make folder", dir))?;
        }
        self.sweep().await?;
        let keys = key::keys(&self.recipes, pieces)?;
        let dirs: BTreeMap<&str, PathBuf> =
            pieces.iter().map(|p| (p.id.as_str(), self.dir(p, &keys[&p.id]))).collect();
        let mut open = missing(pieces, target, &dirs);
        let what = open.iter().map(|p| p.title()).collect::<Vec<_>>().join(", ");
        machine::room(&self.cache, open.iter().map(|p| p.disk).sum(), &what)?;

        let mut running = FuturesUnordered::new();
        let mut begun: Vec<&str> = Vec::new();
        loop {
            for piece in &open {
                let ready = !piece.needs.iter().any(|n| open.iter().any(|p| p.id == *n));
                if !ready || begun.contains(&piece.id.as_str()) {
                    continue;
                }
                begun.push(&piece.id);
                let needs = piece.needs.iter().map(|n| (variable(n), dirs[n.as_str()].as_path())).collect();
                let job = Job { piece, key: &keys[&piece.id], dir: &dirs[piece.id.as_str()], needs };
                running.push(async move {
                    let id = job.piece.id.as_str();
                    Ok::<_, BuildError>((id, self.run(job, deadline).await?))
                });
            }
            let Some(ended) = running.next().await else { break };
            let (id, ours) = ended?;
            open.retain(|p| p.id != id);
            if ours {
                built.made.push(id.into());
            }
        }
        Ok(built)
    }

    fn dir(&self, piece: &Piece, key: &str) -> PathBuf {
        self.cache.join("built").join(piece.folder(key))
    }

    fn lock_file(&self, folder: &str) -> PathBuf {
        self.cache.join("locks").join(format!("{folder}.lock"))
    }

    /// Returns the lock of an operation that only one process of this cache may do at a time; none if the deadline
    /// passed.
    pub(in crate::image) async fn alone(
        &self,
        what: &str,
        deadline: Deadline,
    ) -> Result<Option<KeyLock>, BuildError> {
        let file = self.lock_file(what);
        let folder = file.parent().unwrap_or(&self.cache);
        std::fs::create_dir_all(folder).map_err(BuildError::file("make folder", folder))?;
        KeyLock::take(&file, deadline).await
    }

    /// Removes the scratch folders of builders that have ended.
    pub(in crate::image) async fn sweep(&self) -> Result<(), BuildError> {
        for folder in abandoned(&self.cache, false).await? {
            self.progress.say(&format!("removed the files of an interrupted build in {folder}"));
        }
        Ok(())
    }
}

/// Removes the scratch folders whose lock is free, because their builders have ended, and ends processes that still run
/// in them. With `dry_run`, only finds them. Returns their paths.
///
/// # Errors
/// [`BuildError::File`].
pub async fn abandoned(cache: &Path, dry_run: bool) -> Result<Vec<String>, BuildError> {
    let building = cache.join("building");
    let entries = match std::fs::read_dir(&building) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(BuildError::file("read folder", &building))?,
    };
    let mut gone = Vec::new();
    for entry in entries {
        let path = entry.map_err(BuildError::file("read folder", &building))?.path();
        let folder = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = cache.join("locks").join(format!("{folder}.lock"));
        if let Some(lock) = KeyLock::try_take(&file)? {
            if !dry_run {
                lock::clear(&path, &lock).await?;
            }
            gone.push(path.display().to_string());
        }
    }
    Ok(gone)
}

/// Returns the pieces that have to be built, in the order of `pieces`.
fn missing<'a>(pieces: &'a [Piece], target: &str, dirs: &BTreeMap<&str, PathBuf>) -> Vec<&'a Piece> {
    let mut wanted = vec![target.to_owned()];
    let mut found: Vec<&Piece> = Vec::new();
    // Backwards, because a piece is listed before the pieces that need it.
    for piece in pieces.iter().rev() {
        if wanted.contains(&piece.id) && !dirs[piece.id.as_str()].is_dir() {
            wanted.extend(piece.needs.iter().cloned());
            found.push(piece);
        }
    }
    found.reverse();
    found
}

/// `nginx-old` -> `NEED_NGINX_OLD`.
fn variable(need: &str) -> String {
    format!("NEED_{}", need.to_uppercase().replace('-', "_"))
}
