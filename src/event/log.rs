//! The writer of a run's log. The writer keeps no records in memory, so memory does not grow with the length of a run;
//! records are read back from the file.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::{Event, EventError, Record, SCHEMA, Scope, texts};
use crate::artefact::private_dir;
use crate::sanitise;
use crate::secret::Secrets;

/// Appends to one run's log. Cheap to clone. Each line is one write, which allows several processes to append to one
/// file.
#[derive(Clone, Debug)]
pub struct EventLog {
    inner: Arc<Inner>,
    scope: Scope,
}

/// A place in a log, between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    run: String,
    opened: Instant,
    /// Where the file ended when it was opened: earlier lines are not this writer's.
    begin: Position,
    state: Mutex<State>,
    /// Signals that the next record may be written.
    turned: Condvar,
}

#[derive(Debug)]
struct State {
    file: File,
    /// The next free record number, and the lowest number whose record is not written yet.
    seq: u64,
    turn: u64,
    /// The position right after the last record that this writer appended.
    end: Position,
    broken: Option<String>,
    /// Whether this writer's last line may be incomplete.
    torn: bool,
    /// The secrets that are removed from appended events.
    secrets: Secrets,
}

impl EventLog {
    /// Opens `events.jsonl` in the run's folder. A missing folder is created with access for its owner only.
    ///
    /// # Errors
    /// [`EventError::File`].
    pub fn open(dir: &Path, run: &str) -> Result<Self, EventError> {
        let path = dir.join("events.jsonl");
        let error = |source| EventError::File { path: path.clone(), source };
        private_dir(dir).map_err(error)?;
        let mut file = File::options().create(true).append(true).read(true).open(&path).map_err(error)?;
        let begin = Position(file.metadata().map_err(error)?.len());
        // A process that was killed during a write leaves an incomplete line.
        let torn = begin.0 > 0 && last_byte(&mut file).map_err(error)? != b'\n';
        let secrets = Secrets::default();
        let state = Mutex::new(State { file, seq: 0, turn: 0, end: begin, broken: None, torn, secrets });
        let (turned, opened) = (Condvar::new(), Instant::now());
        let inner = Inner { path, run: run.into(), opened, begin, state, turned };
        Ok(Self { inner: Arc::new(inner), scope: Scope::default() })
    }

    /// Returns the log, which from now on shares this memory of secrets with others.
    pub fn with_secrets(self, secrets: &Secrets) -> Self {
        self.state().secrets = secrets.clone();
        self
    }

    /// Returns the same log with another scope for the events that are appended through it.
    pub fn scoped(&self, scope: Scope) -> Self {
        Self { inner: Arc::clone(&self.inner), scope }
    }

    /// Returns the scope of the events that are appended through this log.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Returns the run's id.
    pub fn run(&self) -> &str {
        &self.inner.run
    }

    /// Returns the run's folder.
    pub fn dir(&self) -> &Path {
        self.inner.path.parent().expect("the log lies in a folder")
    }

    /// Returns the current time on the clock of `mono_us`.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.inner.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Appends one event. A full disk does not stop the story in the middle of a fault: the first failure is kept, and
    /// [`EventLog::check`] returns it before anything is judged.
    ///
    /// Secrets that are recognised in this event or an earlier one are not written, because logs are copied to other
    /// machines. `metadata.managedFields` of objects is removed too.
    ///
    /// The record's time is that of the call. Removing secrets and writing do not block callers that take a position or
    /// read.
    pub fn append(&self, mut event: Event) {
        let (turn, secrets) = {
            let mut state = self.state();
            (self.turn(&mut state), state.secrets.clone())
        };
        texts::hide(&mut event, &secrets);
        let line = self.line(&turn, event);
        self.write(&mut turn.wait(), &line);
    }

    /// Returns the secrets that were recognised so far.
    pub fn secrets(&self) -> Secrets {
        self.state().secrets.clone()
    }

    /// Gives the next record its number and its time.
    fn turn(&self, state: &mut State) -> Turn<'_> {
        let seq = state.seq;
        state.seq += 1;
        Turn { inner: &self.inner, seq, at: Timestamp::now(), mono_us: self.now_us() }
    }

    fn line(&self, turn: &Turn<'_>, event: Event) -> Vec<u8> {
        let record = Record {
            schema: SCHEMA,
            seq: turn.seq,
            writer: std::process::id(),
            at: turn.at,
            mono_us: turn.mono_us,
            run: self.inner.run.clone(),
            scope: self.scope.clone(),
            event,
        };
        let mut line = texts::json(&record).into_bytes();
        line.push(b'\n');
        line
    }

    fn write(&self, state: &mut State, line: &[u8]) {
        let mut line = line.to_vec();
        if state.torn {
            // Ends the incomplete line. The line cannot be cut off, because another process may have appended since.
            line.insert(0, b'\n');
        }
        // In append mode the position of the file is the end of what was written last.
        let before = state.file.stream_position().ok();
        match state.file.write_all(&line).and_then(|()| state.file.stream_position()) {
            Ok(end) => (state.end, state.torn) = (Position(end), false),
            Err(error) => {
                state.torn |= state.file.stream_position().ok() != before;
                state.broken.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Appends the event that `judge` makes of this log's scenario so far. `judge` gets every record that was appended before
    /// this call, and the number of the first one that it does not get, for its event: then the file alone gives the same
    /// event again. Others can append all the time.
    pub fn append_judged(&self, judge: impl FnOnce(&[Record], u64) -> Event) {
        let (seen, until) = {
            let mut state = self.state();
            let seen = state.seq;
            while state.turn < seen {
                state = self.inner.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            (seen, state.end)
        };
        let mut records = self.read(self.inner.begin, until);
        records.retain(|record| record.seq < seen);
        let event = judge(&records, seen);
        drop(records);
        self.append(event);
    }

    /// Overwrites secrets that were recognised only after they were written, as if they had been known then. Lines keep
    /// their length and place, so a concurrent reader reads whole lines. The call reads the file, which takes time.
    pub fn leave_out_late(&self) {
        let (end, secrets) = (self.position(), self.secrets());
        let blanked = || {
            let mut file = File::options().read(true).write(true).open(&self.inner.path)?;
            file.seek(SeekFrom::Start(self.inner.begin.0))?;
            let mut at = self.inner.begin.0;
            let mut reader = BufReader::new(file.try_clone()?.take(end.0.saturating_sub(at)));
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                match texts::hide_late(&line, &secrets) {
                    Some(late) if late.len() == line.len() => file.write_all_at(&late, at)?,
                    Some(_) => return Err(std::io::Error::other("the line without secrets is longer")),
                    None => {}
                }
                at += line.len() as u64;
                line.clear();
            }
            Ok::<_, std::io::Error>(())
        };
        self.keep(blanked().err().map(|error| error.to_string()));
    }

    /// Checks that every event so far reached the file, and that all reads of the file succeeded.
    ///
    /// # Errors
    /// [`EventError::File`] with the first failure.
    pub fn check(&self) -> Result<(), EventError> {
        match &self.state().broken {
            None => Ok(()),
            Some(text) => Err(EventError::File {
                path: self.inner.path.clone(),
                source: std::io::Error::other(text.clone()),
            }),
        }
    }

    /// Reads from the file what this process has appended in this log's scenario so far. [`EventLog::check`] reports a
    /// failure to read.
    pub fn records(&self) -> Vec<Record> {
        self.records_since(self.inner.begin)
    }

    /// Reads what this process has appended so far, in all scenarios.
    pub fn records_of_run(&self) -> Vec<Record> {
        let mut records = Vec::new();
        let broken = self.lines_of(self.inner.begin, self.position(), None, |record| records.push(record));
        self.keep(broken);
        records
    }

    /// Reads as [`EventLog::records`] does, from a position on, for callers that read repeatedly.
    pub fn records_since(&self, from: Position) -> Vec<Record> {
        self.read(from, self.position())
    }

    /// Returns the position right after the last record.
    pub fn position(&self) -> Position {
        self.state().end
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Passes each of [`EventLog::records`] to `take`, one at a time, for callers that need little of each record.
    pub fn each(&self, take: impl FnMut(Record)) {
        let broken = self.lines(self.inner.begin, self.position(), take);
        self.keep(broken);
    }

    fn read(&self, from: Position, until: Position) -> Vec<Record> {
        let mut records = Vec::new();
        let broken = self.lines(from, until, |record| records.push(record));
        self.keep(broken);
        records
    }

    fn keep(&self, broken: Option<String>) {
        if broken.is_some() {
            let state = &mut self.state();
            state.broken = state.broken.take().or(broken);
        }
    }

    /// Passes this writer's records of this scenario between two positions to `take`; returns the error of the first
    /// line that is not a record.
    fn lines(&self, from: Position, until: Position, take: impl FnMut(Record)) -> Option<String> {
        self.lines_of(from, until, Some(self.scope.scenario.as_deref()), take)
    }

    /// Passes records as [`Self::lines`] does: those of one scenario, those without a scenario (`Some(None)`), or all
    /// (`None`).
    fn lines_of(
        &self,
        from: Position,
        until: Position,
        scenario: Option<Option<&str>>,
        mut take: impl FnMut(Record),
    ) -> Option<String> {
        let mut broken = None;
        if until <= from {
            return broken;
        }
        let range = || {
            let mut file = File::open(&self.inner.path)?;
            file.seek(SeekFrom::Start(from.0))?;
            Ok::<_, std::io::Error>(BufReader::new(file.take(until.0 - from.0)))
        };
        let mut reader = match range() {
            Ok(reader) => reader,
            Err(error) => return Some(error.to_string()),
        };
        // Skips most lines of other scenarios without parsing them.
        let mark = scenario.flatten().map(|n| {
            let name = sanitise::json(&serde_json::Value::from(n).to_string());
            format!("\"scenario\":{name}")
        });
        let mut line = Vec::new();
        loop {
            line.clear();
            // Lines are read as bytes because a line may be cut inside a character.
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => return broken,
                Ok(_) if mark.as_ref().is_some_and(|mark| !String::from_utf8_lossy(&line).contains(mark)) => {
                    continue;
                }
                // A writer that found an incomplete line at the end of the file wrote this line end.
                Ok(_) if line == b"\n" => continue,
                Ok(_) => {}
                Err(error) => return broken.or(Some(error.to_string())),
            }
            match serde_json::from_slice::<Record>(&line) {
                Ok(record) => {
                    let ours = record.writer == std::process::id();
                    let meant = scenario.is_none_or(|name| record.scope.scenario.as_deref() == name);
                    if ours && meant {
                        take(record);
                    }
                }
                Err(error) => _ = broken.get_or_insert_with(|| error.to_string()),
            }
        }
    }
}

/// A record's place among the others of its writer: records are written in the order of their numbers.
struct Turn<'a> {
    inner: &'a Inner,
    seq: u64,
    at: Timestamp,
    mono_us: u64,
}

impl<'a> Turn<'a> {
    /// Waits until all earlier records are written.
    fn wait(&self) -> MutexGuard<'a, State> {
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.turn < self.seq {
            state = self.inner.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}

/// Passes the turn on even if a panic prevented the write: then the record's number is missing from the log.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.wait().turn += 1;
        self.inner.turned.notify_all();
    }
}

/// Returns the last byte of a file that is not empty.
fn last_byte(file: &mut File) -> std::io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}
