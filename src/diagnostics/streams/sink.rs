//! Keeps one log on disk: whole lines without secrets, the beginning and the end.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::secret::{Key, LEFT_OUT, Secrets, key_line};

/// Bytes that are kept of the beginning, and at least of the end.
const PART: u64 = 256 << 10;
/// Maximum bytes of all logs together.
const ALL: u64 = 24 << 20;
/// Maximum bytes that are kept of a line.
const LINE: usize = 32 << 10;
/// Bytes behind the kept part that are searched for secrets, too: a secret may begin in the kept part and end here.
const MARGIN: usize = 8 << 10;

/// The folder of the logs.
#[derive(Clone, Debug)]
pub(super) struct Sinks {
    dir: PathBuf,
    secrets: Secrets,
    bytes: Arc<AtomicU64>,
    /// Bytes of each log that are not kept. In memory, because the disk may be full.
    left_out: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// One log that is being read.
#[derive(Debug)]
pub(super) struct Sink {
    sinks: Sinks,
    key: String,
    /// Bytes of the beginning so far, and of the newest part of the end.
    head: u64,
    tail: u64,
    /// The received part of a line that has not ended.
    line: Vec<u8>,
    /// Bytes of that line that are not kept.
    cut: usize,
    /// Time of the last complete line, as the kubelet writes it.
    last: Option<String>,
    /// Lines up to this time were already read before the connection broke.
    until: Option<String>,
    /// The state of a private key that may span several lines.
    in_key: Key,
    /// Time of the last line that was dropped because it was already read.
    again: Option<String>,
}

impl Sinks {
    pub(super) fn new(dir: &Path, secrets: &Secrets) -> Self {
        Self { dir: dir.into(), secrets: secrets.clone(), bytes: Arc::default(), left_out: Arc::default() }
    }

    pub(super) fn open(&self, key: &str) -> Sink {
        let key = key.to_owned();
        Sink {
            sinks: self.clone(),
            key,
            head: 0,
            tail: 0,
            line: Vec::new(),
            cut: 0,
            last: None,
            until: None,
            in_key: Key::default(),
            again: None,
        }
    }

    /// The kept part of a log, and the number of bytes left out of its middle. None if nothing was read.
    pub(super) fn read(&self, key: &str) -> Option<(String, u64)> {
        let part = |part| std::fs::read(self.path(key, part)).ok();
        let left_out = self.counts().get(key).copied().unwrap_or(0);
        let head = match part("head") {
            None if left_out > 0 => Vec::new(),
            head => head?,
        };
        let mut text = String::from_utf8_lossy(&head).into_owned();
        if left_out > 0 {
            text.push_str(&format!("... {left_out} bytes are left out here ...\n"));
        }
        for end in [part("old"), part("new")].into_iter().flatten() {
            text.push_str(&String::from_utf8_lossy(&end));
        }
        Some((text, left_out))
    }

    pub(super) fn remove(&self) {
        // The remaining files have no secrets and a bounded size.
        let _ = std::fs::remove_dir_all(&self.dir);
        let _ = self.dir.parent().map(std::fs::remove_dir);
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: &str, part: &str) -> PathBuf {
        self.dir.join(format!("{key}.{part}"))
    }
}

impl Sink {
    /// Time of the last line.
    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Begins a new connection: the API sends the lines of the last second again.
    pub(super) fn resume(&mut self) {
        self.until.clone_from(&self.last);
        self.again = None;
        if self.head == 0 {
            // A container that prints nothing has an empty log, not a missing one.
            self.append("head", b"");
        }
    }

    /// The connection ended in order: an unfinished line is complete.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            self.whole_line();
        }
    }

    /// The connection broke: an unfinished line will come again.
    pub(super) fn broke(&mut self) {
        self.line.clear();
        self.cut = 0;
    }

    /// Takes received bytes. A line is examined as a whole before it is written, so a secret cannot be split over two
    /// pieces.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = (LINE + MARGIN).saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(&text[..room]);
            self.cut += text.len() - room;
            if piece.ends_with(b"\n") {
                self.whole_line();
            }
        }
    }

    fn whole_line(&mut self) {
        let (bytes, cut) = (std::mem::take(&mut self.line), std::mem::take(&mut self.cut));
        let line = String::from_utf8_lossy(&bytes).into_owned();
        let at = line.split(' ').next().unwrap_or_default().to_owned();
        // Times of equal width sort as texts, and the kubelet's have equal width. Repeated lines come in order: an
        // earlier time means that the clock was set back.
        let back = self.again.as_ref().is_some_and(|again| at < *again);
        match self.until.as_ref().filter(|until| at <= **until && !back) {
            Some(_) => {
                self.again = Some(at);
                return;
            }
            None => self.until = None,
        }
        self.last = Some(at);
        let (size, mut hidden) = (bytes.len() + cut, self.sinks.secrets.hide(&line));
        let of_key;
        (self.in_key, of_key) = key_line(&line, self.in_key);
        if of_key {
            hidden = LEFT_OUT.into();
        }
        if size > LINE {
            // The part that was not examined may contain the other half of a secret.
            let most = LINE.min(hidden.len().saturating_sub(if cut > 0 { MARGIN } else { 0 }));
            let border = (0..=most).rev().find(|at| hidden.is_char_boundary(*at)).unwrap_or(0);
            // The last word may be half of a placeholder for a secret.
            hidden.truncate(hidden[..border].rfind(' ').unwrap_or(0));
            hidden.push_str(&format!(" ... ({} bytes left out)", size - LINE));
        }
        hidden.push('\n');
        self.keep(hidden.as_bytes());
    }

    fn keep(&mut self, line: &[u8]) {
        let size = line.len() as u64;
        if self.head < PART {
            self.head += size;
            return self.append("head", line);
        }
        if self.tail >= PART {
            self.tail = 0;
            let (old, new) = (self.sinks.path(&self.key, "old"), self.sinks.path(&self.key, "new"));
            if let Ok(gone) = std::fs::metadata(&old) {
                self.sinks.bytes.fetch_sub(gone.len(), Ordering::Relaxed);
                self.lost(gone.len());
            }
            let _ = std::fs::rename(new, old);
        }
        self.tail += size;
        self.append("new", line);
    }

    fn append(&mut self, part: &str, line: &[u8]) {
        let size = line.len() as u64;
        let full = self.sinks.bytes.fetch_add(size, Ordering::Relaxed) + size > ALL;
        let open = || {
            OpenOptions::new().create(true).append(true).mode(0o600).open(self.sinks.path(&self.key, part))
        };
        let written = if full { None } else { open().and_then(|mut file: File| file.write_all(line)).ok() };
        if written.is_none() {
            self.sinks.bytes.fetch_sub(size, Ordering::Relaxed);
            self.lost(size);
        }
    }

    /// Counts bytes that are not kept, for the reader of the log.
    fn lost(&self, bytes: u64) {
        *self.sinks.counts().entry(self.key.clone()).or_default() += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sinks(dir: &Path) -> Sinks {
        let secrets = Secrets::default();
        secrets.learn("hunter22-hunter22");
        Sinks::new(dir, &secrets)
    }

    /// A full disk stores neither the log nor a note about it.
    #[test]
    fn a_log_that_cannot_be_written_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let sinks = sinks(&dir.path().join("gone"));
        let mut sink = sinks.open("x");
        sink.resume();
        sink.take(b"10:01 one\n");
        assert_eq!(sinks.read("x"), Some(("... 10 bytes are left out here ...\n".into(), 10)));
        assert_eq!(sinks.read("y"), None);
    }

    #[test]
    fn a_secret_that_comes_in_two_pieces_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let sinks = sinks(dir.path());
        let text = b"1 a hunter22-hunter22 b\n2 -----BEGIN RSA PRIVATE KEY-----\n3 c0ffee\n4 -----END RSA PRIVATE KEY-----\n5 last";
        for at in 0..text.len() {
            let key = at.to_string();
            let mut sink = sinks.open(&key);
            sink.resume();
            sink.take(&text[..at]);
            sink.take(&text[at..]);
            sink.end();
            let (kept, left_out) = sinks.read(&key).unwrap();
            assert_eq!(left_out, 0);
            assert!(kept.starts_with("1 a (left out) b\n2 ") && kept.ends_with("\n5 last\n"), "{kept}");
            assert!(!kept.contains("c0ffee"), "{kept}");
        }
    }

    #[test]
    fn repeated_lines_after_a_break_are_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let sinks = sinks(dir.path());
        let mut sink = sinks.open("x");
        sink.resume();
        sink.take(b"10:01 one\n10:02 two\n10:03 thr");
        sink.broke();
        sink.resume();
        sink.take(b"10:01 one\n10:02 two\n10:03 three\n");
        assert_eq!(sinks.read("x").unwrap(), ("10:01 one\n10:02 two\n10:03 three\n".into(), 0));
    }

    #[test]
    fn a_log_without_end_keeps_both_ends_and_counts_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let sinks = sinks(dir.path());
        let mut sink = sinks.open("x");
        sink.resume();
        let filler = "f".repeat(1000);
        (0..5000).for_each(|n| sink.take(format!("{n:05} {filler}\n").as_bytes()));
        let on_disk: u64 =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(on_disk < 4 * PART, "{on_disk}");
        let (kept, left_out) = sinks.read("x").unwrap();
        assert!(
            kept.starts_with("00000 f") && kept.trim_end().ends_with(&filler) && kept.contains("\n04999 f")
        );
        let note = format!("... {left_out} bytes are left out here ...\n");
        assert!(kept.contains(&note), "{left_out}");
        assert_eq!(kept.len() as u64 - note.len() as u64 + left_out, 5000 * 1007);
    }

    #[test]
    fn a_long_line_takes_no_memory_and_loses_its_last_word() {
        let dir = tempfile::tempdir().unwrap();
        let sinks = sinks(dir.path());
        let mut sink = sinks.open("x");
        sink.resume();
        sink.take(b"1 begins ");
        let filler = "x".repeat(LINE - 9 - 10);
        sink.take(filler.as_bytes());
        sink.take(b" hunter22-hunter22 and more\n2 next\n");
        let (kept, _) = sinks.read("x").unwrap();
        assert!(
            !kept.contains("hunter") && kept.contains("17 bytes left out") && kept.ends_with("2 next\n"),
            "{}",
            &kept[kept.len() - 80..]
        );
    }

    #[test]
    fn a_message_about_a_key_does_not_end_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let sinks = sinks(dir.path());
        let mut sink = sinks.open("x");
        sink.resume();
        sink.take(b"1 no \"-----BEGIN RSA PRIVATE KEY-----\" in /etc/tls/key\n");
        sink.take(b"2 serving without TLS\n3 panic: index out of range\n");
        let (kept, _) = sinks.read("x").unwrap();
        assert!(kept.contains("3 panic: index out of range"), "{kept}");
    }

    #[test]
    fn half_of_a_secret_with_blanks_is_not_kept_of_a_long_line() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::default();
        secrets.learn("correct horse battery staple");
        let sinks = Sinks::new(dir.path(), &secrets);
        let mut sink = sinks.open("x");
        sink.resume();
        let filler = "x".repeat(LINE - 2 - 1 - 20);
        sink.take(format!("1 {filler} correct horse battery staple and more\n2 next\n").as_bytes());
        let (kept, _) = sinks.read("x").unwrap();
        assert!(!kept.contains("correct horse"), "{}", &kept[kept.len() - 80..]);
    }

    #[test]
    fn a_clock_that_was_set_back_costs_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let sinks = sinks(dir.path());
        let mut sink = sinks.open("x");
        sink.resume();
        sink.take(b"10:01 one\n10:02 two\n");
        sink.broke();
        sink.resume();
        sink.take(b"10:02 two\n09:00 three\n09:01 four\n");
        let (kept, left_out) = sinks.read("x").unwrap();
        assert!(left_out > 0 || kept.ends_with("09:00 three\n09:01 four\n"), "lost without a word: {kept}");
    }
}
