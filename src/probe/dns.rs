//! Sends queries to the cluster's DNS continuously, from inside the cluster's own network.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use futures::Stream;

use super::Lines;
use crate::cluster::ready::dns;
use crate::event::{Event, EventLog, Outcome};

/// Name of the probe in its samples.
pub const PROBE: &str = "dns";

/// Sends one query after another for the API's own name to the DNS service and records each as an [`Event::Sampled`].
/// A loop on a node sends the queries, because the node has the same kube-proxy rules that pods use.
///
/// The input is the lines that the command from [`command`] prints.
pub fn start<E: Display + Send + 'static>(
    lines: impl Stream<Item = Result<String, E>> + Send + 'static,
    log: EventLog,
) -> Lines {
    Lines::start(PROBE, lines, log, sample)
}

/// The command to run on a node, as words. It queries `server` until it is stopped, for at most `limit`, and prints a
/// line for each query: exit code, milliseconds, answer in hex.
pub fn command(server: IpAddr, limit: Duration) -> Vec<String> {
    // Measures time since the kernel's boot, in hundredths of a second: the wall clock of a virtual machine may be set
    // while it runs.
    let script = r#"now() {
  local up
  read -r up _ </proc/uptime
  now=$((10#${up/./}))
}
now
end=$((now + $1 * 100))
shift
while now; [ "$now" -lt "$end" ]; do
  began=$now
  answer=$("$@" 2>/dev/null | od -An -v -tx1 | tr -d ' \n'; exit "${PIPESTATUS[0]}")
  code=$?
  now
  printf '%s|%s|%s\n' "$code" "$(((now - began) * 10))" "$answer" || exit 0
  sleep 0.25
done"#;
    let limit = limit.as_secs().to_string();
    let words = ["bash", "-c", script, PROBE, &limit].map(str::to_owned);
    words.into_iter().chain(dns::command(server)).collect()
}

fn sample(line: &str) -> Event {
    let mut parts = line.splitn(3, '|');
    let mut next = || parts.next().unwrap_or_default();
    let (code, took, hex) = (next(), next(), next());
    let (outcome, detail) = match code {
        "0" => match dns::answered(&bytes(hex)) {
            Ok(()) => (Outcome::Acknowledged, "answered".to_owned()),
            Err(why) => (Outcome::Refused, why.0),
        },
        // The exit code of timeout(1).
        "124" => (Outcome::Indeterminate, "no answer within 3 s".into()),
        _ => (Outcome::Refused, "no connection to the DNS service".into()),
    };
    let took_ms = took.parse().unwrap_or_default();
    Event::Sampled { probe: PROBE.into(), outcome, took_ms, detail }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |i: usize| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map_while(pair).collect()
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
    fn a_line_becomes_a_sample() {
        let good = "0|3|00405ea18180000100010000";
        assert_eq!(outcome(&format!("{good}0000")), (Outcome::Acknowledged, "answered".into()));
        assert_eq!(outcome("0|3|00405ea1818300010000000000").0, Outcome::Refused);
        assert_eq!(outcome("0|3|").0, Outcome::Refused);
        assert_eq!(outcome("124|3000|").0, Outcome::Indeterminate);
        assert_eq!(outcome("1|0|").1, "no connection to the DNS service");
    }

    #[tokio::test]
    async fn the_loop_asks_until_its_limit() {
        // Nothing serves DNS over TCP on this loopback address.
        let words = command("127.0.0.99".parse().unwrap(), Duration::from_secs(4));
        let run = Exec::new(&words[0]).args(words[1..].iter());
        let out = run.run(Deadline::after(Duration::from_secs(20))).await.unwrap();
        let lines: Vec<&str> = out.stdout.lines().collect();
        assert!(lines.len() > 1, "{}", out.stdout);
        assert!(lines.iter().all(|l| outcome(l).0 == Outcome::Refused), "{lines:?}");
    }
}
