//! Files in containers, stopped ones included.
//!
//! A running container is asked with `find`, which sees what its processes see. Any other is read
//! through the archive API, which streams whole folders: the bodies are dropped as they come.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use bollard::container::PathStatResponse;
use bollard::query_parameters::{ContainerArchiveInfoOptions, DownloadFromContainerOptions};
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::exec::failed;
use super::{Container, Engine, EngineError, ExecResult, Power, bounded};
use crate::event::FileEntry;

/// Of a folder with more entries than this, within the depth asked for, so many are listed.
const ENTRY_LIMIT: usize = 50_000;
/// A folder of a container that does not run is streamed to list it, up to this many bytes of
/// files.
const BYTE_LIMIT: u64 = 8 << 30;
/// Files up to this size are summed.
pub const SUMMED: u64 = 64 << 10;
/// So many of them at most.
const SUMS: usize = 4096;
/// Go's `os.ModeDir`, as the archive API gives it.
const GO_DIR: u32 = 1 << 31;
/// Go's `os.ModeSymlink`.
const GO_LINK: u32 = 1 << 27;

/// What lies in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// By path, at most 50 000.
    pub entries: Vec<FileEntry>,
    /// Where the folder's path itself is a symbolic link: what it leads to in the end.
    pub link: Option<String>,
    /// Why there may be more than the entries; `None` where they are all.
    pub incomplete: Option<String>,
}

impl Engine {
    /// What lies in a folder, by path, at most `depth` levels deep (1: the folder's own entries);
    /// `None` when the path does not exist. A path that is a symbolic link is followed; links
    /// below it are reported. Of a file, the only entry is itself. Sockets are in no listing: those of a
    /// container that does not run cannot be seen (Docker's archives leave them out). Files are not
    /// read, and `link` is not filled in: see [`Engine::inspect`].
    ///
    /// # Errors
    /// [`EngineError::NotFound`] without the container, [`EngineError::NotVisible`] for a tmpfs of
    /// one that does not run, [`EngineError::Timeout`] after 120 s, [`EngineError::Api`].
    pub async fn list(&self, name: &str, path: &str, depth: usize) -> Result<Option<Listed>, EngineError> {
        let container = self.existing(name).await?;
        Ok(self.listed(&container, path, depth, false).await?.map(|(listed, _)| listed))
    }

    /// As [`Engine::list`], with the checksums of files of at most 64 KiB, of which the first 4096
    /// are read, and with what the path itself leads to.
    ///
    /// # Errors
    /// Those of [`Engine::list`].
    pub async fn inspect(&self, name: &str, path: &str, depth: usize) -> Result<Option<Listed>, EngineError> {
        let container = self.existing(name).await?;
        let Some((mut listed, unread)) = self.listed(&container, path, depth, true).await? else {
            return Ok(None);
        };
        self.sum(name, path, &mut listed.entries, &unread).await?;
        let itself = path.trim_end_matches('/');
        if in_memory(&container, path).is_none()
            && !itself.is_empty()
            && let Some(stat) = self.stat(&container, itself).await?
            && stat.file_mode & GO_LINK != 0
        {
            listed.link = Some(stat.link_target);
        }
        Ok(Some(listed))
    }

    /// Gives too the paths of small files that were not summed on the way.
    async fn listed(
        &self,
        container: &Container,
        path: &str,
        depth: usize,
        sums: bool,
    ) -> Result<Option<(Listed, BTreeSet<String>)>, EngineError> {
        if container.power == Power::Running {
            match self.list_by_find(&container.name, path, depth).await {
                // An image without GNU find, or a container that stopped this moment.
                Err(EngineError::Command { .. } | EngineError::NotRunning { .. }) => {}
                done => return done,
            }
        }
        let listed = self.list_by_archive(container, path, depth, sums).await?;
        Ok(listed.map(|listed| (listed, BTreeSet::new())))
    }

    /// The bytes of a file, `None` when it does not exist. Symbolic links are followed.
    ///
    /// # Errors
    /// [`EngineError::TooMuch`] when it has more than `limit` bytes, and those of
    /// [`Engine::list`].
    pub async fn read_file(
        &self,
        name: &str,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let container = self.existing(name).await?;
        if container.power == Power::Running {
            match self.read_by_head(name, path, limit).await {
                Err(EngineError::Command { .. } | EngineError::NotRunning { .. }) => {}
                done => return done,
            }
        }
        let Some((path, _)) = self.resolve(&container, path).await? else { return Ok(None) };
        let read = move |archive: &mut tar::Archive<Pieces>| -> std::io::Result<Found> {
            let Some(entry) = archive.entries()?.next() else { return Ok(Found::Nothing) };
            let entry = entry?;
            if !entry.header().entry_type().is_file() {
                return Ok(Found::NoFile);
            }
            if entry.size() > limit {
                return Ok(Found::TooMuch);
            }
            let mut bytes = Vec::new();
            entry.take(limit).read_to_end(&mut bytes)?;
            Ok(Found::Bytes(bytes))
        };
        match self.unpack(name, &path, read).await? {
            None | Some(Found::Nothing) => Ok(None),
            Some(Found::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Found::TooMuch) => Err(too_much(name, &path, limit, "bytes")),
            Some(Found::NoFile) => Err(no_file(&path)),
        }
    }

    async fn list_by_find(
        &self,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Result<Option<(Listed, BTreeSet<String>)>, EngineError> {
        let depth = depth.max(1).to_string();
        // -H follows the path itself, not the links below it. Six fields an entry.
        let script = r#"find -H "$1" -maxdepth "$2" -printf '%y\0%s\0%U\0%m\0%P\0%l\0' | head -z -n "$3""#;
        let fields = (6 * (ENTRY_LIMIT + 2)).to_string();
        let argv = ["sh", "-c", script, "sh", path, &depth, &fields];
        let result = self.exec(name, &argv, None, self.work()).await?;
        match parse_find(&String::from_utf8_lossy(&result.stdout), path) {
            // A file that went away while find ran makes it complain; what it printed is true. The code is
            // head's: another than 0 means that the container ended in the middle.
            Some(found) if result.code == 0 => {
                // Only these can be read to their end: a pipe or a device may have none.
                let small = found.iter().filter(|(kind, entry)| *kind == "f" && entry.size <= SUMMED);
                let small = small.map(|(_, entry)| entry.path.clone()).take(SUMS).collect();
                let entries = found.into_iter().map(|(_, entry)| entry).collect();
                Ok(Some((bounded_by(sorted(entries)), small)))
            }
            None if nowhere(&result) || result.stdout.starts_with(b"l\0") => Ok(None),
            _ => Err(failed(name, &argv, result.code, &result.stderr)),
        }
    }

    async fn list_by_archive(
        &self,
        container: &Container,
        path: &str,
        depth: usize,
        sums: bool,
    ) -> Result<Option<Listed>, EngineError> {
        let Some((path, folder)) = self.resolve(container, path).await? else { return Ok(None) };
        let top = folder && path != "/";
        let list = move |archive: &mut tar::Archive<Pieces>| -> std::io::Result<Listed> {
            let (mut listed, mut bytes, mut summed) = (Listed::default(), 0, 0);
            // Where each listed file is among the entries: its other names refer to it.
            let mut files: BTreeMap<String, usize> = BTreeMap::new();
            for entry in archive.entries()? {
                let mut entry = entry?;
                let below = below_root(&entry.path()?.to_string_lossy(), top);
                bytes += entry.size();
                if !below.is_empty() && below.split('/').count() <= depth.max(1) {
                    let mut found = from_tar(&entry, below)?;
                    let kind = entry.header().entry_type();
                    if kind.is_hard_link() {
                        let other = entry.link_name()?.unwrap_or_default();
                        let other = below_root(&other.to_string_lossy(), top);
                        match files.get(&other) {
                            Some(at) => {
                                let other = &listed.entries[*at];
                                (found.size, found.sha256) = (other.size, other.sha256.clone());
                            }
                            None => {
                                let why = format!("{} is another name of a file that is deeper", found.path);
                                listed.incomplete.get_or_insert(why);
                            }
                        }
                    }
                    if kind.is_file() {
                        files.insert(found.path.clone(), listed.entries.len());
                    }
                    if sums && kind.is_file() && entry.size() <= SUMMED && summed < SUMS {
                        let mut content = Vec::new();
                        entry.read_to_end(&mut content)?;
                        (found.sha256, summed) = (Some(hex::encode(Sha256::digest(&content))), summed + 1);
                    }
                    listed.entries.push(found);
                }
                if bytes > BYTE_LIMIT {
                    listed.incomplete = Some(format!("more than {} GiB of files", BYTE_LIMIT >> 30));
                    break;
                }
                if listed.entries.len() > ENTRY_LIMIT {
                    break;
                }
            }
            Ok(listed)
        };
        let Some(listed) = self.unpack(&container.name, &path, list).await? else { return Ok(None) };
        let incomplete = listed.incomplete;
        let bounded = bounded_by(sorted(listed.entries));
        Ok(Some(Listed { incomplete: incomplete.or(bounded.incomplete), ..bounded }))
    }

    /// Sums these files of a running container. A file that changes or goes meanwhile, or an image
    /// without the programs, leaves it without a sum.
    async fn sum(
        &self,
        name: &str,
        path: &str,
        entries: &mut [FileEntry],
        unread: &BTreeSet<String>,
    ) -> Result<(), EngineError> {
        let root = path.trim_end_matches('/');
        // Of a file, the only entry is itself.
        let own = root.rsplit('/').next().unwrap_or_default();
        let is_file = matches!(&*entries, [one] if one.path == own);
        let mut files: BTreeMap<String, &mut FileEntry> = BTreeMap::new();
        for entry in entries.iter_mut().filter(|e| unread.contains(&e.path)) {
            let path = if is_file { root.to_owned() } else { format!("{root}/{}", entry.path) };
            files.insert(path, entry);
        }
        if files.is_empty() {
            return Ok(());
        }
        let asked = files.keys().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        let argv = ["xargs", "-0", "sha256sum", "-z", "--"];
        let result = match self.exec(name, &argv, Some(asked), self.work()).await {
            Ok(result) => result,
            Err(EngineError::NotRunning { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        for line in String::from_utf8_lossy(&result.stdout).split_terminator('\0') {
            if let Some((sum, path)) = line.split_once("  ")
                && let Some(entry) = files.get_mut(path)
            {
                entry.sha256 = Some(sum.to_owned());
            }
        }
        Ok(())
    }

    /// Where the path leads, and whether it is a folder there. Links are followed part by part:
    /// Docker would follow them too, but past a tmpfs, into what lies under it.
    async fn resolve(
        &self,
        container: &Container,
        path: &str,
    ) -> Result<Option<(String, bool)>, EngineError> {
        let (mut at, mut folder) = ("/".to_owned(), true);
        for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
            at = format!("{}/{part}", at.trim_end_matches('/'));
            visible(container, &at)?;
            let Some(mut stat) = self.stat(container, &at).await? else { return Ok(None) };
            if stat.file_mode & GO_LINK != 0 {
                // Docker gives the end of a chain of links.
                at = stat.link_target;
                visible(container, &at)?;
                let Some(target) = self.stat(container, &at).await? else { return Ok(None) };
                stat = target;
            }
            folder = stat.file_mode & GO_DIR != 0;
        }
        Ok(Some((at, folder)))
    }

    async fn stat(&self, container: &Container, path: &str) -> Result<Option<PathStatResponse>, EngineError> {
        let options = ContainerArchiveInfoOptions { path: path.into() };
        let doing = || format!("failed to look at {path} of {}", container.name);
        let work = self.docker.get_container_archive_info(&container.name, Some(options));
        match self.ask(doing, self.quick(), work).await {
            Ok(stat) => Ok(Some(stat)),
            // A 404 speaks of the path or of the container.
            Err(error) if error.status() == Some(404) => self.existing(&container.name).await.map(|_| None),
            Err(error) => Err(error),
        }
    }

    async fn read_by_head(&self, name: &str, path: &str, limit: u64) -> Result<Option<Vec<u8>>, EngineError> {
        let count = (limit.saturating_add(1)).to_string();
        let argv = ["head", "-c", &count, path];
        let result = self.exec(name, &argv, None, self.work()).await?;
        match result.code {
            0 if result.stdout.len() as u64 > limit => Err(too_much(name, path, limit, "bytes")),
            0 => Ok(Some(result.stdout)),
            _ if missing(&result) => Ok(None),
            _ if says(&result, "Is a directory") => Err(no_file(path)),
            code => Err(failed(name, &argv, code, &result.stderr)),
        }
    }

    /// Streams the path's archive through `read` on a thread of its own; bytes that `read` skips
    /// are never held. `None` when the path went away.
    async fn unpack<T: Send + 'static>(
        &self,
        name: &str,
        path: &str,
        read: impl FnOnce(&mut tar::Archive<Pieces>) -> std::io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, EngineError> {
        let doing = || format!("failed to read {path} of {name}");
        let options = DownloadFromContainerOptions { path: path.into() };
        let mut body = self.docker.download_from_container(name, Some(options)).boxed();
        let (send, pieces) = mpsc::channel::<Vec<u8>>(4);
        let reader = tokio::task::spawn_blocking(move || read(&mut tar::Archive::new(Pieces::new(pieces))));
        let work = async move {
            while let Some(piece) = body.try_next().await? {
                // The reader has seen enough.
                if send.send(piece.to_vec()).await.is_err() {
                    break;
                }
            }
            drop(send);
            let joined = reader.await.map_err(std::io::Error::other)?;
            Ok(joined?)
        };
        match bounded(doing, self.work(), work).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

enum Found {
    Nothing,
    NoFile,
    TooMuch,
    Bytes(Vec<u8>),
}

/// Pieces of a stream as a reader for another thread.
struct Pieces {
    from: mpsc::Receiver<Vec<u8>>,
    piece: std::io::Cursor<Vec<u8>>,
}

impl Pieces {
    fn new(from: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { from, piece: std::io::Cursor::default() }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.piece.read(buffer)? {
                0 => match self.from.blocking_recv() {
                    Some(next) => self.piece = std::io::Cursor::new(next),
                    None => return Ok(0),
                },
                n => return Ok(n),
            }
        }
    }
}

/// The entries with the letter that `find` has for their kind.
fn parse_find<'o>(stdout: &'o str, path: &str) -> Option<Vec<(&'o str, FileEntry)>> {
    let mut root_seen = false;
    let mut entries = Vec::new();
    // A name may hold anything but the byte that ends each field.
    let fields: Vec<&str> = stdout.split_terminator('\0').collect();
    for record in fields.chunks_exact(6) {
        let [kind, size, uid, mode, mut below, link] = record.try_into().ok()?;
        let folder = kind == "d";
        if kind == "s" {
            root_seen |= below.is_empty();
            continue;
        }
        if below.is_empty() {
            // Followed, so a link here is one that leads nowhere.
            root_seen = kind != "l";
            if folder || kind == "l" {
                continue;
            }
            below = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
        }
        let entry = FileEntry {
            path: if folder { format!("{below}/") } else { below.to_owned() },
            size: if kind == "f" { size.parse().ok()? } else { 0 },
            uid: uid.parse().ok()?,
            mode: u32::from_str_radix(mode, 8).ok()?,
            link: (kind == "l").then(|| link.to_owned()),
            sha256: None,
        };
        entries.push((kind, entry));
    }
    root_seen.then_some(entries)
}

fn from_tar<R: Read>(entry: &tar::Entry<'_, R>, below: String) -> std::io::Result<FileEntry> {
    let header = entry.header();
    let kind = header.entry_type();
    let link = if kind.is_symlink() { entry.link_name()? } else { None };
    Ok(FileEntry {
        path: if kind.is_dir() { format!("{below}/") } else { below },
        size: if kind.is_file() { entry.size() } else { 0 },
        uid: header.uid()?,
        mode: header.mode()? & 0o7777,
        link: link.map(|l| l.to_string_lossy().into_owned()),
        sha256: None,
    })
}

/// In an archive of a folder each path begins with the folder's own name; not in one of `/`.
fn below_root(path: &str, named: bool) -> String {
    let path = path.trim_start_matches("./").trim_matches('/');
    match (named, path.split_once('/')) {
        (false, _) => path.to_owned(),
        (true, Some((_, below))) => below.to_owned(),
        (true, None) => String::new(),
    }
}

fn bounded_by(mut entries: Vec<FileEntry>) -> Listed {
    let over = entries.len() > ENTRY_LIMIT;
    entries.truncate(ENTRY_LIMIT);
    let incomplete = over.then(|| format!("more than {ENTRY_LIMIT} entries"));
    Listed { entries, link: None, incomplete }
}

fn sorted(mut entries: Vec<FileEntry>) -> Vec<FileEntry> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// The tmpfs that the path lies in.
fn in_memory<'a>(container: &'a Container, path: &str) -> Option<&'a str> {
    let within = |mount: &&String| {
        let rest = path.strip_prefix(mount.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    container.tmpfs.iter().find(within).map(String::as_str)
}

fn visible(container: &Container, path: &str) -> Result<(), EngineError> {
    match in_memory(container, path) {
        Some(mount) => Err(not_visible(container, path, mount)),
        None => Ok(()),
    }
}

fn not_visible(container: &Container, path: &str, mount: &str) -> EngineError {
    EngineError::NotVisible {
        container: container.name.clone(),
        path: path.into(),
        mount: mount.into(),
        power: container.power,
    }
}

/// Whether `find` did not find the path that it was given.
fn nowhere(result: &ExecResult) -> bool {
    let said = String::from_utf8_lossy(&result.stderr);
    said.contains("No such file or directory") || said.contains("Not a directory")
}

fn missing(result: &ExecResult) -> bool {
    says(result, "No such file or directory") || says(result, "Not a directory")
}

fn says(result: &ExecResult, text: &str) -> bool {
    result.code == 1 && String::from_utf8_lossy(&result.stderr).contains(text)
}

fn no_file(path: &str) -> EngineError {
    EngineError::File { path: path.into(), source: std::io::ErrorKind::IsADirectory.into() }
}

fn too_much(container: &str, path: &str, limit: u64, unit: &'static str) -> EngineError {
    EngineError::TooMuch { container: container.into(), path: path.into(), limit, unit }
}
