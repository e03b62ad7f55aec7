//! Waits at the end of a step until the Services answer: a pod without a readiness probe is ready before it serves.

use std::time::Duration;

use super::{ANSWERS, SLOW, SOME_ANSWERS};
use crate::deadline::Deadline;
use crate::event::{Event, EventLog, Outcome, Record};
use crate::judge::trial::facts::ServiceProbe;
use crate::trial::ground::Ground;
use crate::trial::story::OUTAGE;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until each Service answers several requests in a row, for a little longer than an outage may last: the requests until
/// then belong to the step that ends. Probes on workers and kept connections are not waited for.
pub async fn answered(ground: &Ground<'_>) {
    let waits = |probe: &&ServiceProbe| probe.steady && !probe.on_worker && !probe.kept;
    let open: Vec<&ServiceProbe> = ground.probes.get().into_iter().flatten().filter(waits).collect();
    let slowest = open.iter().map(|probe| probe.pace * enough(probe.pace) as f64).fold(0.0, f64::max);
    let limit = Duration::from_secs_f64(OUTAGE + slowest);
    all_answer(&ground.s.log, open, ground.s.deadline().at_most(limit)).await;
}

/// Waits until each of these probes has enough answers in a row from now on, or until the deadline.
async fn all_answer(log: &EventLog, mut open: Vec<&ServiceProbe>, deadline: Deadline) {
    let from = log.position();
    loop {
        let records = log.records_since(from);
        open.retain(|probe| good(&answers(&records, &probe.probe)) < enough(probe.pace));
        if open.is_empty() || deadline.is_over() {
            return;
        }
        deadline.pause(LOOK).await;
    }
}

/// Returns how many answers in a row are enough of a probe that asks again after so many seconds.
pub fn enough(pace: f64) -> usize {
    if pace < SLOW.as_secs_f64() { ANSWERS } else { SOME_ANSWERS }
}

/// Returns for each request of a probe whether it was answered.
pub fn answers(records: &[Record], name: &str) -> Vec<bool> {
    let answered = |record: &Record| match &record.event {
        Event::Sampled { probe, outcome, .. } if probe == name => Some(*outcome == Outcome::Acknowledged),
        _ => None,
    };
    records.iter().filter_map(answered).collect()
}

/// The number of last requests that were answered.
pub fn good(answers: &[bool]) -> usize {
    answers.iter().rev().take_while(|good| **good).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for a probe whose requests end like this, one each 20 ms; returns the number of requests that were made.
    async fn asked(ends: &[Outcome], limit: Duration) -> usize {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r").unwrap();
        let probe = serde_json::json!({"probe": "http", "service": "shop", "port": 80, "node": "n", "pace": 0.5, "steady": true});
        let probe = serde_json::from_value(probe).unwrap();
        let say = |outcome: Outcome| {
            let (probe, detail) = ("http".to_owned(), String::new());
            log.append(Event::Sampled { probe, outcome, took_ms: 1.0, detail });
        };
        // Answers from before the step prove nothing about its end.
        (0..9).for_each(|_| say(Outcome::Acknowledged));
        let mut made = 0;
        let asks = async {
            for end in ends {
                Deadline::after(LOOK).pause(Duration::from_millis(20)).await;
                made += 1;
                say(*end);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = all_answer(&log, vec![&probe], Deadline::after(limit)) => {}
            () = asks => {}
        }
        made
    }

    #[tokio::test]
    async fn a_step_ends_after_enough_answers_in_a_row_or_at_its_limit() {
        let (good, bad) = (Outcome::Acknowledged, Outcome::Refused);
        let long = Duration::from_secs(20);
        assert!(
            (SOME_ANSWERS + 3..)
                .contains(&asked(&[&[good, good, bad][..], &[good; 40]].concat(), long).await)
        );
        assert_eq!(asked(&[bad; 3], Duration::from_millis(300)).await, 3);
    }
}
