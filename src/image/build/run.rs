//! Runs one recipe, from its lock to the folder of its results.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::lock::{self, KeyLock};
use super::{Builder, Piece};
use crate::deadline::Deadline;
use crate::exec::{Exec, ExecError, tail};

/// A piece about to be built.
pub(super) struct Job<'a> {
    pub(super) piece: &'a Piece,
    pub(super) key: &'a str,
    /// The folder of its results.
    pub(super) dir: &'a Path,
    /// The results that it needs: the variable's name and the folder.
    pub(super) needs: Vec<(String, &'a Path)>,
}

/// A run of a recipe.
struct Attempt<'a> {
    job: &'a Job<'a>,
    /// The scratch folder.
    work: &'a Path,
    log: &'a Path,
    /// The task that progress is shown for.
    task: &'a str,
}

impl Builder {
    /// Builds the piece, or waits while another process builds it. Returns false if the other process did.
    pub(super) async fn run(&self, job: Job<'_>, deadline: Deadline) -> Result<bool, BuildError> {
        let title = job.piece.title();
        let folder = job.piece.folder(job.key);
        let log = self.cache.join("logs").join(format!("{folder}.log"));
        let late = |last: String| BuildError::Late {
            piece: title.clone(),
            waited: deadline.waited(),
            last,
            log: log.clone(),
        };
        let file = self.lock_file(&folder);
        let lock = match KeyLock::try_take(&file)? {
            Some(lock) => lock,
            None => {
                let owner = lock::owner(&file);
                let task = format!("wait for {owner}, which builds {title}");
                let taken = self.progress.task(&task, KeyLock::take(&file, deadline)).await?;
                taken.ok_or_else(|| late(format!("{owner} is building it")))?
            }
        };
        if job.dir.is_dir() {
            return Ok(false);
        }
        let Ok(permit) = deadline.bound(self.slots.acquire()).await else {
            return Err(late("waiting for other recipes to finish".into()));
        };
        let work = self.cache.join("building").join(&folder);
        lock::clear(&work, &lock).await?;
        let task = format!("build {title}");
        let attempt = Attempt { job: &job, work: &work, log: &log, task: &task };
        let made = self.progress.task(&task, self.recipe(&attempt, deadline)).await;
        drop(permit);
        let kept = match made {
            Ok(out) => keep(out, job.dir, lock.clone()).await,
            Err(error) => Err(error),
        };
        // The scratch folder is removed in any case. The build's error matters more than a failure to remove it.
        let cleared = lock::clear(&work, &lock).await;
        kept.and(cleared).map(|()| true)
    }

    /// Runs the recipe in a new scratch folder, and returns the folder with its results.
    async fn recipe(&self, attempt: &Attempt<'_>, deadline: Deadline) -> Result<PathBuf, BuildError> {
        let Attempt { job, work, log, task } = *attempt;
        let (scratch, out) = (work.join("scratch"), work.join("out"));
        for dir in [&scratch, &out] {
            std::fs::create_dir_all(dir).map_err(BuildError::file("make folder", dir))?;
        }
        let folder = self.recipes.join(&job.piece.recipe);
        let mut recipe = Exec::new(folder.join("build"))
            .cwd(&scratch)
            .env("OUT", &out)
            .env(lock::WORK, lock::place(work).unwrap_or_default())
            .env("RECIPE", &folder)
            .env("VERSION", &job.piece.version)
            // Recipes find the tools that `scripts/tools` installed in the cache.
            .env("SEATRIAL_CACHE", &self.cache)
            .env("JOBS", self.jobs.to_string());
        for (name, value) in &job.piece.parameters {
            recipe = recipe.env(name, value);
        }
        for (name, dir) in &job.needs {
            recipe = recipe.env(name, dir);
        }
        if let Some(image) = job.piece.image(job.key) {
            recipe = recipe.env("IMAGE", image);
        }
        let mut file = File::create(log).map_err(BuildError::file("write", log))?;
        let mut unwritten = None;
        let mut said = String::new();
        let ended = recipe
            .run_with(deadline, |line| {
                // Each tool has a proxy's password in its environment and may print it.
                let line = &crate::sanitise::file(&self.secrets.hide(line));
                if let Err(error) = writeln!(file, "{line}") {
                    unwritten.get_or_insert(error);
                }
                said.push_str(line);
                said.push('\n');
                if let Some(step) = line.strip_prefix("step: ") {
                    self.progress.detail(task, step);
                }
            })
            .await;
        let piece = job.piece.title();
        let (log, last) = (log.to_path_buf(), tail(&said));
        match ended {
            Ok(_) => {}
            Err(ExecError::Failed { status, .. }) => {
                return Err(BuildError::Recipe { piece, how: status.to_string(), tail: last, log });
            }
            Err(ExecError::Timeout { waited, .. }) => {
                return Err(BuildError::Late { piece, waited, last, log });
            }
            Err(source @ ExecError::Start { .. }) => return Err(BuildError::Start { piece, source }),
        }
        match unwritten {
            Some(source) => Err(BuildError::File { doing: "write", path: log, source }),
            None => Ok(out),
        }
    }
}

/// Gives the results their final name, after writing them to disk: without that, a power failure could leave a final
/// name with empty files, which would never be built again.
pub(in crate::image) async fn keep(out: PathBuf, dir: &Path, lock: KeyLock) -> Result<(), BuildError> {
    let to = dir.to_path_buf();
    let kept = lock::held(lock, dir, move || {
        sync(&out)?;
        std::fs::rename(&out, &to)?;
        // This runs even if the caller is gone. If it fails, the caller's own cleanup reports it.
        let _ = out.parent().map(std::fs::remove_dir_all);
        Ok(())
    });
    kept.await.map_err(BuildError::file("keep results as", dir))
}

fn sync(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(dir)?.sync_all()
}
