//! Takes a release's programs and images out of a node image: for profiles whose images are pulled,
//! where the node image of the new version is all that there is of it.
//!
//! The image is taken apart by its own programs, in a container of its own beside the clusters: its
//! kubeadm says which images it names, its containerd packs them. systemd does not run.
//!
//! # Guarantees
//! What was taken lies below `<cache>/built/` as everything that was built: complete under its name,
//! told apart by the node image's digest, removed with what is outdated. Two processes never take the
//! same image apart at a time. The container ends with whoever made it; what a killed maker left
//! before it started it is removed by the next one and by [`reap`].

mod told;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

/// Goes into every key: change it when images are taken apart differently.
const FORMAT: &str = "seatrial extract 1";

/// Label of the containers in which images are taken apart. Its value is device and inode of the cache and the path of
/// the lock file of whoever made one: a path alone names a file only within one file system.
pub const EXTRACT_LABEL: &str = "dev.seatrial.extract";

/// In the container, before it waits for its end.
const START: &str = "containerd > /tmp/containerd.log 2>&1 &";
/// In the container: see the file.
const TAKE: &str = include_str!("take.sh");
/// Says what is in the folder; written last.
const ABOUT: &str = "about.json";
const ARCHIVE: &str = "images.tar";

/// Bytes that taking one apart needs below the cache.
const DISK: u64 = 1_500_000_000;
/// Time for the work in the container.
const WORK: Duration = Duration::from_secs(15 * 60);

/// What was taken, as it is written down.
#[derive(Debug, Deserialize, Serialize)]
struct About {
    version: String,
    /// The node image, for people.
    from: String,
    /// File names in the folder.
    programs: BTreeMap<String, Vec<String>>,
    images: Vec<String>,
    stand_ins: BTreeMap<String, String>,
}

/// A node image that is taken apart.
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

/// Where the images of one cache are taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Extractor<'a> {
    /// The cache.
    pub cache: &'a Path,
    /// The engine, which has the node images.
    pub engine: &'a Engine,
    /// The state folder that owns the containers.
    pub owner: &'a StateId,
}

/// What was taken out of the node image of this digest before, which counts as a use of it; none where
/// nothing was.
pub fn find(cache: &Path, version: &str, digest: &str) -> Option<Artefacts> {
    let dir = cache.join("built").join(folder(version, digest));
    let about: About = serde_json::from_slice(&std::fs::read(dir.join(ABOUT)).ok()?).ok()?;
    // One that may only be read is somebody else's to clear away.
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
    /// The programs and images of a node image that the engine has: those taken before, else taken now.
    ///
    /// # Errors
    /// [`ImageError::Extract`] for an image that is not what it should be, or that lacks something;
    /// [`ImageError::Engine`]; [`ImageError::Build`] for files and a full disk.
    ///
    /// # Cancellation
    /// The container ends, and nothing of what was begun has a finished name.
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
        let task = format!("take Kubernetes {version} out of its node image");
        let lock = match KeyLock::try_take(&file)? {
            Some(lock) => lock,
            None => {
                let owner = lock::owner(&file);
                let wait = format!("wait for {owner}, which does it: {task}");
                let taken = progress.task(&wait, KeyLock::take(&file, deadline)).await?;
                taken.ok_or_else(|| unusable(format!("{owner} is still at it")))?
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
        // The scratch folder goes in any case; the reason why it could not is the lesser one.
        let cleared = lock::clear(&scratch, &lock).await;
        kept?;
        cleared?;
        taken().ok_or_else(|| unusable("what was taken cannot be read".into()))
    }

    async fn take(&self, taking: &Taking<'_>, lock: &Path) -> Result<(), Failed> {
        let mark = &*mark(self.cache, lock).map_err(BuildError::file("look at", self.cache))?;
        // We have the lock: whoever made these is gone.
        let ours = [(EXTRACT_LABEL, mark), (OWNED_BY_LABEL, self.owner.as_str())];
        for left in self.engine.containers(&ours).await? {
            self.engine.remove(&left.id).await?;
        }
        // Nobody else's: the lock file tells the image apart, and we have it.
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
        let told = Told::read(&said).map_err(Failed::Image)?;
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
        checked.map_err(|e| Failed::Image(e.to_string()))?.map_err(Failed::Image)?;
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
            Err(Failed::Image(format!("{got} of {bytes} bytes of {file} came")))
        }
    }
}

/// A container in which an image was taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Its name.
    pub container: String,
    /// Why it stays, with the command that removes it; none where it is removed.
    pub stays: Option<String>,
}

/// Removes containers in which images were taken apart for this cache, by this `owner`, and whose maker is gone; with
/// `dry_run`, only says which. Those of another cache, or of one that is gone, are named, unless their maker is seen
/// to live.
///
/// # Errors
/// [`ImageError::Engine`], [`ImageError::Build`] for a lock that cannot be asked.
pub async fn reap(
    cache: &Path,
    engine: &Engine,
    owner: Option<&StateId>,
    dry_run: bool,
) -> Result<Vec<Apart>, ImageError> {
    let mut found = Vec::new();
    // A state folder without an id has made nothing.
    let Some(owner) = owner else { return Ok(found) };
    for container in engine.containers(&[(EXTRACT_LABEL, ""), (OWNED_BY_LABEL, owner.as_str())]).await? {
        let Some(marked) = container.labels.get(EXTRACT_LABEL) else { continue };
        let file = marked.split_once(MARK_END).map_or(marked.as_str(), |(_, file)| file);
        let (name, file) = (container.name, PathBuf::from(file));
        let here = file.is_file() && mark(cache, &file).is_ok_and(|mark| mark == *marked);
        if file.parent() != Some(&absolute(cache).join("locks")) || !here {
            if !is_held(&file) {
                let stays = format!(
                    "its cache is another one or gone, so whether its maker lives is not to be seen from here; if \
                     nobody needs it: docker rm --force --volumes {name}"
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

/// Between the parts of [`mark`].
const MARK_END: &str = " at ";

/// The value of [`EXTRACT_LABEL`].
fn mark(cache: &Path, lock: &Path) -> std::io::Result<String> {
    let meta = std::fs::metadata(cache)?;
    Ok(format!("{}:{}{MARK_END}{}", meta.dev(), meta.ino(), lock.display()))
}

/// Whether somebody has this lock, which is only looked at.
fn is_held(file: &Path) -> bool {
    let there = file.is_file().then(|| File::open(file).ok()).flatten();
    there.is_some_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

enum Failed {
    /// The node image's fault.
    Image(String),
    Other(ImageError),
}

impl<E: Into<ImageError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn key(digest: &str) -> String {
    hex::encode(Sha256::digest(format!("{FORMAT}\n{}\n{digest}", std::env::consts::ARCH)))
}

fn folder(version: &str, digest: &str) -> String {
    format!("release-{version}-{}", &key(digest)[..16])
}

/// The lock file's name as other processes may know it.
fn lock_file(cache: &Path, folder: &str) -> PathBuf {
    absolute(cache).join("locks").join(format!("{folder}.lock"))
}

fn absolute(cache: &Path) -> PathBuf {
    let absolute = || std::path::absolute(cache).unwrap_or_else(|_| cache.to_path_buf());
    cache.canonicalize().unwrap_or_else(|_| absolute())
}
