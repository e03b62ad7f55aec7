//! Finds the ledger's rows in the files of a stopped server.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Row;

/// Length of a checksum in characters.
const LENGTH: usize = 64;
/// Bytes of a redo log block (InnoDB: `OS_FILE_LOG_BLOCK_SIZE`).
const BLOCK: usize = 512;
/// Bytes of a block before and after its content (`LOG_BLOCK_HDR_SIZE`, `LOG_BLOCK_TRL_SIZE`).
const FRAME: (usize, usize) = (12, 4);

/// The rows whose checksums are in these bytes. InnoDB writes text unchanged; a row that is not found may still be
/// stored in another form, such as compressed.
pub fn find<'r>(rows: impl IntoIterator<Item = &'r Row>, bytes: &[u8]) -> BTreeSet<u64> {
    let wanted: BTreeMap<&[u8], u64> = rows
        .into_iter()
        .filter(|row| row.checksum.len() == LENGTH)
        .map(|row| (row.checksum.as_bytes(), row.number))
        .collect();
    // A neighbouring column may lengthen a run of hex digits, so every window of the run is looked up.
    let is_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    let runs = bytes.split(|b| !is_hex(b)).filter(|run| run.len() >= LENGTH);
    runs.flat_map(|run| run.windows(LENGTH)).filter_map(|text| wanted.get(text).copied()).collect()
}

/// The content of a redo log without the headers and trailers of its blocks, which may split a row.
pub fn unframed(log: &[u8]) -> Vec<u8> {
    let content = |block: &'_ [u8]| match block.len() {
        BLOCK => block[FRAME.0..BLOCK - FRAME.1].to_vec(),
        _ => Vec::new(),
    };
    log.chunks(BLOCK).flat_map(content).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64) -> Row {
        Row { writer: "w".into(), number, checksum: super::super::checksum("w", number, "p") }
    }

    #[test]
    fn rows_are_found_among_other_bytes_and_next_to_hex_digits() {
        let rows: Vec<Row> = (1..=3).map(row).collect();
        let mut bytes = vec![0, 255, b'a'];
        bytes.extend(rows[0].checksum.bytes());
        bytes.extend(b"7f\0");
        bytes.extend(rows[2].checksum.bytes());
        assert_eq!(find(&rows, &bytes), BTreeSet::from([1, 3]));
        assert!(find(&rows, &bytes[..60]).is_empty());
    }

    #[test]
    fn a_row_that_a_block_ends_in_is_found() {
        let text = row(7).checksum;
        let mut log = vec![b'-'; 2 * BLOCK];
        log[BLOCK - FRAME.1 - 20..BLOCK - FRAME.1].copy_from_slice(&text.as_bytes()[..20]);
        log[BLOCK + FRAME.0..BLOCK + FRAME.0 + 44].copy_from_slice(&text.as_bytes()[20..]);
        assert!(find(&[row(7)], &log).is_empty());
        assert_eq!(find(&[row(7)], &unframed(&log)), BTreeSet::from([7]));
    }
}
