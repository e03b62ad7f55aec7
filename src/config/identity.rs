//! Identifies a state folder by a random id, kept in the folder. A path identifies a folder only within one file
//! system: processes that share a container engine, such as jobs in containers, may have different folders at one path.

use crate::file::{self, Readers};
use crate::hint::Hint;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// Label on what seatrial creates in a container engine: the id of the state folder that owns it.
pub const OWNED_BY_LABEL: &str = "dev.seatrial.owner";

/// Label of a control probe, a container that only measures the machine. Its value describes the seatrial process that
/// made it, as JSON.
pub const CONTROL_LABEL: &str = "dev.seatrial.control";

/// The id of a state folder: 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateId(String);

/// Why the id of a state folder is unknown.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} {}, which holds the id of the state folder", .path.display())]
pub struct IdentityError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The content of the file `id` in the state folder.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    id: StateId,
    /// The inode of the folder.
    inode: u64,
    /// When the folder was created, in nanoseconds since 1970; none if the file system does not record it.
    born_ns: Option<u128>,
    /// A hash of the machine's id; none if the machine has no id, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
}

impl StateId {
    /// Returns the id of this state folder. Creates the folder and the id if they are missing.
    ///
    /// # Guarantees
    /// All processes of one machine that see the folder get the same id. A copy of the folder gets its own id, and so
    /// does the folder on a clone of the machine with another machine id. The original keeps its id, and with it what
    /// it owns.
    ///
    /// # Errors
    /// [`IdentityError`] if the file cannot be read or written. A file with invalid content is replaced.
    pub fn of(state: &Path) -> Result<Self, IdentityError> {
        if let Some(id) = Self::read(state)? {
            return Ok(id);
        }
        let failed = |doing, path: &Path| {
            let path = path.to_path_buf();
            move |source| IdentityError { doing, path, source }
        };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state);
        made.map_err(failed("create", state))?;
        let lock = state.join("id.lock");
        let locked = File::options().create(true).truncate(false).write(true).open(&lock);
        let locked = locked.and_then(|file| file.lock().map(|()| file)).map_err(failed("lock", &lock))?;
        // Another process may have written the id in the meantime.
        if let Some(id) = Self::read(state)? {
            return Ok(id);
        }
        let id = Self::random();
        let path = file(state);
        write(state, &path, &id).map_err(failed("write", &path))?;
        drop(locked);
        Ok(id)
    }

    /// Returns the id of this state folder, or none if it has no id yet or is a copy.
    ///
    /// # Errors
    /// [`IdentityError`] if the file exists and cannot be read.
    pub fn read(state: &Path) -> Result<Option<Self>, IdentityError> {
        let path = file(state);
        let read = || match File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
            Ok(open) => {
                let meta = std::fs::metadata(state)?;
                let Ok(written) = serde_json::from_reader::<_, Written>(&open) else { return Ok(None) };
                Ok(written.is_of(&meta, machine().as_deref()).then_some(written.id))
            }
        };
        read().map_err(|source| IdentityError { doing: "read", path: path.clone(), source })
    }

    fn random() -> Self {
        // The keys of a RandomState come from the system's source of randomness.
        Self(format!("{:016x}", RandomState::new().hash_one(std::process::id())))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StateId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for StateId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl Written {
    /// Whether the id was written in this folder, and not in the original of which this folder is a copy. A folder
    /// cannot be hard-linked, so a copy has a later birth time. The birth time decides before the inode: fresh file
    /// systems number inodes alike, and some file systems number them again at each mount. The inode decides only if
    /// the birth time is unknown. A clone of a disk has the same birth time and inode: there the machine's id decides,
    /// if both ids are known.
    fn is_of(&self, meta: &std::fs::Metadata, machine: Option<&str>) -> bool {
        if self.machine.as_deref().zip(machine).is_some_and(|(then, now)| then != now) {
            return false;
        }
        match (self.born_ns, born(meta)) {
            (Some(then), Some(now)) => then == now,
            _ => self.inode == meta.ino(),
        }
    }
}

/// Files and folders that Docker, Podman, systemd-nspawn and Kubernetes create in a container.
const CONTAINER: [&str; 4] =
    ["/.dockerenv", "/run/.containerenv", "/run/systemd/container", "/var/run/secrets/kubernetes.io"];

/// Returns a hash of the machine's id (machine-id(5) asks not to expose the id itself). Returns none if the machine has
/// no id, and in a container: there the file belongs to the image, while another container or the host may use the same
/// folder.
fn machine() -> Option<String> {
    if CONTAINER.iter().any(|mark| Path::new(mark).exists()) {
        return None;
    }
    hashed(&std::fs::read_to_string("/etc/machine-id").ok()?)
}

fn hashed(id: &str) -> Option<String> {
    let id = id.trim();
    let is_id = !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit());
    is_id.then(|| hex::encode(&digest(&SHA256, format!("seatrial {id}").as_bytes()).as_ref()[..8]))
}

fn born(meta: &std::fs::Metadata) -> Option<u128> {
    meta.created().ok()?.duration_since(std::time::UNIX_EPOCH).ok().map(|time| time.as_nanos())
}

fn file(state: &Path) -> PathBuf {
    state.join("id")
}

/// Writes the id to a temporary file and renames it: other processes never read a part of it.
fn write(state: &Path, path: &Path, id: &StateId) -> std::io::Result<()> {
    file::replace_by(path, Readers::Owner, |file| {
        // The inode is read after the file was created: on an overlay file system, that copies the folder to the upper
        // layer.
        let meta = std::fs::metadata(state)?;
        let written = Written { id: id.clone(), inode: meta.ino(), born_ns: born(&meta), machine: machine() };
        serde_json::to_writer(&mut *file, &written)?;
        file.write_all(b"\n")?;
        file.sync_all()
    })
}

impl Hint for IdentityError {
    fn hint(&self) -> Option<String> {
        Some("choose a state folder that can be written: SEATRIAL_STATE=FOLDER".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_id_and_a_copy_gets_another() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, copy) = (dir.path().join("ours"), dir.path().join("copy"));
        assert_eq!(StateId::read(&ours).unwrap(), None);
        let id = StateId::of(&ours).unwrap();
        assert_eq!(id.as_str().len(), 16);
        assert_eq!(StateId::of(&ours).unwrap(), id);
        std::fs::rename(&ours, dir.path().join("moved")).unwrap();
        let moved = dir.path().join("moved");
        assert_eq!(StateId::of(&moved).unwrap(), id, "it is the same folder");
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(moved.join("id"), copy.join("id")).unwrap();
        assert_eq!(StateId::read(&copy).unwrap(), None);
        assert_ne!(StateId::of(&copy).unwrap(), id);
        std::fs::write(copy.join("id"), "{").unwrap();
        assert_ne!(StateId::of(&copy).unwrap(), id, "nonsense is replaced");
    }

    #[test]
    fn on_a_clone_of_the_machine_the_id_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let meta = std::fs::metadata(dir.path()).unwrap();
        let written = |id: &str| {
            let (inode, born_ns) = (meta.ino(), born(&meta));
            Written { id: "0123456789abcdef".into(), inode, born_ns, machine: hashed(id) }
        };
        let (ours, clones) = ("0af3".repeat(8), "0af4".repeat(8));
        let is_of = |then: &str, now: &str| written(then).is_of(&meta, hashed(now).as_deref());
        assert!(is_of(&ours, &format!("{ours}\n")));
        assert!(!is_of(&ours, &clones));
        for none in ["", "\n", "uninitialized\n"] {
            assert!(is_of(none, &ours) && is_of(&ours, none), "{none:?}: nobody knows better");
        }
    }

    #[test]
    fn concurrent_processes_get_the_same_id() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let ids: Vec<StateId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| StateId::of(&state).unwrap())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
