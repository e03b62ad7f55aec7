//! Whose a state folder is: a random id, kept in the folder. A path names a folder only within one file system:
//! processes that share a container engine, such as jobs in containers, may have different folders at one path.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Label on what seatrial itself creates in a container engine: the id of the state folder that owns it.
pub const OWNED_BY_LABEL: &str = "dev.seatrial.owner";

/// Label of a container whose process only measures the machine: the process of seatrial that made it, as JSON.
pub const CONTROL_LABEL: &str = "dev.seatrial.control";

/// The id of a state folder: 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateId(String);

/// Why the id of a state folder is not known.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} {}, which holds the id of the state folder", .path.display())]
pub struct IdentityError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The file `id` in the state folder.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    id: StateId,
    /// The inode of the folder.
    inode: u64,
    /// When the folder was made, in nanoseconds since 1970; none where the file system does not say.
    born_ns: Option<u128>,
    /// A hash of the machine's id; none where it has none, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    /// The same of containers of the machine that have an id of their own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    inside: BTreeSet<String>,
    /// The id of the kernel's boot, in which machine and containers are known to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
}

/// What a process sees of the machine that it runs on.
#[derive(Clone, Debug, Default)]
struct Here {
    /// A hash of the id in its file system.
    machine: Option<String>,
    /// The id of the kernel's boot.
    boot: Option<String>,
}

impl IdentityError {
    /// Returns the command that mends it.
    pub fn hint(&self) -> String {
        "choose a state folder that can be written: SEATRIAL_STATE=FOLDER".into()
    }
}

impl StateId {
    /// Returns the id of this state folder. Creates the folder and the id where they are missing.
    ///
    /// # Guarantees
    /// All processes of one machine that see the folder get the same id, also those in containers whose image has a
    /// machine id of its own, once both were there during one boot. A copy of the folder gets an id of its own,
    /// and so does the folder on a clone of the machine that has a machine id of its own: the original keeps what it
    /// owns.
    ///
    /// # Errors
    /// [`IdentityError`] when the file cannot be read or written. A file that cannot be understood is replaced.
    pub fn of(state: &Path) -> Result<Self, IdentityError> {
        let here = Here::now();
        if let Some(written) = Written::read(state, &here)?.filter(|written| written.knows(&here)) {
            return Ok(written.id);
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
        // Another process may have written the id meanwhile.
        let known = Written::read(state, &here)?;
        let path = file(state);
        let (new, id) = (known.is_none(), known.as_ref().map_or_else(Self::random, |known| known.id.clone()));
        match write(state, &path, &id, known, here) {
            // An id that is there holds, whether more can be said of it or not.
            Err(error) if new => return Err(failed("write", &path)(error)),
            _ => {}
        }
        drop(locked);
        Ok(id)
    }

    /// Returns the id of this state folder; none where it has none yet, or where the folder is a copy.
    ///
    /// # Errors
    /// [`IdentityError`] when the file is there and cannot be read.
    pub fn read(state: &Path) -> Result<Option<Self>, IdentityError> {
        Ok(Written::read(state, &Here::now())?.map(|written| written.id))
    }

    fn random() -> Self {
        // The keys of a RandomState come from the system's source of randomness.
        Self(format!("{:016x}", RandomState::new().hash_one(std::process::id())))
    }

    /// The id as text.
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

impl Here {
    fn now() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self { machine: machine(), boot: boot.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()) }
    }
}

impl Written {
    /// What is written in this folder; none where nothing is, or where the folder is a copy.
    fn read(state: &Path, here: &Here) -> Result<Option<Self>, IdentityError> {
        let path = file(state);
        let read = || match File::open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
            Ok(open) => {
                let meta = std::fs::metadata(state)?;
                let Ok(written) = serde_json::from_reader::<_, Self>(&open) else { return Ok(None) };
                Ok(written.is_of(&meta, here).then_some(written))
            }
        };
        read().map_err(|source| IdentityError { doing: "read", path: path.clone(), source })
    }

    /// Whether nothing is to be added to it.
    fn knows(&self, here: &Here) -> bool {
        (here.boot.is_none() || self.boot == here.boot) && self.is_known(here)
    }

    /// Whether this was written on this machine or in one of its containers, as far as both say; what says nothing is
    /// known.
    fn is_known(&self, here: &Here) -> bool {
        let known = |now: &String| self.machine.as_ref() == Some(now) || self.inside.contains(now);
        self.machine.is_none() || here.machine.as_ref().is_none_or(known)
    }

    /// Whether this was written in this folder, and not in one that it is a copy of. A folder cannot be hard-linked,
    /// and a copy of it is made later. Its time of birth decides: inodes are numbered alike on fresh file systems,
    /// and on some again at each mount. Where that time is not known, the inode decides. A clone of a disk has both
    /// alike: there the id of the machine decides, where both are known. All containers of a machine see one boot, and a
    /// clone another one.
    fn is_of(&self, meta: &std::fs::Metadata, here: &Here) -> bool {
        let one_boot = here.boot.is_some() && self.boot == here.boot;
        if !one_boot && !self.is_known(here) {
            return false;
        }
        match (self.born_ns, born(meta)) {
            (Some(then), Some(now)) => then == now,
            _ => self.inode == meta.ino(),
        }
    }
}

/// A hash of the machine's id (machine-id(5)), which is not to be shown as it is. None where there is no id: in
/// containers the file is often missing or empty.
fn machine() -> Option<String> {
    hashed(&std::fs::read_to_string("/etc/machine-id").ok()?)
}

fn hashed(id: &str) -> Option<String> {
    let id = id.trim();
    let is_id = !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit());
    is_id.then(|| {
        Sha256::digest(format!("seatrial {id}"))[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    })
}

fn born(meta: &std::fs::Metadata) -> Option<u128> {
    meta.created().ok()?.duration_since(std::time::UNIX_EPOCH).ok().map(|time| time.as_nanos())
}

fn file(state: &Path) -> PathBuf {
    state.join("id")
}

/// Writes the id under a name of its own first: whoever reads the file sees all of it. What was known of the machine
/// stays.
fn write(state: &Path, path: &Path, id: &StateId, known: Option<Written>, here: Here) -> std::io::Result<()> {
    let mut temp = tempfile::Builder::new().prefix(".id-").tempfile_in(state)?;
    // Looked at once the folder holds the file: where it lies in layers, that makes it a folder of the upper one.
    let meta = std::fs::metadata(state)?;
    let (machine, mut inside) = match known {
        Some(known) => (known.machine.or_else(|| here.machine.clone()), known.inside),
        None => (here.machine.clone(), BTreeSet::new()),
    };
    inside.extend(here.machine.filter(|now| machine.as_ref() != Some(now)));
    let (inode, born_ns) = (meta.ino(), born(&meta));
    let written = Written { id: id.clone(), inode, born_ns, machine, inside, boot: here.boot };
    serde_json::to_writer(&mut temp, &written)?;
    temp.write_all(b"\n")?;
    temp.as_file().sync_all()?;
    temp.persist(path)?;
    Ok(())
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
    fn on_a_clone_of_the_machine_it_is_another_folder() {
        let dir = tempfile::tempdir().unwrap();
        let meta = std::fs::metadata(dir.path()).unwrap();
        let written = |id: &str| {
            let (inode, born_ns) = (meta.ino(), born(&meta));
            let (id, machine, boot) = ("0123456789abcdef".into(), hashed(id), Some("b1".into()));
            Written { id, inode, born_ns, machine, inside: BTreeSet::new(), boot }
        };
        let here = |id: &str, boot: &str| Here { machine: hashed(id), boot: Some(boot.into()) };
        let (ours, clones) = ("0af3".repeat(8), "0af4".repeat(8));
        let is_of = |then: &str, now: &str| written(then).is_of(&meta, &here(now, "b2"));
        assert!(written(&ours).is_of(&meta, &here(&clones, "b1")), "a container of the machine");
        assert!(is_of(&ours, &format!("{ours}\n")));
        assert!(!is_of(&ours, &clones));
        for none in ["", "\n", "uninitialized\n"] {
            assert!(is_of(none, &ours) && is_of(&ours, none), "{none:?}: nobody knows better");
        }
    }

    /// A container whose image has a machine id of its own, and the machine, also after its next boot.
    #[test]
    fn a_container_and_its_machine_see_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (state, path) = (dir.path(), file(dir.path()));
        let here = |machine: char, boot: &str| Here {
            machine: hashed(&machine.to_string().repeat(32)),
            boot: Some(boot.into()),
        };
        let id = StateId::random();
        write(state, &path, &id, None, here('a', "b1")).unwrap();
        let known = |now: &Here| Written::read(state, now).unwrap();
        let inside = known(&here('c', "b1")).unwrap();
        assert!(!inside.knows(&here('c', "b1")));
        write(state, &path, &id, Some(inside), here('c', "b1")).unwrap();
        for machine in ['a', 'c'] {
            assert_eq!(known(&here(machine, "b2")).map(|known| known.id), Some(id.clone()), "{machine}");
        }
        assert!(known(&here('d', "b2")).is_none(), "a clone of the disk");
    }

    #[test]
    fn processes_that_come_together_agree() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let ids: Vec<StateId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| StateId::of(&state).unwrap())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
