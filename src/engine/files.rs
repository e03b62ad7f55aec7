//! Files in containers, also in stopped ones.
//!
//! In a running container, `find` lists files as its processes see them. In any other state, the archive API streams
//! whole folders; the content of files is dropped as it arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use bollard::container::PathStatResponse;
use bollard::query_parameters::{ContainerArchiveInfoOptions, DownloadFromContainerOptions};
use futures::{StreamExt, TryStreamExt};
use ring::digest::{SHA256, digest};
use tokio::sync::mpsc;

use super::exec::failed;
use super::{Container, Engine, EngineError, ExecResult, Power, bounded};
use crate::event::FileEntry;

/// Maximum number of entries that are listed of a folder.
const ENTRY_LIMIT: usize = 50_000;
/// Maximum size in bytes of the files in a folder of a container that does not run. The whole folder is streamed to
/// list it.
const BYTE_LIMIT: u64 = 8 << 30;
/// Maximum size in bytes of a file whose checksum is computed.
pub const SUMMED: u64 = 64 << 10;
/// Maximum number of files whose checksums are computed.
const SUMS: usize = 4096;
/// Go's `os.ModeDir`, as the archive API returns it.
const GO_DIR: u32 = 1 << 31;
/// Go's `os.ModeSymlink`.
const GO_LINK: u32 = 1 << 27;

/// The content of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// By path, at most 50 000.
    pub entries: Vec<FileEntry>,
    /// What the folder's path finally points to, if the path itself is a symbolic link.
    pub link: Option<String>,
    /// Why there may be more entries; `None` if the list is complete.
    pub incomplete: Option<String>,
}

impl Engine {
    /// Lists a folder by path, at most `depth` levels deep (1: only the folder's own entries); `None` if the path does
    /// not exist. A path that is a symbolic link is followed, links below it are listed as links. If the path is a
    /// file, the file is the only entry. Sockets are never listed, because Docker's archives, which are read if a
    /// container does not run, leave them out. Content of files is not read, and `link` is not set: see
    /// [`Engine::inspect`].
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if the container does not exist, [`EngineError::NotVisible`] for a tmpfs of a
    /// container that does not run, [`EngineError::Timeout`] after 120 s, [`EngineError::Api`].
    pub async fn list(&self, name: &str, path: &str, depth: usize) -> Result<Option<Listed>, EngineError> {
        let container = self.existing(name).await?;
        Ok(self.listed(&container, path, depth, false).await?.map(|(listed, _)| listed))
    }

    /// As [`Engine::list`], with the checksums of the first 4096 files of at most 64 KiB, and with `link` set.
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

    /// Also returns the paths of small files whose checksums are not computed yet.
    async fn listed(
        &self,
        container: &Container,
        path: &str,
        depth: usize,
        sums: bool,
    ) -> Result<Option<(Listed, BTreeSet<String>)>, EngineError> {
        if container.power == Power::Running {
            match self.list_by_find(&container.name, path, depth).await {
                // The image has no GNU find, or the container has just stopped.
                Err(EngineError::Command { .. } | EngineError::NotRunning { .. }) => {}
                done => return done,
            }
        }
        let listed = self.list_by_archive(container, path, depth, sums).await?;
        Ok(listed.map(|listed| (listed, BTreeSet::new())))
    }

    /// Returns the content of a file, or `None` if it does not exist. Symbolic links are followed.
    ///
    /// # Errors
    /// [`EngineError::TooMuch`] if it has more than `limit` bytes, and those of [`Engine::list`].
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
        // -H follows the path itself, not the links below it. There are six fields for each entry.
        let script = r#"find -H "$1" -maxdepth "$2" -printf '%y\0%s\0%U\0%m\0%P\0%l\0' | head -z -n "$3""#;
        let fields = (6 * asked(ENTRY_LIMIT)).to_string();
        let argv = ["sh", "-c", script, "sh", path, &depth, &fields];
        let result = self.exec(name, &argv, None, self.work()).await?;
        match from_find(&result.stdout, path, ENTRY_LIMIT) {
            // `find` fails if a file is removed meanwhile, but its output is correct. The exit code is that of `head`:
            // if it is not 0, the container has stopped.
            Some(found) if result.code == 0 => Ok(Some(found)),
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
            // The index of each listed file among the entries: hard links refer to it.
            let mut files: BTreeMap<String, usize> = BTreeMap::new();
            for entry in archive.entries()? {
                let mut entry = entry?;
                let below = below_root(&entry.path()?.to_string_lossy(), top);
                bytes += entry.size();
                if !below.is_empty() && below.split('/').count() <= depth.max(1) {
                    // The entry beyond the limit is not listed: every checksum belongs to a listed file.
                    if listed.entries.len() == ENTRY_LIMIT {
                        listed.incomplete.get_or_insert_with(too_many);
                        break;
                    }
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
                                let why = format!("{} is a hard link to an unlisted file", found.path);
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
                        (found.sha256, summed) = (Some(hex::encode(digest(&SHA256, &content))), summed + 1);
                    }
                    listed.entries.push(found);
                }
                if bytes > BYTE_LIMIT {
                    listed.incomplete = Some(format!("more than {} GiB of files", BYTE_LIMIT >> 30));
                    break;
                }
            }
            Ok(listed)
        };
        let Some(listed) = self.unpack(&container.name, &path, list).await? else { return Ok(None) };
        Ok(Some(Listed { entries: sorted(listed.entries), ..listed }))
    }

    /// Computes the checksums of these files in a running container. A file has no checksum if it changes or is removed
    /// meanwhile, or if the image lacks the programs.
    async fn sum(
        &self,
        name: &str,
        path: &str,
        entries: &mut [FileEntry],
        unread: &BTreeSet<String>,
    ) -> Result<(), EngineError> {
        let root = path.trim_end_matches('/');
        // If the path is a file, the file is the only entry.
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

    /// Returns where the path leads, and whether it is a folder. Links are followed here, part by part: Docker would
    /// follow a link past a tmpfs, into the files that the tmpfs hides.
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
                // Docker returns the end of a chain of links.
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
        let doing = || format!("failed to look up {path} in {}", container.name);
        let work = self.docker.get_container_archive_info(&container.name, Some(options));
        match self.ask(doing, self.quick(), work).await {
            Ok(stat) => Ok(Some(stat)),
            // A 404 means that either the path or the container is missing.
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

    /// Streams the path's archive through `read` on another thread; bytes that `read` skips are not kept in memory.
    /// Returns `None` if the path was removed.
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

/// Turns pieces of a stream into a reader for another thread.
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

/// Returns how many entries `find` is asked for: one more than the limit, and the path itself.
const fn asked(limit: usize) -> usize {
    limit + 2
}

/// Returns at most `limit` entries, with the paths of the small files whose checksums are to be computed.
fn from_find(stdout: &[u8], path: &str, limit: usize) -> Option<(Listed, BTreeSet<String>)> {
    let text = String::from_utf8_lossy(stdout);
    let mut found = parse_find(&text, path)?;
    // Sockets count here, although they are not listed.
    let cut = text.matches('\0').count() == 6 * asked(limit);
    // The list is cut before it is sorted: the checksums are of the first files that were found, and each of them is
    // listed.
    found.truncate(limit);
    // Only regular files are certain to end: reading a pipe or a device may block forever.
    let small = found.iter().filter(|(kind, entry)| *kind == "f" && entry.size <= SUMMED);
    let small = small.map(|(_, entry)| entry.path.clone()).take(SUMS).collect();
    let entries = sorted(found.into_iter().map(|(_, entry)| entry).collect());
    Some((Listed { entries, link: None, incomplete: cut.then(too_many) }, small))
}

/// Returns the entries, each with the letter of its kind as `find` prints it.
fn parse_find<'o>(stdout: &'o str, path: &str) -> Option<Vec<(&'o str, FileEntry)>> {
    let mut root_seen = false;
    let mut entries = Vec::new();
    // A name may contain any byte but the one that ends each field.
    let fields: Vec<&str> = stdout.split_terminator('\0').collect();
    for record in fields.chunks_exact(6) {
        let [kind, size, uid, mode, mut below, link] = record.try_into().ok()?;
        let folder = kind == "d";
        if kind == "s" {
            root_seen |= below.is_empty();
            continue;
        }
        if below.is_empty() {
            // `find` follows the path itself: if it reports a link, the link is broken.
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

/// Returns a path relative to the listed folder. In an archive of a folder, each path begins with the folder's own
/// name, except in an archive of `/`.
fn below_root(path: &str, named: bool) -> String {
    let path = path.trim_start_matches("./").trim_matches('/');
    match (named, path.split_once('/')) {
        (false, _) => path.to_owned(),
        (true, Some((_, below))) => below.to_owned(),
        (true, None) => String::new(),
    }
}

fn too_many() -> String {
    format!("more than {ENTRY_LIMIT} entries")
}

fn sorted(mut entries: Vec<FileEntry>) -> Vec<FileEntry> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// Returns the tmpfs that contains the path.
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

/// Whether `find` reported that its path does not exist.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `find` prints for a folder with these entries, kind and name, at most as many as it is asked for.
    fn printed(entries: &[(&str, &str)], limit: usize) -> String {
        let all = std::iter::once(&("d", "")).chain(entries);
        all.take(asked(limit)).map(|(kind, name)| format!("{kind}\00\00\0644\0{name}\0\0")).collect()
    }

    #[test]
    fn each_small_file_of_a_list_that_was_cut_is_in_it() {
        let found = printed(&[("f", "c"), ("f", "b"), ("f", "a")], 2);
        let (listed, small) = from_find(found.as_bytes(), "/data", 2).unwrap();
        assert_eq!(listed.entries.iter().map(|e| &*e.path).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(small.iter().collect::<Vec<_>>(), ["b", "c"]);
        assert!(listed.incomplete.is_some());
    }

    #[test]
    fn sockets_do_not_hide_that_a_list_was_cut() {
        let found = printed(&[("s", "socket"), ("f", "a"), ("f", "b"), ("f", "c")], 2);
        let (listed, _) = from_find(found.as_bytes(), "/data", 2).unwrap();
        assert_eq!(listed.entries.len(), 2);
        assert!(listed.incomplete.is_some());
        let whole = printed(&[("f", "a"), ("f", "b")], 2);
        assert_eq!(from_find(whole.as_bytes(), "/data", 2).unwrap().0.incomplete, None);
    }
}
