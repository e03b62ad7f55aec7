use super::*;
use crate::event::{Row, SCHEMA, Scope};

fn server(uuid: &str) -> Server {
    Server { uuid: uuid.into(), ..Server::default() }
}

fn digest(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Records at intervals of a millisecond.
#[derive(Default)]
struct Story(Vec<Record>);

impl Story {
    fn say(&mut self, event: Event) {
        let seq = self.0.len() as u64;
        self.0.push(Record {
            schema: SCHEMA,
            seq,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: 1000 * (seq + 1),
            run: "r".into(),
            scope: Scope::default(),
            event,
        });
    }

    fn wrote(&mut self, numbers: &[u64], outcome: Outcome) -> &mut Self {
        let row = |n: &u64| Row { writer: "w".into(), number: *n, checksum: format!("{:016x}", digest(*n)) };
        let (rows, server, reason) = (numbers.iter().map(row).collect(), server("a"), "r".into());
        self.say(Event::TransactionWritten { rows, outcome, server, reason });
        self
    }

    /// A look that began when the last record was made.
    fn saw(&mut self, numbers: &[u64], damage: impl FnOnce(&mut Seen)) -> Samples {
        let sum = numbers.iter().fold(0, |sum, n| sum ^ digest(*n));
        let (low, high) = (numbers.iter().min().copied(), numbers.iter().max().copied());
        let seen = low.zip(high).map(|(low, high)| {
            let (writer, count) = ("w".into(), numbers.len() as u64);
            let mut seen = Seen { writer, low, high, count, digest: format!("{sum:016x}") };
            damage(&mut seen);
            seen
        });
        self.looked("a", true, seen.into_iter().collect())
    }

    fn looked(&mut self, uuid: &str, exists: bool, writers: Vec<Seen>) -> Samples {
        let began_us = 1000 * self.0.len() as u64 + 1;
        let (reader, outcome) = ("reader".into(), Outcome::Acknowledged);
        let server = server(uuid);
        self.say(Event::RowsSampled {
            reader,
            outcome,
            server,
            exists,
            began_us,
            writers,
            reason: String::new(),
        });
        let samples = Samples::of(&Evidence::new(&self.0, "t"));
        self.0.pop();
        samples
    }
}

fn story() -> Story {
    let mut story = Story::default();
    story.wrote(&[1], Outcome::Acknowledged).wrote(&[2, 3], Outcome::Acknowledged);
    story.wrote(&[4, 5], Outcome::Indeterminate).wrote(&[6], Outcome::Refused);
    story.wrote(&[7], Outcome::Acknowledged);
    story
}

fn wrong(samples: &Samples) -> [usize; 5] {
    let Samples { stale, missing, surplus, altered, gone, .. } = samples;
    [stale, missing, surplus, altered, gone].map(Vec::len)
}

#[test]
fn what_was_acknowledged_is_seen_and_what_is_open_may_be() {
    for rows in [&[1, 2, 3, 7][..], &[1, 2, 3, 4, 5, 7]] {
        let samples = story().saw(rows, |_| {});
        assert_eq!((samples.answered, wrong(&samples)), (1, [0; 5]), "{rows:?} {samples:?}");
    }
}

#[test]
fn each_of_several_open_rows_may_be_seen_or_not() {
    let mut story = Story::default();
    story.wrote(&[1], Outcome::Acknowledged);
    story.wrote(&[2], Outcome::Indeterminate).wrote(&[3], Outcome::Indeterminate);
    story.wrote(&[4], Outcome::Acknowledged);
    for rows in [&[1, 4][..], &[1, 2, 4], &[1, 3, 4], &[1, 2, 3, 4]] {
        assert_eq!(wrong(&story.saw(rows, |_| {})), [0; 5], "{rows:?}");
    }
}

#[test]
fn a_reader_that_sees_less_than_was_acknowledged_is_stale() {
    let samples = story().saw(&[1, 2, 3], |_| {});
    assert_eq!(wrong(&samples), [1, 0, 0, 0, 0]);
    assert!(samples.stale[0].ends_with("w up to 3, 7 had been acknowledged"), "{samples:?}");
    let samples = story().saw(&[], |_| {});
    assert!(samples.stale[0].ends_with("nothing of w, 7 had been acknowledged"), "{samples:?}");
}

#[test]
fn a_row_that_was_acknowledged_after_the_look_began_is_not_due() {
    let mut story = story();
    let record = story.0.pop().unwrap();
    let began = story.0.len();
    let mut later = story.saw(&[1, 2, 3], |_| {});
    assert_eq!(wrong(&later), [0; 5]);
    // The row's record comes later than the look's beginning and before its end.
    story.0.push(record);
    story.0[began].mono_us += 10_000;
    later = story.saw(&[1, 2, 3], |_| {});
    assert_eq!(wrong(&later), [0; 5]);
    // The same holds for a row recorded at the very moment when the look began.
    story.0[began].mono_us = 1000 * story.0.len() as u64 + 1;
    later = story.saw(&[1, 2, 3], |_| {});
    assert_eq!(wrong(&later), [0; 5]);
}

#[test]
fn a_hole_a_double_and_half_a_transaction_are_named() {
    assert_eq!(wrong(&story().saw(&[1, 2, 7], |_| {})), [0, 1, 0, 0, 0]);
    assert_eq!(wrong(&story().saw(&[1, 2, 3, 4, 5, 6, 7], |_| {})), [0, 0, 1, 0, 0], "a refused row");
    assert_eq!(wrong(&story().saw(&[1, 2, 3, 4, 7], |_| {})), [0, 0, 0, 1, 0], "half of what is open");
    assert_eq!(wrong(&story().saw(&[1, 2, 4, 7], |_| {})), [0, 0, 0, 1, 0], "the count alone is right");
    assert_eq!(wrong(&story().saw(&[1, 2, 3, 7], |seen| seen.digest = "1".into())), [0, 0, 0, 1, 0]);
}

#[test]
fn another_server_owes_nothing_and_a_dropped_table_is_one_finding() {
    assert_eq!(wrong(&story().looked("b", false, Vec::new())), [0; 5]);
    assert_eq!(wrong(&story().looked("b", true, Vec::new())), [0; 5]);
    let samples = story().looked("a", false, Vec::new());
    assert_eq!(wrong(&samples), [0, 0, 0, 0, 1]);
    assert!(samples.gone[0].ends_with("4 rows had been acknowledged"), "{samples:?}");
    let mut finding = Finding::new();
    samples.check(&mut finding);
    assert_eq!(finding.conclusion(), crate::judge::Conclusion::Failed);
}

#[test]
fn rows_of_another_server_are_no_rows_of_this_one() {
    let seen = Seen { writer: "w".into(), low: 1, high: 2, count: 2, digest: String::new() };
    assert_eq!(wrong(&story().looked("b", true, vec![seen])), [0, 0, 1, 0, 0]);
}

#[test]
fn rows_beyond_the_newest_are_not_missed() {
    let mut story = Story::default();
    for n in 1..=6 {
        story.wrote(&[n], Outcome::Acknowledged);
    }
    assert_eq!(wrong(&story.saw(&[4, 5, 6], |_| {})), [0; 5]);
    assert_eq!(wrong(&story.saw(&[4, 6], |_| {})), [0, 1, 0, 0, 0], "a hole among the newest");
    // A row that was in flight when the look was judged has no record yet.
    assert_eq!(wrong(&story.saw(&[4, 5, 6, 7], |_| {})), [0; 5]);
}

/// A row without an answer may be stored late: after rows that were acknowledged later.
#[test]
fn a_look_that_begins_with_a_late_row_says_nothing_of_the_older_ones() {
    let mut story = Story::default();
    story.wrote(&[1], Outcome::Acknowledged).wrote(&[2], Outcome::Indeterminate);
    story.wrote(&[3], Outcome::Acknowledged).wrote(&[4], Outcome::Acknowledged);
    assert_eq!(wrong(&story.saw(&[4, 2], |_| {})), [0; 5]);
    // The range begins with the writer's first row: no older row was left out.
    let mut story = Story::default();
    story.wrote(&[1], Outcome::Indeterminate);
    story.wrote(&[2], Outcome::Acknowledged).wrote(&[3], Outcome::Acknowledged);
    assert_eq!(wrong(&story.saw(&[1, 3], |_| {})), [0, 0, 0, 1, 0]);
}

/// The newest rows of a table may all be one writer's; a look that includes the table's first row shows every writer.
#[test]
fn a_writer_that_is_not_seen_is_missed_where_the_look_is_whole() {
    let mut story = story();
    for (n, writer) in [(1, "v"), (2, "v")] {
        let row = Row { writer: writer.into(), number: n, checksum: String::new() };
        let (outcome, server, reason) = (Outcome::Acknowledged, server("a"), String::new());
        story.say(Event::RowWritten { row, outcome, server, reason });
    }
    for (low, stale) in [(1, 1), (2, 0)] {
        let seen = Seen { writer: "v".into(), low, high: 2, count: 3 - low, digest: String::new() };
        assert_eq!(wrong(&story.looked("a", true, vec![seen])), [stale, 0, 0, 0, 0], "from {low}");
    }
}

#[test]
fn too_many_writes_without_an_answer_decide_nothing() {
    let seen = |open: u64| {
        let mut story = Story::default();
        story.wrote(&[1], Outcome::Acknowledged);
        for n in 2..2 + open {
            story.wrote(&[n], Outcome::Indeterminate);
        }
        story.wrote(&[100], Outcome::Acknowledged);
        wrong(&story.saw(&[1, 100], |seen| seen.digest = "1".into()))
    };
    let most = OPEN as u64;
    assert_eq!((seen(most), seen(most + 1), seen(most + 2)), ([0, 0, 0, 1, 0], [0; 5], [0; 5]));
}
