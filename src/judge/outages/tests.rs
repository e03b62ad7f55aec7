use super::*;
use crate::event::{Row, SCHEMA, Scope, Server};

fn record(second: f64, event: Event) -> Record {
    Record {
        schema: SCHEMA,
        seq: 0,
        writer: 1,
        at: jiff::Timestamp::UNIX_EPOCH,
        mono_us: (second * 1e6) as u64,
        run: "r".into(),
        scope: Scope::default(),
        event,
    }
}

fn wrote(second: f64, writer: &str, outcome: Outcome, reason: &str) -> Record {
    let row = Row { writer: writer.into(), number: 1, checksum: String::new() };
    record(second, Event::RowWritten { row, outcome, server: Server::default(), reason: reason.into() })
}

fn yes(second: f64) -> Record {
    wrote(second, "w", Outcome::Acknowledged, "")
}

fn no(second: f64, reason: &str) -> Record {
    wrote(second, "w", Outcome::Refused, reason)
}

fn of(records: &[Record]) -> Outages {
    Outages::of(records, "w")
}

#[test]
fn an_outage_lasts_from_answer_to_answer_and_its_causes_add_up() {
    let records = [
        yes(1.0),
        wrote(3.0, "w", Outcome::Indeterminate, "MySQL did not answer in 2.0 s: insert row 7"),
        no(4.0, "failed to connect (forward: no pod to forward to in namespace n: there is none)"),
        no(9.0, "no pod to forward to in namespace n: there is none"),
        yes(10.0),
        yes(11.0),
        no(11.5, "Connection refused (os error 111)"),
        yes(12.0),
    ];
    let outages = of(&records);
    assert_eq!((outages.windows.len(), outages.answered, outages.failed()), (2, 4, 4));
    let first = &outages.windows[0];
    assert_eq!((first.from, first.to, first.open, first.failed), (1.0, 10.0, false, 3));
    assert_eq!(first.by_cause, BTreeMap::from([(Cause::NoAnswer, 2.0), (Cause::NoPod, 7.0)]));
    assert_eq!((first.length(), first.cause()), (9.0, Cause::NoPod));
    assert_eq!(outages.longest(), Some(first));
    assert_eq!(outages.total(), 10.0);
    assert_eq!(outages.by_cause()[&Cause::ConnectionRefused], 1.0);
    assert_eq!(
        outages.describe(),
        "2 outages, longest 9.0 s, 10.0 s in total (no ready pod 7.0 s, no answer in time 2.0 s, \
         connection refused 1.0 s)"
    );
}

#[test]
fn a_pause_is_no_outage_and_none_of_its_time_counts() {
    let paused = |second| record(second, Event::ProbePaused { probe: "w".into() });
    let resumed = |second| record(second, Event::ProbeResumed { probe: "w".into() });
    assert_eq!(of(&[yes(1.0), paused(1.5), resumed(60.0), yes(60.1)]).windows, []);
    let during = of(&[yes(1.0), no(2.0, "x"), paused(3.0), resumed(60.0), no(61.0, "x"), yes(62.0)]);
    assert_eq!((during.windows.len(), during.total()), (1, 3.0));
    // The answer to a request in flight may come after the pause has begun.
    assert_eq!(of(&[yes(1.0), paused(1.5), yes(9.0), resumed(60.0), yes(60.1)]).windows, []);
    // Another probe's pause does not count.
    for event in [Event::ProbePaused { probe: "v".into() }, Event::ProbeResumed { probe: "v".into() }] {
        let (other, last) = (record(30.0, event), yes(60.0));
        assert_eq!(of(&[yes(1.0), no(2.0, "x"), other, last]).total(), 59.0);
    }
}

#[test]
fn a_probe_that_does_not_ask_is_silent_and_nothing_is_away() {
    let outages = of(&[yes(1.0), yes(2.5), yes(6.0), yes(7.0)]);
    assert_eq!((outages.windows.len(), outages.silence), (0, 3.5));
    // A request that waits for its answer is not a silence.
    let event = Event::Sampled {
        probe: "w".into(),
        outcome: Outcome::Indeterminate,
        took_ms: 3000.0,
        detail: "timed out".into(),
    };
    let outages = of(&[yes(1.0), record(6.0, event), yes(7.0)]);
    assert_eq!((outages.total(), outages.silence, outages.windows[0].first), (6.0, 2.0, 3.0));
}

/// Without an earlier answer, the outage begins with the request itself.
#[test]
fn an_outage_without_an_answer_before_begins_with_its_request() {
    let event = Event::Sampled {
        probe: "w".into(),
        outcome: Outcome::Refused,
        took_ms: 250.0,
        detail: String::new(),
    };
    let outages = of(&[record(5.0, event), yes(6.0)]);
    assert_eq!((outages.windows[0].from, outages.total()), (4.75, 1.25));
}

#[test]
fn an_outage_that_does_not_end_is_open() {
    let outages = of(&[yes(1.0), no(2.0, "x"), no(5.0, "x")]);
    assert!(outages.windows[0].open);
    assert_eq!(outages.total(), 4.0);
    // A record after the last request shows that the outage was not over.
    let later = record(9.0, Event::Noted { text: "later".into() });
    assert_eq!(of(&[yes(1.0), no(2.0, "x"), later]).total(), 8.0);
    assert!(outages.describe().contains("and not over"), "{}", outages.describe());
    assert_eq!(of(&[]).describe(), "no outage in 0 answers");
    assert!(of(&[no(1.0, "x"), no(2.0, "x"), yes(3.0)]).windows[0].from == 1.0);
}

#[test]
fn readers_without_their_table_and_other_probes_have_outages_too() {
    let looked = |second, exists| {
        record(
            second,
            Event::RowsSampled {
                reader: "r".into(),
                outcome: Outcome::Acknowledged,
                server: Server::default(),
                exists,
                began_us: 0,
                writers: Vec::new(),
                reason: String::new(),
            },
        )
    };
    let sampled = |second, outcome, detail: &str| {
        let (probe, detail) = ("http".into(), detail.into());
        record(second, Event::Sampled { probe, outcome, took_ms: 1.0, detail })
    };
    let records = [
        looked(1.0, true),
        looked(2.0, false),
        looked(3.0, true),
        sampled(1.0, Outcome::Acknowledged, "200"),
        sampled(1.5, Outcome::Refused, "curl 7: Failed to connect: Connection refused"),
        sampled(2.0, Outcome::Acknowledged, "200"),
        yes(1.0),
    ];
    let all = Outages::by_probe(&records);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["http", "r", "w"]);
    assert_eq!(all["r"].by_cause(), BTreeMap::from([(Cause::DatabaseMissing, 2.0)]));
    assert_eq!(all["http"].by_cause(), BTreeMap::from([(Cause::ConnectionRefused, 1.0)]));
    assert_eq!(all["w"].windows, []);
}

#[test]
fn reasons_as_they_are_recorded_have_their_causes() {
    for (reason, cause) in [
        (
            "failed to connect to MySQL at 127.0.0.1:5: Input/output error: connection closed \
             (forward: no pod to forward to in namespace n: mysql-1 is not ready)",
            Cause::NoPod,
        ),
        (
            "MySQL failed to prepare the insert: Server error: `ERROR 1049 (42000): Unknown database 'qa''",
            Cause::DatabaseMissing,
        ),
        ("Server error: `ERROR 1146 (42S02): Table 'qa.ledger' doesn't exist'", Cause::DatabaseMissing),
        (
            "failed to connect to MySQL at 127.0.0.1:9: Connection refused (os error 111)",
            Cause::ConnectionRefused,
        ),
        (
            "Connection to the server is closed. (forward: connection to pod mysql-1 broke: failed to connect to \
             localhost:3306 inside namespace: dial tcp4 127.0.0.1:3306: connect: connection refused)",
            Cause::ConnectionRefused,
        ),
        ("MySQL did not answer in 2.0 s: insert row 4", Cause::NoAnswer),
        ("curl 28: Connection timed out after 1000 milliseconds", Cause::NoAnswer),
        ("Driver error: `Connection to the server is closed.'", Cause::ServerGone),
        ("Input/output error: Connection reset by peer (os error 104)", Cause::ServerGone),
        ("Server error: `ERROR 1053 (08S01): Server shutdown in progress'", Cause::ServerGone),
        ("Server error: `ERROR 1290 (HY000): running with the --super-read-only option'", Cause::Rejected),
        ("something else", Cause::Other),
    ] {
        assert_eq!(Cause::of(reason), cause, "{reason}");
    }
}

#[test]
fn a_transaction_is_an_attempt_of_its_writer() {
    let row = |number| Row { writer: "w".into(), number, checksum: String::new() };
    let (rows, server) = (vec![row(1), row(2)], Server::default());
    let (outcome, reason) = (Outcome::Refused, "x".into());
    let refused = record(2.0, Event::TransactionWritten { rows, outcome, server, reason });
    assert_eq!(of(&[yes(1.0), refused, yes(3.0)]).total(), 2.0);
}
