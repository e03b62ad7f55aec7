//! Measures the machine itself, with a probe that sends no request to any cluster.

use std::fmt::Display;
use std::time::Duration;

use futures::Stream;

use super::Lines;
use crate::event::{Event, EventLog, Outcome};

pub use crate::judge::machine::CONTROL as PROBE;

/// Pause between two samples.
pub const EVERY: Duration = Duration::from_millis(250);

/// A sample that is later than this shows that the machine starves its processes. The other probes give a request one
/// to three seconds, and each request needs the processor several times.
pub const LATE: Duration = Duration::from_millis(500);

/// Records one sample after another from a container that does nothing else, each as an [`Event::Sampled`]. A sample
/// says how much later than [`EVERY`] it came, and what the machine lacked meanwhile. For each sample the container
/// starts a process and opens a connection to itself, as the other probes do. No packet leaves the container: a cluster
/// can delay a sample only by using up the machine.
///
/// The outcome is acknowledged up to [`LATE`], otherwise indeterminate. The detail reads
/// `3 ms late, cpu 12 %, io 0 %, memory 0 %`: the share of the time since the last sample in which some process
/// waited, from `/proc/pressure` (Documentation/accounting/psi.rst), if the kernel provides it.
///
/// The input is the lines that the command from [`command`] prints.
pub fn start<E: Display + Send + 'static>(
    lines: impl Stream<Item = Result<String, E>> + Send + 'static,
    log: EventLog,
) -> Lines {
    Lines::start(PROBE, lines, log, sample)
}

/// The command to run in the container, as words. It ends by itself after `limit`. The image needs bash. The command
/// measures time since the kernel's boot, because the wall clock of a virtual machine may be set while it runs.
pub fn command(limit: Duration) -> Vec<String> {
    // `waited` stores in REPLY the percentage of the time in which some process waited for the given resource; empty if
    // the kernel does not provide it.
    let script = r#"declare -A total
now() {
  local up
  read -r up _ </proc/uptime
  now=$((10#${up/./}))
}
waited() {
  REPLY=
  [ -r "/proc/pressure/$1" ] || return
  local kind sum
  read -r kind _ _ _ sum <"/proc/pressure/$1" && [ "$kind" = some ] || return
  sum=${sum#total=}
  [ -z "${total[$1]}" ] || REPLY=$(((sum - total[$1]) * 100 / took))
  total[$1]=$sum
}
now
before=$now end=$((now + $1 * 100)) took=1
for what in cpu io memory; do waited "$what"; done
while [ "$now" -lt "$end" ]; do
  sleep "$2"
  (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null
  now
  took=$(((now - before) * 10000 + 1)) line=$took
  for what in cpu io memory; do waited "$what"; line="$line|$REPLY"; done
  printf '%s\n' "$line" || exit 0
  before=$now
done"#;
    let seconds = limit.as_secs().to_string();
    let pause = EVERY.as_secs_f64().to_string();
    ["bash", "-c", script, PROBE, &seconds, &pause].map(str::to_owned).into()
}

fn sample(line: &str) -> Event {
    let mut parts = line.split('|');
    let took = parts.next().and_then(|took| took.parse::<u64>().ok()).map(Duration::from_micros);
    let late = took.map(|took| took.saturating_sub(EVERY));
    let outcome = match late {
        Some(late) if late <= LATE => Outcome::Acknowledged,
        _ => Outcome::Indeterminate,
    };
    let mut detail = late.map_or("not understood".into(), |late| format!("{} ms late", late.as_millis()));
    for (what, share) in ["cpu", "io", "memory"].into_iter().zip(parts) {
        if let Ok(share) = share.parse::<u64>() {
            detail.push_str(&format!(", {what} {share} %"));
        }
    }
    let took_ms = late.unwrap_or_default().as_secs_f64() * 1e3;
    Event::Sampled { probe: PROBE.into(), outcome, took_ms, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use crate::exec::Exec;

    fn outcome(line: &str) -> (Outcome, String) {
        match sample(line) {
            Event::Sampled { outcome, detail, .. } => (outcome, detail),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sample_is_late_by_what_it_took_beyond_the_pause() {
        assert_eq!(outcome("253000|12|0|"), (Outcome::Acknowledged, "3 ms late, cpu 12 %, io 0 %".into()));
        assert_eq!(outcome("750000|||"), (Outcome::Acknowledged, "500 ms late".into()));
        assert_eq!(outcome("751001|99||").0, Outcome::Indeterminate);
        assert_eq!(outcome("").0, Outcome::Indeterminate);
    }

    #[tokio::test]
    async fn the_loop_measures_until_its_limit() {
        let words = command(Duration::from_secs(2));
        let run = Exec::new(&words[0]).args(&words[1..]).run(Deadline::after(Duration::from_secs(30)));
        let out = run.await.unwrap();
        let lines: Vec<&str> = out.stdout.lines().collect();
        assert!(lines.len() >= 2, "{}", out.stdout);
        for line in lines {
            assert!(outcome(line).1.contains(" ms late"), "{line}");
            assert_eq!(line.split('|').count(), 4, "{line}");
        }
    }
}
