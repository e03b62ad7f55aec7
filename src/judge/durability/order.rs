//! Checks that the rows of a reading are in an order that their writers can have written, and that transactions are
//! complete.
//!
//! A writer sends a row only after the outcome of its previous row is recorded. If a row was acknowledged before the
//! writer of a later row recorded its previous outcome, the earlier row existed when the later one was sent. Then the
//! earlier row has the lower primary key, and a reading that has the later row must also have the earlier one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Read, Write};
use crate::event::{Outcome, Row};

/// Returns rows that were found, each with an earlier acknowledged row that is missing or comes after it. Considers
/// only rows that were acknowledged by the server that was read.
pub fn out_of_order<'r>(writes: &[Write<'r>], read: Read<'r>) -> Vec<(&'r Row, &'r Row)> {
    // Later inserts win: of a row that occurs twice, the first place counts.
    let place: BTreeMap<(&str, u64), usize> =
        read.rows.iter().enumerate().rev().map(|(at, row)| (key(row), at)).collect();
    let mut rows: Vec<Sent<'r>> = Vec::new();
    let mut previous: BTreeMap<&str, usize> = BTreeMap::new();
    for whole in writes.chunk_by(|a, b| a.transaction == b.transaction) {
        let after = previous.insert(whole[0].row.writer.as_str(), whole[0].transaction);
        for write in whole {
            let ours = write.outcome == Outcome::Acknowledged && write.server.uuid == read.server.uuid;
            let place = place.get(&key(write.row)).copied();
            // An open row that was not found proves nothing; one that was found had been sent.
            if ours && (place.is_some() || !write.open) {
                rows.push(Sent { row: write.row, acknowledged: write.transaction, after, place });
            }
        }
    }
    // Goes from the last place backwards, and keeps the earliest acknowledgement among the rows behind. Missing rows
    // count as behind all others.
    rows.sort_by_key(|sent| sent.place.unwrap_or(usize::MAX));
    let (mut wrong, mut earliest) = (Vec::new(), None::<&Sent<'_>>);
    for sent in rows.iter().rev() {
        if let (Some(earlier), Some(after), Some(_)) = (earliest, sent.after, sent.place)
            && earlier.acknowledged <= after
        {
            wrong.push((sent.row, earlier.row));
        }
        if earliest.is_none_or(|earliest| sent.acknowledged < earliest.acknowledged) {
            earliest = Some(sent);
        }
    }
    wrong.reverse();
    wrong
}

struct Sent<'r> {
    row: &'r Row,
    /// The record of the acknowledgement.
    acknowledged: usize,
    /// The writer's previous record: the row was sent after it.
    after: Option<usize>,
    place: Option<usize>,
}

/// For each incomplete transaction, returns a row that was found and one that was not.
pub fn torn<'r>(writes: &[Write<'r>], read: Read<'r>) -> Vec<(&'r Row, &'r Row)> {
    let found: BTreeSet<(&str, u64)> = read.rows.iter().map(key).collect();
    let parts = writes.chunk_by(|a, b| a.transaction == b.transaction);
    let torn = |part: &[Write<'r>]| {
        let is = part.iter().find(|w| found.contains(&key(w.row)))?;
        let not = part.iter().find(|w| !found.contains(&key(w.row)))?;
        Some((is.row, not.row))
    };
    parts.filter_map(torn).collect()
}

fn key(row: &Row) -> (&str, u64) {
    (row.writer.as_str(), row.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Server;

    fn row(writer: &str, number: u64) -> Row {
        Row { writer: writer.into(), number, checksum: String::new() }
    }

    type Pairs = Vec<(u64, u64)>;

    /// Rows of writers `a` and `b` in the order of their records; each inner list is a transaction.
    fn judge(written: &[(&[u64], char, Outcome)], there: &[(char, u64)]) -> (Pairs, Pairs) {
        let server = Server { uuid: "u".into(), ..Server::default() };
        let rows: Vec<Vec<Row>> = written
            .iter()
            .map(|(numbers, writer, _)| numbers.iter().map(|n| row(&writer.to_string(), *n)).collect())
            .collect();
        let mut writes = Vec::new();
        for (transaction, (rows, (_, _, outcome))) in rows.iter().zip(written).enumerate() {
            writes.extend(rows.iter().map(|row| Write {
                row,
                outcome: *outcome,
                server: &server,
                reason: "r",
                transaction,
                open: false,
            }));
        }
        let there: Vec<Row> = there.iter().map(|(writer, n)| row(&writer.to_string(), *n)).collect();
        let read = Read { server: &server, exists: true, rows: &there };
        let numbers = |pairs: Vec<(&Row, &Row)>| pairs.iter().map(|(a, b)| (a.number, b.number)).collect();
        (numbers(out_of_order(&writes, read)), numbers(torn(&writes, read)))
    }

    use Outcome::{Acknowledged as Yes, Indeterminate as Open, Refused as No};

    #[test]
    fn a_hole_in_a_writers_rows_is_out_of_order_and_a_missing_end_is_not() {
        let written: &[(&[u64], char, Outcome)] = &[(&[1], 'a', Yes), (&[2], 'a', Yes), (&[3], 'a', Yes)];
        assert_eq!(judge(written, &[('a', 1), ('a', 2), ('a', 3)]).0, []);
        assert_eq!(judge(written, &[('a', 1), ('a', 2)]).0, []);
        assert_eq!(judge(written, &[('a', 1), ('a', 3)]).0, [(3, 2)]);
        assert_eq!(judge(written, &[('a', 1), ('a', 3), ('a', 2)]).0, [(3, 2)]);
        assert_eq!(judge(written, &[('a', 1), ('a', 2), ('a', 3), ('a', 1)]).0, [], "doubled, not moved");
        // For a transaction, its last row is named.
        let written: &[(&[u64], char, Outcome)] = &[(&[1, 2], 'a', Yes), (&[3], 'a', Yes)];
        assert_eq!(judge(written, &[('a', 3)]).0, [(3, 2)]);
    }

    #[test]
    fn writers_side_by_side_may_pass_one_another_once() {
        // b2 was sent before a1 was acknowledged, b4 was not.
        let written: &[(&[u64], char, Outcome)] =
            &[(&[1], 'a', Yes), (&[2], 'b', Yes), (&[3], 'a', Yes), (&[4], 'b', Yes)];
        assert_eq!(judge(written, &[('b', 2), ('a', 1), ('a', 3), ('b', 4)]).0, []);
        assert_eq!(judge(written, &[('b', 2), ('b', 4), ('a', 1), ('a', 3)]).0, [(4, 1)]);
    }

    #[test]
    fn rows_without_an_answer_stand_where_they_like() {
        let written: &[(&[u64], char, Outcome)] = &[(&[1], 'a', Open), (&[2], 'a', Yes), (&[3], 'a', No)];
        assert_eq!(judge(written, &[('a', 2), ('a', 1)]).0, []);
        assert_eq!(judge(written, &[('a', 2)]).0, []);
    }

    #[test]
    fn a_transaction_is_there_as_a_whole_or_not_at_all() {
        for outcome in [Yes, Open, No] {
            let written: &[(&[u64], char, Outcome)] = &[(&[1, 2, 3], 'a', outcome)];
            assert_eq!(judge(written, &[('a', 1), ('a', 2), ('a', 3)]).1, []);
            assert_eq!(judge(written, &[]).1, []);
            assert_eq!(judge(written, &[('a', 1), ('a', 3)]).1, [(1, 2)]);
        }
    }
}
