//! The writer of a run's log. It keeps nothing of what it wrote: whoever wants records gets them
//! from the file, so memory does not grow with the length of a run.

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

/// Appends to one run's log. Cheap to clone; each line is one write, so several processes may
/// append to the same file.
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
    /// Where the file ended when it was opened: what stands before is not this writer's.
    begin: Position,
    state: Mutex<State>,
    /// The next record may be written.
    turned: Condvar,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Numbers that were given to records, and the first of them whose record is not written yet.
    seq: u64,
    turn: u64,
    /// Right after the last record that this writer appended.
    end: Position,
    broken: Option<String>,
    /// Whether a part of a record may be the last that this writer has put into the file.
    torn: bool,
    /// What is left out of what is appended.
    secrets: Secrets,
}

impl EventLog {
    /// Opens `events.jsonl` in the run's folder, which is made if it is missing, for its owner alone.
    ///
    /// # Errors
    /// [`EventError::File`].
    pub fn open(dir: &Path, run: &str) -> Result<Self, EventError> {
        let path = dir.join("events.jsonl");
        let error = |source| EventError::File { path: path.clone(), source };
        private_dir(dir).map_err(error)?;
        let mut file = File::options().create(true).append(true).read(true).open(&path).map_err(error)?;
        let begin = Position(file.metadata().map_err(error)?.len());
        // A process that was killed in a write leaves half a line.
        let torn = begin.0 > 0 && last_byte(&mut file).map_err(error)? != b'\n';
        let secrets = Secrets::default();
        let state = Mutex::new(State { file, seq: 0, turn: 0, end: begin, broken: None, torn, secrets });
        let (turned, opened) = (Condvar::new(), Instant::now());
        let inner = Inner { path, run: run.into(), opened, begin, state, turned };
        Ok(Self { inner: Arc::new(inner), scope: Scope::default() })
    }

    /// The same log, which shares this memory of secrets with others from now on.
    pub fn with_secrets(self, secrets: &Secrets) -> Self {
        self.state().secrets = secrets.clone();
        self
    }

    /// The same log, with another scope on what is appended through it.
    pub fn scoped(&self, scope: Scope) -> Self {
        Self { inner: Arc::clone(&self.inner), scope }
    }

    /// What is appended here speaks of this.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.inner.run
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        self.inner.path.parent().expect("the log lies in a folder")
    }

    /// Now, on the clock of `mono_us`.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.inner.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Appends one event. A full disk does not stop the story in the middle of a fault: the first
    /// failure is kept, and [`EventLog::check`] gives it before anything is judged.
    ///
    /// No secret is written that is recognised in what is appended, or was before: a log is taken to other
    /// machines. Of objects `metadata.managedFields` is left out too.
    ///
    /// A record has the time at which this was called; what takes time after that holds up nobody who asks
    /// for a place or reads.
    pub fn append(&self, mut event: Event) {
        let (turn, secrets) = {
            let mut state = self.state();
            (self.turn(&mut state), state.secrets.clone())
        };
        texts::hide(&mut event, &secrets);
        let line = self.line(&turn, event);
        self.write(&mut turn.wait(), &line);
    }

    /// What was recognised as secret so far.
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
            // A line of its own for what is left of the last one; another process may have gone on since,
            // so that it cannot be cut off.
            line.insert(0, b'\n');
        }
        // Of a file that is appended to, the position is the end of what was written last.
        let before = state.file.stream_position().ok();
        match state.file.write_all(&line).and_then(|()| state.file.stream_position()) {
            Ok(end) => (state.end, state.torn) = (Position(end), false),
            Err(error) => {
                state.torn |= state.file.stream_position().ok() != before;
                state.broken.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Appends the event that `judge` makes of this log's scenario so far. Nobody appends while it
    /// judges: what was judged is exactly what stands before the event, so that the file alone
    /// gives the same event again. Takes time to read the file; what others append during most of
    /// it does not wait.
    pub fn append_judged(&self, judge: impl FnOnce(&[Record]) -> Event) {
        let until = self.position();
        let mut seen = self.read(self.inner.begin, until);
        let mut state = self.state();
        while state.turn < state.seq {
            state = self.inner.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let broken = self.lines(until, state.end, |record| seen.push(record));
        state.broken = state.broken.take().or(broken);
        let mut event = judge(&seen);
        drop(seen);
        texts::hide(&mut event, &state.secrets);
        let turn = self.turn(&mut state);
        let line = self.line(&turn, event);
        self.write(&mut state, &line);
        drop(state);
        drop(turn);
    }

    /// Overwrites what was recognised as secret only after it was written, as it would have been left out then.
    /// Lines keep their length and place, so that who reads at the same time reads whole lines. Takes time to
    /// read the file.
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
                    Some(_) => return Err(std::io::Error::other("what is left out late does not fit")),
                    None => {}
                }
                at += line.len() as u64;
                line.clear();
            }
            Ok::<_, std::io::Error>(())
        };
        self.keep(blanked().err().map(|error| error.to_string()));
    }

    /// Whether every event so far reached the file, and could be read back where it was asked for.
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

    /// What this process has appended in this log's scenario so far, read from the file. Where it
    /// cannot be read, [`EventLog::check`] says so.
    pub fn records(&self) -> Vec<Record> {
        self.records_since(self.inner.begin)
    }

    /// What this process has appended so far, whichever scenario it speaks of.
    pub fn records_of_run(&self) -> Vec<Record> {
        let mut records = Vec::new();
        let broken = self.lines_of(self.inner.begin, self.position(), None, |record| records.push(record));
        self.keep(broken);
        records
    }

    /// As [`EventLog::records`], from a place on: for those who look again and again.
    pub fn records_since(&self, from: Position) -> Vec<Record> {
        self.read(from, self.position())
    }

    /// The place right after the last record.
    pub fn position(&self) -> Position {
        self.state().end
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hands each of [`EventLog::records`] to `take`, one at a time: for who needs little of each.
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

    /// Takes this writer's records of this scenario between two places; gives what was wrong with the
    /// first line that is none.
    fn lines(&self, from: Position, until: Position, take: impl FnMut(Record)) -> Option<String> {
        self.lines_of(from, until, Some(self.scope.scenario.as_deref()), take)
    }

    /// As `lines`, of one scenario (those that speak of none, too, are one) or of all.
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
        // Most lines of other scenarios need not be parsed to be told apart.
        let mark = scenario.flatten().map(|n| {
            let name = sanitise::json(&serde_json::Value::from(n).to_string());
            format!("\"scenario\":{name}")
        });
        let mut line = Vec::new();
        loop {
            line.clear();
            // In bytes: a line may be cut inside a character.
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => return broken,
                Ok(_) if mark.as_ref().is_some_and(|mark| !String::from_utf8_lossy(&line).contains(mark)) => {
                    continue;
                }
                // Put in front by who found half a line at the end.
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

/// A record's place among the others of its writer: they are written in the order of their numbers.
struct Turn<'a> {
    inner: &'a Inner,
    seq: u64,
    at: Timestamp,
    mono_us: u64,
}

impl<'a> Turn<'a> {
    /// Waits until all records before this one are written.
    fn wait(&self) -> MutexGuard<'a, State> {
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.turn < self.seq {
            state = self.inner.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}

/// Also where nothing was written, because something panicked: its number is missing then, which says so.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.wait().turn += 1;
        self.inner.turned.notify_all();
    }
}

/// The last byte of a file that is not empty.
fn last_byte(file: &mut File) -> std::io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}
