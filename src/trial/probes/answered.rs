//! Waits at the end of a step until the Services answer: a pod without a readiness probe is ready before it serves.

use std::time::Duration;

use super::{ANSWERS, SLOW, SOME_ANSWERS};
use crate::event::{Event, Outcome, Record};
use crate::judge::trial::facts::ServiceProbe;
use crate::trial::ground::Ground;
use crate::trial::story::OUTAGE;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until each Service answers several requests in a row, for a little longer than an outage may last: the requests until
/// then belong to the step that ends. Probes on workers and kept connections are not waited for.
pub async fn answered(ground: &Ground<'_>) {
    let waits = |probe: &&ServiceProbe| probe.steady && !probe.on_worker && !probe.kept;
    let mut open: Vec<&ServiceProbe> = ground.probes.get().into_iter().flatten().filter(waits).collect();
    let slowest = open.iter().map(|probe| probe.pace * enough(probe.pace) as f64).fold(0.0, f64::max);
    let (s, limit) = (ground.s, Duration::from_secs_f64(OUTAGE + slowest));
    let (from, deadline) = (s.log.position(), s.deadline().at_most(limit));
    loop {
        let records = s.log.records_since(from);
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
