//! Folders of evidence: private, bounded, without secrets, and with a list of what is missing.

mod split;

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::file::{self, Readers};
use crate::sanitise;
use crate::secret::Secrets;

/// Creates a folder and its parents with access for its owner only. If the folder exists, access of others is removed,
/// except from a sticky folder.
///
/// # Errors
/// Those of the file system.
pub fn private_dir(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let found = std::fs::metadata(dir)?;
    let mode = found.permissions().mode();
    // Everybody uses a sticky folder, such as /tmp. A folder of another user keeps its mode, even if root could change
    // it.
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    let open = ours && mode & 0o077 != 0 && mode & 0o1000 == 0;
    let _ = open.then(|| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)));
    Ok(())
}

/// A folder that collects evidence. Several tasks may use it at once.
///
/// # Guarantees
/// When the folder is closed, no text contains a secret that its `Secrets` remember. Only its owner has access, it
/// holds at most [`Folder::LIMIT`] bytes, and `MISSING.txt` names what was cut or left out.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    secrets: Secrets,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeSet<PathBuf>,
    /// Each file, whether it is text, and how many forms of secrets were known when it was written.
    written: Vec<(PathBuf, bool, usize)>,
    bytes: u64,
    /// Bytes of binary files.
    binary: u64,
    missing: Vec<String>,
    /// Bytes of the lines in `missing`, and how many lines were dropped because there were too many.
    listed_bytes: usize,
    unlisted: usize,
}

/// The result of [`Folder::close`]: the files that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The folder.
    pub dir: PathBuf,
    /// The files in it.
    pub files: Vec<PathBuf>,
    /// Their total size in bytes.
    pub bytes: u64,
    /// What is missing and why, one line for each; also in `MISSING.txt`.
    pub missing: Vec<String>,
}

impl Folder {
    /// Maximum size of a folder in bytes.
    pub const LIMIT: u64 = 32 << 20;
    /// Maximum size of a text in bytes. Of a longer text the beginning and the end are kept.
    pub const FILE_LIMIT: usize = 2 << 20;
    /// Maximum total size of binary files in bytes.
    pub const BINARY_LIMIT: u64 = Self::LIMIT / 2;

    /// Returns a folder, which is created when its first file is written.
    pub fn new(dir: &Path, secrets: &Secrets) -> Self {
        Self { dir: dir.into(), secrets: secrets.clone(), state: Mutex::default() }
    }

    /// Adds a text. `path` is relative, and its parts are changed to safe file names. Of a text that is too long the
    /// beginning and the end are kept, and the cut is listed as missing.
    pub fn text(&self, path: &str, text: &str) {
        let known = self.secrets.learnt();
        // A very long text is cut before it is searched for secrets, which saves time.
        let (text, early) = cut(text, 2 * Self::FILE_LIMIT);
        let hidden = sanitise::file(&self.secrets.hide(&text));
        self.put_text(path, &hidden, known, early);
    }

    /// Adds a log like [`Folder::text`], after joining the lines that the container runtime has split.
    pub fn log(&self, path: &str, text: &str) {
        self.text(path, &split::unsplit(text));
    }

    /// Adds an object as JSON.
    pub fn object(&self, path: &str, mut object: Value) {
        self.secrets.clean(&mut object);
        let known = self.secrets.learnt();
        self.put_text(path, &sanitise::json(&format!("{object:#}\n")), known, 0);
    }

    /// Adds a text from a file of any length.
    pub fn file(&self, path: &str, from: &Path) {
        match ends(from, 2 * Self::FILE_LIMIT as u64) {
            Ok((text, 0)) => match serde_json::from_str::<Value>(&text) {
                Ok(object) if path.ends_with(".json") => self.object(path, object),
                _ if path.ends_with(".log") => self.log(path, &text),
                _ => self.text(path, &text),
            },
            Ok((text, left_out)) => {
                self.missing(path, &format!("{left_out} bytes in its middle are left out"));
                self.log(path, &text);
            }
            Err(error) => self.missing(path, &error.to_string()),
        }
    }

    /// Adds bytes unchanged, except that remembered secrets are overwritten. If there are too many bytes, all are left
    /// out.
    pub fn bytes(&self, path: &str, bytes: &[u8]) {
        let size = bytes.len() as u64;
        if self.state().binary + size > Self::BINARY_LIMIT {
            return self.missing(path, &format!("{size} bytes are too many"));
        }
        self.state().binary += size;
        let mut bytes = bytes.to_vec();
        let known = self.secrets.learnt();
        self.secrets.blank(&mut bytes);
        if let Some(file) = self.put(path, &bytes) {
            self.state().written.push((file, false, known));
        }
    }

    /// Records that something is missing, and why.
    pub fn missing(&self, what: &str, why: &str) {
        let line = sanitise::line(&format!("{what}: {}", self.secrets.hide(why)));
        let mut state = self.state();
        if state.listed_bytes + line.len() > Self::FILE_LIMIT {
            state.unlisted += 1;
        } else {
            state.listed_bytes += line.len();
            state.missing.push(line);
        }
    }

    /// Removes secrets that were learnt after a file was written, writes `MISSING.txt` and returns the bundle.
    pub fn close(self) -> Bundle {
        for (file, is_text, known) in std::mem::take(&mut self.state().written) {
            if known == self.secrets.learnt() {
                continue;
            }
            let gone_over = if is_text { self.late_text(&file) } else { self.late_bytes(&file) };
            if let Err(error) = gone_over {
                // A missing file is better than a leaked secret.
                let _ = std::fs::remove_file(&file);
                self.missing(&file.display().to_string(), &error.to_string());
            }
        }
        let mut missing = self.state().missing.clone();
        let unlisted = self.state().unlisted;
        if unlisted > 0 {
            missing.push(format!("and {unlisted} more"));
        }
        let list = match missing.len() {
            0 => "Nothing is missing.\n".to_owned(),
            _ => missing.iter().map(|line| format!("{line}\n")).collect(),
        };
        self.put("MISSING.txt", self.secrets.hide(&list).as_bytes());
        let state = std::mem::take(&mut *self.state());
        let (files, bytes) = (state.files.into_iter().collect(), state.bytes);
        let missing = missing.iter().map(|line| self.secrets.hide(line)).collect();
        Bundle { dir: self.dir, files, bytes, missing }
    }

    /// Removes from a text the secrets that were learnt after it was written. The text never gets longer.
    fn late_text(&self, file: &Path) -> std::io::Result<()> {
        let text = std::fs::read_to_string(file)?;
        let object = file.extension().filter(|kind| *kind == "json");
        let hidden = match object.and_then(|_| serde_json::from_str::<Value>(&text).ok()) {
            Some(mut object) => {
                self.secrets.clean(&mut object);
                sanitise::json(&format!("{object:#}\n"))
            }
            None => self.secrets.hide_in_record(&text),
        };
        if hidden == text { Ok(()) } else { file::replace(file, Readers::Owner, hidden.as_bytes()) }
    }

    fn late_bytes(&self, file: &Path) -> std::io::Result<()> {
        let bytes = std::fs::read(file)?;
        let mut blank = bytes.clone();
        self.secrets.blank(&mut blank);
        if blank == bytes { Ok(()) } else { file::replace(file, Readers::Owner, &blank) }
    }

    fn put_text(&self, path: &str, text: &str, known: usize, early: usize) {
        let (text, late) = cut(text, Self::FILE_LIMIT);
        let left_out = early + late;
        if left_out > 0 {
            self.missing(path, &format!("{left_out} bytes in its middle are left out"));
        }
        if let Some(file) = self.put(path, text.as_bytes()) {
            self.state().written.push((file, true, known));
        }
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Option<PathBuf> {
        let size = bytes.len() as u64;
        // MISSING.txt is written even into a full folder.
        if self.state().bytes + size > Self::LIMIT && path != "MISSING.txt" {
            self.missing(path, "the folder is full");
            return None;
        }
        let parts = path.split('/').filter(|part| !part.is_empty()).map(safe);
        let named = parts.fold(self.dir.clone(), |dir, part| dir.join(part));
        let file = self.state().take(named);
        match self.make_folders_of(&file).and_then(|()| file::replace(&file, Readers::Owner, bytes)) {
            Ok(()) => {
                let mut state = self.state();
                state.bytes += size;
                Some(file)
            }
            Err(error) => {
                self.state().files.remove(&file);
                self.missing(path, &error.to_string());
                None
            }
        }
    }

    /// Creates the folders that a file needs. Refuses a symbolic link among them: it would lead out of the evidence.
    fn make_folders_of(&self, file: &Path) -> std::io::Result<()> {
        let parent = file.parent().unwrap_or(&self.dir);
        for folder in parent.ancestors().take_while(|folder| *folder != self.dir) {
            if std::fs::symlink_metadata(folder).is_ok_and(|found| found.is_symlink()) {
                return Err(std::io::Error::other(format!("{} is a link", folder.display())));
            }
        }
        private_dir(parent)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the name, or a similar one if the name is taken: different names may become equal when made safe.
    fn take(&mut self, named: PathBuf) -> PathBuf {
        let name = named.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let other = |n: usize| match name.rsplit_once('.') {
            Some((stem, kind)) => named.with_file_name(format!("{stem}~{n}.{kind}")),
            None => named.with_file_name(format!("{name}~{n}")),
        };
        let file = std::iter::once(named.clone()).chain((2..).map(other)).find(|f| !self.files.contains(f));
        let file = file.expect("numbers do not end");
        self.files.insert(file.clone());
        file
    }
}

/// Returns the beginning and the end of a text, in whole lines, and how many bytes between them are left out. The
/// beginning gets a quarter of the limit: the end of a log says more.
pub fn cut(text: &str, limit: usize) -> (String, usize) {
    if text.len() <= limit {
        return (text.into(), 0);
    }
    let border = |at: usize| (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    // 100 bytes are reserved for the line that reports the cut.
    let (head, tail) = (limit / 4, limit - limit / 4 - 100);
    let (begin, end) = (&text[..border(head)], &text[border(text.len() - tail)..]);
    let (begin, end) = (whole(begin, false), whole(end, true));
    let left_out = text.len() - begin.len() - end.len();
    let feed = if begin.is_empty() || begin.ends_with('\n') { "" } else { "\n" };
    (format!("{begin}{feed}... {left_out} bytes are left out here ...\n{end}"), left_out)
}

/// Removes the rest of a line that was cut in two: it may contain half of a secret. Of a line longer than `MOST` bytes,
/// only `MOST` bytes are removed, which is more than most secrets have.
fn whole(text: &str, end: bool) -> &str {
    const MOST: usize = 16 << 10;
    let feed = if end { text.find('\n').map(|at| at + 1) } else { text.rfind('\n').map(|at| at + 1) };
    match (feed, end) {
        (Some(at), true) if at <= MOST => &text[at..],
        (Some(at), false) if text.len() - at <= MOST => &text[..at],
        (_, true) => {
            let at = text.len().min(MOST);
            &text[(at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())..]
        }
        (_, false) => {
            let at = text.len().saturating_sub(MOST);
            &text[..(0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)]
        }
    }
}

/// Returns the text of a file, or its beginning and end if it is longer than `limit` bytes, and how many bytes are left
/// out.
fn ends(path: &Path, limit: u64) -> std::io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if length <= limit {
        file.read_to_end(&mut bytes)?;
        return Ok((String::from_utf8_lossy(&bytes).into_owned(), 0));
    }
    let (head, tail) = (limit / 4, limit - limit / 4);
    (&file).take(head).read_to_end(&mut bytes)?;
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(length - tail))?;
    file.read_to_end(&mut end)?;
    let (begin, end) = (String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&end));
    let (begin, end) = (whole(&begin, false), whole(&end, true));
    let left_out = length.saturating_sub((begin.len() + end.len()) as u64);
    let feed = if begin.is_empty() || begin.ends_with('\n') { "" } else { "\n" };
    Ok((format!("{begin}{feed}... {left_out} bytes are left out here ...\n{end}"), left_out))
}

/// Turns one part of a path into a file name that cannot leave its folder.
fn safe(part: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    match part {
        "." | ".." => "_".into(),
        // File systems allow at most 255 bytes.
        part => part.chars().map(plain).take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(dir: &Path, known: &[&str]) -> Folder {
        let secrets = Secrets::default();
        known.iter().for_each(|value| secrets.learn(value));
        Folder::new(dir, &secrets)
    }

    fn read(dir: &Path, file: &str) -> String {
        std::fs::read_to_string(dir.join(file)).unwrap()
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("nodes")).unwrap();
        let folder = folder(dir.path(), &[]);
        folder.text("nodes/a/log", "text");
        let bundle = folder.close();
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert!(bundle.missing.len() == 1 && bundle.missing[0].ends_with("nodes is a link"), "{bundle:?}");
    }

    #[test]
    fn a_long_text_keeps_both_ends_and_reports_the_cut() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), &[]);
        let text = format!("first line\n{}last line\n", "a line of the log\n".repeat(150_000));
        folder.text("node/log.txt", &text);
        let bundle = folder.close();
        let kept = read(dir.path(), "node/log.txt");
        assert!(
            kept.len() <= Folder::FILE_LIMIT && kept.ends_with("last line\n") && kept.starts_with("first")
        );
        let whole = ["first line", "last line", "a line of the log"];
        let said: Vec<&str> = kept.lines().filter(|line| !whole.contains(line)).collect();
        let number: usize = said[0].split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(said, [format!("... {number} bytes are left out here ...")]);
        assert_eq!(kept.len() - said[0].len() - 1 + number, text.len());
        assert_eq!(bundle.missing, [format!("node/log.txt: {number} bytes in its middle are left out")]);
    }

    #[test]
    fn a_long_file_keeps_both_ends_without_cut_lines() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        // The secret is long enough that its shorter replacement leaves the cut inside of the part that is kept.
        let secret = "hunter22".repeat(11);
        let lines = format!("{secret}\n").repeat(60_000);
        std::fs::write(&from, format!("first\n{lines}last\n")).unwrap();
        let folder = folder(&dir.path().join("to"), &[&secret]);
        folder.file("log", &from);
        folder.close();
        let kept = read(dir.path(), "to/log");
        assert!(kept.starts_with("first\n") && kept.ends_with("last\n") && kept.len() <= Folder::FILE_LIMIT);
        assert!(!kept.contains("hunter"), "half of a secret is left");
    }

    #[test]
    fn a_full_folder_lists_the_files_that_it_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), &[]);
        let line = "a line of the log\n".repeat(100_000);
        for n in 0..20 {
            folder.text(&format!("log-{n:02}"), &line);
        }
        folder.bytes("journal", &vec![0; 17 << 20]);
        let bundle = folder.close();
        assert!(bundle.bytes <= Folder::LIMIT + 1000);
        assert_eq!(bundle.missing[..2], ["log-18: the folder is full", "log-19: the folder is full"]);
        assert_eq!(bundle.missing[2], "journal: 17825792 bytes are too many");
        assert!(dir.path().join("MISSING.txt").is_file());
    }

    #[test]
    fn a_name_from_the_cluster_stays_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(&dir.path().join("bundle"), &[]);
        folder.text("../../pod/../x y.log", "text");
        let files = folder.close().files;
        assert!(files.contains(&dir.path().join("bundle/_/_/pod/_/x_y.log")), "{files:?}");
    }

    #[test]
    fn secrets_learnt_late_are_in_no_file_and_no_reason() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), &["hunter22"]);
        folder.text("log", "root:hunter22@db, then late-one-7\n\u{1b}[2J##vso[x]\n");
        folder.bytes("journal", b"\x00hunter22");
        folder.missing("pod", "denied for hunter22\nand more");
        folder.object("pod.json", serde_json::json!({"env": [{"name": "DB_PASS", "value": "late-one-7"}]}));
        let bundle = folder.close();
        assert_eq!(read(dir.path(), "log"), "root:(left out)@db, then *000000002\n# #vso[x]\n");
        assert_eq!(read(dir.path(), "journal"), "\0xxxxxxxx");
        assert_eq!(bundle.missing, ["pod: denied for (left out) and more"]);
    }

    #[test]
    fn only_the_owner_has_access() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("a/b");
        std::fs::create_dir_all(&to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).unwrap();
        let folder = folder(&to, &[]);
        folder.text("nodes/log", "text");
        folder.close();
        let mode =
            |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a/b"), mode("a/b/nodes"), mode("a/b/nodes/log")), (0o700, 0o700, 0o600));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_reported_as_missing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let folder = folder(&file, &[]);
        folder.text("log", "text");
        assert!(folder.close().missing[0].starts_with("log: "));
    }
}
