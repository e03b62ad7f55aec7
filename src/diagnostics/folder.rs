//! The folder of a bundle: keeps count, cuts what is too long, and notes what is missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Bundle;
use crate::event::redact;

/// Where collectors put what they find. Safe to use from several at once.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<PathBuf>,
    bytes: u64,
    missing: Vec<String>,
    secrets: BTreeSet<String>,
}

impl Folder {
    /// Bytes of a bundle at most.
    pub const LIMIT: u64 = 96 << 20;
    /// Bytes of a file at most; of a longer text its end is kept.
    pub const FILE_LIMIT: usize = 4 << 20;

    /// A folder that is made with its first file.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.into(), state: Mutex::default() }
    }

    /// Leaves these values out of every text that is added from now on.
    pub fn hide(&self, secrets: BTreeSet<String>) {
        self.state().secrets = secrets;
    }

    /// Adds a text. `path` is relative, its parts are made safe as file names. Of a text that is
    /// too long the end is kept, and that is noted.
    pub fn text(&self, path: &str, text: &str) {
        let hidden = redact::hide(text, &self.state().secrets);
        let cut = hidden.len().saturating_sub(Self::FILE_LIMIT);
        // The end of a log says more than its beginning; a line is not cut in two.
        let from = (cut..=hidden.len()).find(|at| hidden.is_char_boundary(*at)).unwrap_or(0);
        let from = if cut == 0 { 0 } else { hidden[from..].find('\n').map_or(from, |n| from + n + 1) };
        if from > 0 {
            self.missing(path, &format!("its first {from} bytes are left out"));
        }
        self.put(path, &hidden.as_bytes()[from..]);
    }

    /// Adds bytes as they are; too many are left out as a whole.
    pub fn bytes(&self, path: &str, bytes: &[u8]) {
        if bytes.len() > Self::FILE_LIMIT * 4 {
            return self.missing(path, &format!("{} bytes are too many", bytes.len()));
        }
        self.put(path, bytes);
    }

    /// Notes that something could not be had.
    pub fn missing(&self, what: &str, why: &str) {
        let mut state = self.state();
        let why = redact::hide(why, &state.secrets);
        state.missing.push(format!("{what}: {}", why.split_whitespace().collect::<Vec<_>>().join(" ")));
    }

    /// Writes `MISSING.txt` and gives the bundle.
    pub fn close(self) -> Bundle {
        let missing = self.state().missing.clone();
        let list = match missing.len() {
            0 => "Nothing is missing.\n".to_owned(),
            _ => missing.iter().map(|line| format!("{line}\n")).collect(),
        };
        self.put("MISSING.txt", list.as_bytes());
        let mut state = self.state();
        state.files.sort();
        let (files, bytes, missing) = (state.files.clone(), state.bytes, std::mem::take(&mut state.missing));
        drop(state);
        Bundle { dir: self.dir, files, bytes, missing }
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let size = bytes.len() as u64;
        if self.state().bytes + size > Self::LIMIT {
            return self.missing(path, "the bundle is full");
        }
        let parts = path.split('/').filter(|part| !part.is_empty()).map(safe);
        let file = parts.fold(self.dir.clone(), |dir, part| dir.join(part));
        let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        match made.and_then(|()| std::fs::write(&file, bytes)) {
            Ok(()) => {
                let mut state = self.state();
                state.bytes += size;
                state.files.push(file);
            }
            Err(error) => self.missing(path, &error.to_string()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file name that stays in its folder.
fn safe(part: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    match part {
        "." | ".." => "_".into(),
        part => part.chars().map(plain).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_end_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let text = format!("{}last line\n", "a line of the log\n".repeat(300_000));
        folder.text("node/log.txt", &text);
        let bundle = folder.close();
        let kept = std::fs::read_to_string(dir.path().join("node/log.txt")).unwrap();
        assert!(kept.len() <= Folder::FILE_LIMIT && kept.ends_with("last line\n"));
        assert!(kept.starts_with("a line of the log\n"), "a line was cut in two");
        assert!(bundle.missing[0].starts_with("node/log.txt: its first "), "{:?}", bundle.missing);
    }

    #[test]
    fn a_full_bundle_takes_no_more_and_names_what_it_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        for n in 0..8 {
            folder.bytes(&format!("journal-{n}"), &vec![0; 15 << 20]);
        }
        let bundle = folder.close();
        assert!(bundle.bytes <= Folder::LIMIT);
        assert_eq!(bundle.missing, ["journal-6: the bundle is full", "journal-7: the bundle is full"]);
        assert!(dir.path().join("MISSING.txt").is_file());
    }

    #[test]
    fn a_name_from_the_cluster_stays_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("bundle"));
        folder.text("../../pod/../x y.log", "text");
        let files = folder.close().files;
        assert!(files.contains(&dir.path().join("bundle/_/_/pod/_/x_y.log")), "{files:?}");
    }

    #[test]
    fn what_is_hidden_is_in_no_file_and_in_no_reason() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        folder.hide(BTreeSet::from(["hunter2".into()]));
        folder.text("log", "root:hunter2@db\n");
        folder.missing("pod", "denied for hunter2");
        let bundle = folder.close();
        assert!(!std::fs::read_to_string(dir.path().join("log")).unwrap().contains("hunter2"));
        assert_eq!(bundle.missing, ["pod: denied for (left out)"]);
    }

    #[test]
    fn a_disk_that_cannot_be_written_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let folder = Folder::new(&file);
        folder.text("log", "text");
        assert!(folder.close().missing[0].starts_with("log: "));
    }
}
