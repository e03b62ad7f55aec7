//! Extracts a release's programs and images from a node image. Profiles with a registry need this, because the node
//! image is the only source of a new version there.
//!
//! The image's own programs do the work, in a container next to the clusters: its kubeadm names the required images,
//! and its containerd exports them. systemd does not run.
//!
//! # Guarantees
//! Extracted files are kept below `<cache>/built/` like all build results: complete under their final name, identified
//! by the node image's digest, and removed when outdated. Two processes never extract the same image at the same time.
//! The container ends with the process that created it. If that process was killed before it started the container, the
//! next extraction and [`reap`] remove it.

mod told;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest as sum};
use serde::{Deserialize, Serialize};

use super::NodeImage;
use super::artefacts::files::{Artefacts, Program};
use super::build::lock::{self, KeyLock};
use super::build::{BuildError, keep, room};
use super::error::ImageError;
use crate::config::{OWNED_BY_LABEL, StateId};
use crate::deadline::Deadline;
use crate::engine::{AsideSpec, Engine, EngineError};
use crate::progress::Progress;
use told::{Told, whole};

/// Part of every key. Change it when images are extracted differently.
const FORMAT: &str = "seatrial extract 1";

/// Label of containers that extract images. Its value is device and inode of the cache, and the path of the lock file
/// of the process that created the container. A path alone identifies a file only within one file system.
pub const EXTRACT_LABEL: &str = "dev.seatrial.extract";

/// Runs in the container at its start.
const START: &str = "containerd > /tmp/containerd.log 2>&1 &";
/// Runs in the container; take.sh describes itself.
const TAKE: &str = include_str!("take.sh");
/// The file that describes the folder; written last.
const ABOUT: &str = "about.json";
const ARCHIVE: &str = "images.tar";

/// Bytes of disk space that one extraction needs below the cache.
const DISK: u64 = 1_500_000_000;
/// Time limit for the work in the container.
const WORK: Duration = Duration::from_secs(15 * 60);

/// The content of `about.json`.
#[derive(Debug, Deserialize, Serialize)]
struct About {
    version: String,
    /// A description of the node image.
    from: String,
    /// File names in the folder, each with the program's names.
    programs: BTreeMap<String, Vec<String>>,
    images: Vec<String>,
    stand_ins: BTreeMap<String, String>,
}

/// An extraction from a node image.
struct Taking<'a> {
    node: &'a NodeImage,
    version: &'a str,
    /// The folder that programs and images are put into.
    out: &'a Path,
    deadline: Deadline,
}

/// A file in the container, and its length.
struct Fetched<'a> {
    container: &'a str,
    file: &'a str,
    bytes: u64,
}

/// Extracts images into one cache.
#[derive(Clone, Copy, Debug)]
pub struct Extractor<'a> {
    /// The cache.
    pub cache: &'a Path,
    /// The engine, which has the node images.
    pub engine: &'a Engine,
    /// The state folder that owns the containers.
    pub owner: &'a StateId,
}

/// Returns what was extracted earlier from the node image of this digest, and marks it as used; none if nothing was
/// extracted.
pub fn find(cache: &Path, version: &str, digest: &str) -> Option<Artefacts> {
    let dir = cache.join("built").join(folder(version, digest));
    let about: About = serde_json::from_slice(&std::fs::read(dir.join(ABOUT)).ok()?).ok()?;
    // A read-only folder belongs to another user, who will remove it.
    let _ = File::open(&dir).and_then(|d| d.set_modified(SystemTime::now()));
    let program = |(file, names): (String, Vec<String>)| Program { file: dir.join(file), names };
    Some(Artefacts {
        version: about.version,
        programs: about.programs.into_iter().map(program).collect(),
        images: about.images,
        stand_ins: about.stand_ins,
        archive: dir.join(ARCHIVE),
    })
}

impl Extractor<'_> {
    /// Returns the programs and images of a node image that is in the engine. They are extracted now, if they were not
    /// before.
    ///
    /// # Errors
    /// [`ImageError::Extract`] if the image is not usable or lacks something;
    /// [`ImageError::Engine`]; [`ImageError::Build`] for files and a full disk.
    ///
    /// # Cancellation
    /// The container ends, and no unfinished result gets its final name.
    pub async fn artefacts(
        &self,
        node: &NodeImage,
        version: &str,
        deadline: Deadline,
        progress: &Progress,
    ) -> Result<Artefacts, ImageError> {
        let folder = folder(version, &node.id);
        let dir = self.cache.join("built").join(&folder);
        let unusable = |why: String| ImageError::Extract {
            version: version.into(),
            image: node.built_from.clone(),
            why,
        };
        let taken = || find(self.cache, version, &node.id);
        if let Some(taken) = taken() {
            return Ok(taken);
        }
        for sub in ["built", "building", "locks"] {
            let path = self.cache.join(sub);
            std::fs::create_dir_all(&path).map_err(BuildError::file("make folder", path))?;
        }
        let file = lock_file(self.cache, &folder);
        let task = format!("extract Kubernetes {version} from its node image");
        let lock = match KeyLock::try_take(&file)? {
            Some(lock) => lock,
            None => {
                let owner = lock::owner(&file);
                let wait = format!("wait for {owner}, which does the same: {task}");
                let taken = progress.task(&wait, KeyLock::take(&file, deadline)).await?;
                taken.ok_or_else(|| unusable(format!("{owner} has not finished it in time")))?
            }
        };
        if let Some(taken) = taken() {
            return Ok(taken);
        }
        room(self.cache, DISK, &format!("programs and images of Kubernetes {version}"))?;
        let scratch = self.cache.join("building").join(&folder);
        lock::clear(&scratch, &lock).await?;
        let out = scratch.join("out");
        std::fs::create_dir_all(&out).map_err(BuildError::file("make folder", &out))?;
        let work = async {
            let taking = Taking { node, version, out: &out, deadline: deadline.at_most(WORK) };
            let taken = self.take(&taking, &file).await;
            taken.map_err(|failed| match failed {
                Failed::Image(why) => unusable(why),
                Failed::Other(error) => error,
            })
        };
        let kept = match progress.task(&task, work).await {
            Ok(()) => keep(out, &dir, lock.clone()).await.map_err(ImageError::from),
            Err(error) => Err(error),
        };
        // The scratch folder is removed in any case. The extraction's error matters more than a failure to remove it.
        let cleared = lock::clear(&scratch, &lock).await;
        kept?;
        cleared?;
        taken().ok_or_else(|| unusable("the extracted files cannot be read".into()))
    }

    async fn take(&self, taking: &Taking<'_>, lock: &Path) -> Result<(), Failed> {
        let mark = &*mark(self.cache, lock).map_err(BuildError::file("look at", self.cache))?;
        // This process has the lock, so the processes that created these containers have ended.
        let ours = [(EXTRACT_LABEL, mark), (OWNED_BY_LABEL, self.owner.as_str())];
        for left in self.engine.containers(&ours).await? {
            self.engine.remove(&left.id).await?;
        }
        // The name is unique: it is derived from the lock file, which identifies the image, and from the owner.
        let tag = &key(&format!("{mark} {}", self.owner))[..8];
        let name = format!("seatrial-extract-{tag}-{}", std::process::id());
        let volume = Some("/var");
        let spec =
            AsideSpec { name: &name, image: &taking.node.reference, script: START, labels: &ours, volume };
        let aside = self.engine.aside(spec).await;
        let taken = match &aside {
            Ok(_) => self.copy(&name, taking).await,
            Err(_) => Ok(()),
        };
        let removed = self.engine.remove(&name).await;
        drop(aside?);
        taken?;
        Ok(removed?)
    }

    async fn copy(&self, container: &str, taking: &Taking<'_>) -> Result<(), Failed> {
        let Taking { node, version, out, deadline } = *taking;
        let script = ["bash", "-c", TAKE, "take", version];
        let said = match self.engine.exec_ok(container, &script, None, deadline).await {
            Err(EngineError::Command { stderr, .. }) => return Err(Failed::Image(stderr.trim().to_owned())),
            other => other?,
        };
        let told = Told::read(&said).map_err(|e| Failed::Image(e.to_string()))?;
        let mut programs = BTreeMap::new();
        for program in &told.programs {
            let name = program.file.rsplit('/').next().unwrap_or_default().to_owned();
            let of = Fetched { container, file: &program.file, bytes: program.bytes };
            self.fetch(of, out.join(&name), deadline).await?;
            programs.insert(name, program.names.clone());
        }
        let (file, bytes) = &told.archive;
        let archive = out.join(ARCHIVE);
        self.fetch(Fetched { container, file, bytes: *bytes }, archive.clone(), deadline).await?;
        let images = told.images.clone();
        let checked = tokio::task::spawn_blocking(move || whole(&archive, &images)).await;
        checked.map_err(|e| Failed::Image(e.to_string()))?.map_err(|e| Failed::Image(e.to_string()))?;
        let about = About {
            version: version.into(),
            from: node.built_from.clone(),
            programs,
            images: told.images,
            stand_ins: told.stand_ins,
        };
        let path = out.join(ABOUT);
        let written = serde_json::to_vec_pretty(&about).map_err(std::io::Error::from);
        let written = written.and_then(|text| std::fs::write(&path, text));
        Ok(written.map_err(BuildError::file("write", path))?)
    }

    /// Copies a file out of the container.
    async fn fetch(&self, of: Fetched<'_>, to: PathBuf, deadline: Deadline) -> Result<(), Failed> {
        let Fetched { container, file, bytes } = of;
        let made = tokio::fs::File::create(&to).await.map_err(BuildError::file("write", &to))?;
        let got = self.engine.exec_writing(container, &["cat", file], made, deadline).await?;
        if got == bytes {
            Ok(())
        } else {
            Err(Failed::Image(format!("received {got} of {bytes} bytes of {file}")))
        }
    }
}

/// A container that was created to extract an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Its name.
    pub container: String,
    /// Why it stays, with the command that removes it; none if it is removed.
    pub stays: Option<String>,
}

/// Removes containers that extracted images for this cache and this `owner`, and whose process has ended; with
/// `dry_run`, only finds them. A container of another cache, or of one that is gone, stays; it is reported unless its
/// process is known to run.
///
/// # Errors
/// [`ImageError::Engine`], [`ImageError::Build`] if a lock cannot be checked.
pub async fn reap(
    cache: &Path,
    engine: &Engine,
    owner: Option<&StateId>,
    dry_run: bool,
) -> Result<Vec<Apart>, ImageError> {
    let mut found = Vec::new();
    // A state folder without an id has created no container.
    let Some(owner) = owner else { return Ok(found) };
    for container in engine.containers(&[(EXTRACT_LABEL, ""), (OWNED_BY_LABEL, owner.as_str())]).await? {
        let Some(marked) = container.labels.get(EXTRACT_LABEL) else { continue };
        let file = marked.split_once(MARK_END).map_or(marked.as_str(), |(_, file)| file);
        let (name, file) = (container.name, PathBuf::from(file));
        let here = file.is_file() && mark(cache, &file).is_ok_and(|mark| mark == *marked);
        if file.parent() != Some(&absolute(cache).join("locks")) || !here {
            if !is_held(&file) {
                let stays = format!(
                    "it belongs to another cache, or its cache is gone, so whether its process still runs is \
                     unknown; if nobody needs it: docker rm --force --volumes {name}"
                );
                found.push(Apart { container: name, stays: Some(stays) });
            }
            continue;
        }
        if let Some(_lock) = KeyLock::try_take(&file)? {
            if !dry_run {
                engine.remove(&container.id).await?;
            }
            found.push(Apart { container: name, stays: None });
        }
    }
    Ok(found)
}

/// Separates the parts of [`mark`].
const MARK_END: &str = " at ";

/// Returns the value of [`EXTRACT_LABEL`].
fn mark(cache: &Path, lock: &Path) -> std::io::Result<String> {
    let meta = std::fs::metadata(cache)?;
    Ok(format!("{}:{}{MARK_END}{}", meta.dev(), meta.ino(), lock.display()))
}

/// Whether a process holds this lock. The lock is not taken.
fn is_held(file: &Path) -> bool {
    let there = file.is_file().then(|| File::open(file).ok()).flatten();
    there.is_some_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

enum Failed {
    /// The node image is not usable.
    Image(String),
    Other(ImageError),
}

impl<E: Into<ImageError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn key(digest: &str) -> String {
    hex::encode(sum(&SHA256, format!("{FORMAT}\n{}\n{digest}", std::env::consts::ARCH).as_bytes()))
}

fn folder(version: &str, digest: &str) -> String {
    format!("release-{version}-{}", &key(digest)[..16])
}

/// Returns the lock file's absolute path, which other processes can use.
fn lock_file(cache: &Path, folder: &str) -> PathBuf {
    absolute(cache).join("locks").join(format!("{folder}.lock"))
}

fn absolute(cache: &Path) -> PathBuf {
    let absolute = || std::path::absolute(cache).unwrap_or_else(|_| cache.to_path_buf());
    cache.canonicalize().unwrap_or_else(|_| absolute())
}
