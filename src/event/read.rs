//! The reader of an event log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::{EventError, Record, SCHEMA};

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a log.
///
/// # Errors
/// A file cannot be read, a line is not a record or belongs to another run, or the schema is newer.
///
/// A killed writer or a full disk leaves lines that are not JSON. The reader skips such a line; the missing record shows
/// in the numbers of the others. A file that contains no other lines is not a log. Some editors and copies add a byte
/// order mark and Windows line ends; the reader accepts both. UTF-16 is refused.
pub fn read(path: &Path) -> Result<Vec<Record>, EventError> {
    let mut records = Vec::new();
    read_each(path, |record| records.push(record))?;
    Ok(records)
}

/// Reads a log as [`read`] does, one record at a time, for callers that need little of each record.
///
/// # Errors
/// Those of [`read`].
pub fn read_each(path: &Path, mut take: impl FnMut(Record)) -> Result<(), EventError> {
    let error = |source| EventError::Read { path: path.into(), source };
    let mut reader = BufReader::new(File::open(path).map_err(error)?);
    // Lines are read as bytes because a line may be cut inside a character.
    let (mut line, mut run, mut broken) = (Vec::new(), None::<String>, None);
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(error)? == 0 {
            break;
        }
        if number == 1 {
            if line.starts_with(b"\xff\xfe") || line.starts_with(b"\xfe\xff") {
                return Err(EventError::Utf16 { path: path.into() });
            }
            if line.starts_with(MARK) {
                line.drain(..MARK.len());
            }
        }
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) if record.schema > SCHEMA => {
                return Err(EventError::Newer { path: path.into(), found: record.schema });
            }
            Ok(record) => {
                let run = run.get_or_insert_with(|| record.run.clone());
                if record.run != *run {
                    let (run, other) = (run.clone(), record.run);
                    return Err(EventError::Mixed { path: path.into(), line: number, run, other });
                }
                take(record);
            }
            Err(_) if !line.ends_with(b"\n") => break,
            Err(source) => match serde_json::from_slice::<Value>(&line) {
                Ok(line) => return Err(newer(path, &line, number, source)),
                Err(_) => _ = broken.get_or_insert((number, source)),
            },
        }
    }
    match (run, broken) {
        (None, Some((line, source))) => Err(EventError::Line { path: path.into(), line, source }),
        _ => Ok(()),
    }
}

fn newer(path: &Path, line: &Value, number: usize, source: serde_json::Error) -> EventError {
    match line["schema"].as_u64() {
        Some(found) if found > u64::from(SCHEMA) => {
            EventError::Newer { path: path.into(), found: u32::try_from(found).unwrap_or(u32::MAX) }
        }
        _ => EventError::Line { path: path.into(), line: number, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventLog};

    fn note(text: &str) -> Event {
        Event::Noted { text: text.into() }
    }

    #[test]
    fn a_cut_last_line_is_skipped_and_a_broken_one_named() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r1").unwrap();
        log.append(note("one"));
        let path = dir.path().join("events.jsonl");
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{}", &whole[..20])).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        std::fs::write(&path, format!("{{}}\n{whole}")).unwrap();
        assert!(matches!(read(&path), Err(EventError::Line { line: 1, .. })));
    }

    #[test]
    fn what_a_full_disk_left_of_a_record_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r1").unwrap();
        ["one", "two ä", "three", "four"].iter().for_each(|text| log.append(note(text)));
        let path = dir.path().join("events.jsonl");
        let whole = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&[u8]> = whole.split_inclusive('\n').map(str::as_bytes).collect();
        let numbers = |parts: &[&[u8]]| -> Vec<u64> {
            std::fs::write(&path, parts.concat()).unwrap();
            read(&path).unwrap().iter().map(|r| r.seq).collect()
        };
        // The line is cut at every byte: also inside a character and inside the timestamp.
        for at in 1..lines[1].len() - 1 {
            let half = &lines[1][..at];
            assert_eq!(numbers(&[lines[0], half]), [0], "{at}");
            assert_eq!(numbers(&[lines[0], half, b"\n", lines[2]]), [0, 2], "{at}");
            // Another writer appends to the broken line instead of ending it: the record of that writer is lost too.
            assert_eq!(numbers(&[lines[0], half, lines[2], lines[3]]), [0, 3], "{at}");
            assert_eq!(numbers(&[half, b"\n", lines[2]]), [2], "{at}");
        }
        std::fs::write(&path, "no log\nat all\n").unwrap();
        assert!(matches!(read(&path), Err(EventError::Line { line: 1, .. })));
        assert!(matches!(read(dir.path()), Err(EventError::Read { .. })));
    }

    #[test]
    fn a_newer_schema_is_refused_and_an_unknown_event_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r1").unwrap();
        log.append(note("one"));
        let path = dir.path().join("events.jsonl");
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, whole.replace("\"noted\"", "\"sunk\"")).unwrap();
        assert_eq!(read(&path).unwrap()[0].event, Event::Unknown);
        std::fs::write(&path, whole.replace("\"schema\":2", "\"schema\":9")).unwrap();
        assert!(matches!(read(&path), Err(EventError::Newer { found: 9, .. })));
    }

    #[test]
    fn a_record_of_another_run_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        for run in ["r1", "r1", "r2"] {
            EventLog::open(dir.path(), run).unwrap().append(note("one"));
        }
        let error = read(&dir.path().join("events.jsonl")).unwrap_err();
        assert!(
            matches!(&error, EventError::Mixed { line: 3, run, other, .. } if run == "r1" && other == "r2")
        );
        assert!(
            error.to_string().ends_with("events.jsonl:3 is of run r2, the lines before it are of run r1")
        );
    }

    /// Logs as they come back from other machines and editors.
    #[test]
    fn a_byte_order_mark_and_line_ends_of_windows_are_no_defects_and_utf_16_is_named() {
        let dir = tempfile::tempdir().unwrap();
        {
            let log = EventLog::open(dir.path(), "r1").unwrap();
            (0..3).for_each(|n| log.append(note(&format!("{n} \u{e9}"))));
        }
        let path = dir.path().join("events.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let whole = read(&path).unwrap();
        let windows = text.replace('\n', "\r\n");
        for copy in [format!("\u{feff}{text}"), windows.clone(), format!("\u{feff}{windows}")] {
            std::fs::write(&path, copy).unwrap();
            assert_eq!(read(&path).unwrap(), whole);
        }
        for bytes in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            std::fs::write(&path, units.flat_map(bytes).collect::<Vec<u8>>()).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, EventError::Utf16 { .. }), "{error}");
        }
    }
}
