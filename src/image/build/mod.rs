//! Builds what no registry has to be asked for: runs the recipes of `offline/` in the order of
//! their needs, side by side, and keeps each result under a name that tells all its inputs.
//!
//! # Guarantees
//! A folder below `<cache>/built/` is complete: it gets its name by a rename after its recipe
//! ended well. Whatever ends a builder, SIGKILL included, the next one removes what it left and
//! goes on. Two processes never build the same thing twice: the second waits for the first.

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

/// Runs recipes.
#[derive(Debug)]
pub struct Builder {
    cache: PathBuf,
    recipes: PathBuf,
    jobs: usize,
    slots: Semaphore,
    progress: Progress,
    secrets: Secrets,
}

/// What stands after a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Folder of the results.
    pub dir: PathBuf,
    /// sha256 over everything they were made of, in hex.
    pub key: String,
    /// The image's full name, where the piece is one.
    pub image: Option<String>,
    /// The pieces that were built for it just now, by this process, in the order they ended.
    pub made: Vec<String>,
}

impl Builder {
    /// A builder that keeps results in `cache` and finds a piece's recipe as
    /// `<recipes>/<recipe>/build`. At most `jobs` recipes run at a time, and each is told `jobs`
    /// as the number of cores that it may use.
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

    /// What these remember is left out of the logs of builds: recipes are told of proxies and their
    /// passwords by the environment.
    pub fn without(mut self, secrets: &Secrets) -> Self {
        self.secrets = secrets.clone();
        self
    }

    /// What `target` would be, and whether it is there: nothing is built.
    ///
    /// # Errors
    /// [`BuildError::Order`], or a recipe that cannot be read.
    pub fn find(&self, pieces: &[Piece], target: &str) -> Result<(Built, bool), BuildError> {
        let keys = key::keys(&self.recipes, pieces)?;
        let unknown = || BuildError::Order { piece: "the build".into(), need: target.into() };
        let piece = pieces.iter().find(|p| p.id == target).ok_or_else(unknown)?;
        let key = keys[target].clone();
        let dir = self.dir(piece, &key);
        let there = dir.is_dir();
        Ok((Built { dir, image: piece.image(&key), key, made: Vec::new() }, there))
    }

    /// Builds `target` and what it needs of `pieces`, which lists each piece after its needs.
    /// What is there already is used; what only finished pieces need is not built.
    ///
    /// # Errors
    /// The first failure; what else is running is killed then. See [`BuildError`].
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

    /// The lock of what only one process of this cache does at a time; none when the deadline passed.
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

    /// Removes the scratch folders of builders that are gone.
    pub(in crate::image) async fn sweep(&self) -> Result<(), BuildError> {
        for folder in abandoned(&self.cache, false).await? {
            self.progress.say(&format!("removed what an interrupted build left in {folder}"));
        }
        Ok(())
    }
}

/// Removes the scratch folders of builders that are gone, which are those whose lock is free, with what still runs
/// in them; with `dry_run`, only says which. Returns their paths.
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

/// The pieces that have to be built, in the order of `pieces`.
fn missing<'a>(pieces: &'a [Piece], target: &str, dirs: &BTreeMap<&str, PathBuf>) -> Vec<&'a Piece> {
    let mut wanted = vec![target.to_owned()];
    let mut found: Vec<&Piece> = Vec::new();
    // Backwards: whoever needs a piece comes after it.
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
