//! Measures the machine itself: a probe that asks nothing of any cluster.

use std::fmt::Display;
use std::time::Duration;

use futures::Stream;

use super::Lines;
use crate::event::{Event, EventLog, Outcome};

pub use crate::judge::machine::CONTROL as PROBE;

/// Pause between two samples.
pub const EVERY: Duration = Duration::from_millis(250);

/// A sample that is later than this shows a machine that starves what runs on it. The other probes give a request
/// one to three seconds, and need a processor several times in each.
pub const LATE: Duration = Duration::from_millis(500);

/// One sample after another of a container that does nothing else, each recorded as an [`Event::Sampled`]: how much
/// later than [`EVERY`] it came, and what the machine lacked meanwhile. In each the container starts a process and
/// opens a connection to itself, as the other probes do; none leaves the container, so no cluster can make it late
/// but by using up the machine.
///
/// A sample's outcome is acknowledged up to [`LATE`], then indeterminate. Its detail is
/// `3 ms late, cpu 12 %, io 0 %, memory 0 %`: the share of the time since the last sample in which some process
/// waited, from `/proc/pressure` (Documentation/accounting/psi.rst), where the kernel tells.
///
/// Records each line that the command made by [`command`] prints.
pub fn start<E: Display + Send + 'static>(
    lines: impl Stream<Item = Result<String, E>> + Send + 'static,
    log: EventLog,
) -> Lines {
    Lines::start(PROBE, lines, log, sample)
}

/// The command to run in the container, as words. It ends by itself after `limit`. The image needs bash. It measures
/// by the time since the kernel's boot: the wall clock of a virtual machine is set while it runs.
pub fn command(limit: Duration) -> Vec<String> {
    // `waited` leaves in REPLY the share of the time, in percent, in which some process waited for what it is asked
    // of; nothing where the kernel does not tell.
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

    fn told(line: &str) -> (Outcome, String) {
        match sample(line) {
            Event::Sampled { outcome, detail, .. } => (outcome, detail),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sample_is_late_by_what_it_took_beyond_the_pause() {
        assert_eq!(told("253000|12|0|"), (Outcome::Acknowledged, "3 ms late, cpu 12 %, io 0 %".into()));
        assert_eq!(told("750000|||"), (Outcome::Acknowledged, "500 ms late".into()));
        assert_eq!(told("751001|99||").0, Outcome::Indeterminate);
        assert_eq!(told("").0, Outcome::Indeterminate);
    }

    #[tokio::test]
    async fn the_loop_measures_until_its_limit() {
        let words = command(Duration::from_secs(2));
        let run = Exec::new(&words[0]).args(&words[1..]).run(Deadline::after(Duration::from_secs(30)));
        let out = run.await.unwrap();
        let lines: Vec<&str> = out.stdout.lines().collect();
        assert!(lines.len() >= 2, "{}", out.stdout);
        for line in lines {
            assert!(told(line).1.contains(" ms late"), "{line}");
            assert_eq!(line.split('|').count(), 4, "{line}");
        }
    }
}
