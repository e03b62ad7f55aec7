//! Sends HTTP requests to a Service continuously, from inside the cluster's own network.

use std::fmt::Display;
use std::time::Duration;

use futures::Stream;

use super::source_port::SHELL;
use super::{Lines, RequestPace};
use crate::event::{Event, EventLog, Outcome};

/// Name of the probe in its samples.
pub const PROBE: &str = "http";

/// Pause between two requests.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Sends one request after another to one address and records each as an [`Event::Sampled`].
///
/// The engine runs a curl loop on a node, because the node has the same kube-proxy rules that pods use. A port-forward
/// would lead to one pod and bypass the Service. A sample's detail is `200 nginx/1.22.1`, the status and the Server
/// header, or `curl 7: ...` with the system's message and, if the node's kernel lists it, the address that the Service
/// led to.
///
/// The input is the lines that the command from [`command`] prints.
pub fn start<E: Display + Send + 'static>(
    lines: impl Stream<Item = Result<String, E>> + Send + 'static,
    log: EventLog,
) -> Lines {
    start_as(PROBE, lines, log)
}

/// As [`start`], with another name of the probe in its samples.
pub fn start_as<E: Display + Send + 'static>(
    probe: &str,
    lines: impl Stream<Item = Result<String, E>> + Send + 'static,
    log: EventLog,
) -> Lines {
    let name = probe.to_owned();
    Lines::start(probe, lines, log, move |line| sample(&name, line))
}

/// Asks until the limit.
///
/// curl -v prints the system's message for a failed connection among other lines. The address that a Service led to is in
/// the kernel's list of connections without an answer, if the kernel has that list: entries of the last seconds (SYN_SENT
/// lasts 120 s: Documentation/networking/nf_conntrack-sysctl.rst). A reset removes the entry.
const LOOP: &str = r#"ask() {
  output=$(curl -sv -o /dev/null "$@" -w '\n%{http_code}|%{exitcode}|%{time_total}|%header{server}|%{errormsg}' "$url" 2>&1)
  line=${output##*"$nl"}
}
url=$1 patience=$2 nl='
'
now
end=$((now + $3 * 100))
while now; [ "$now" -lt "$end" ]; do
  ports
  ask -m "$patience" --local-port "$ports"
  case $line in ???"|45|"*) ask -m "$patience" ;; esac
  why=
  case $line in
    ???"|0|"*) ;;
    *)
      case $output in *" failed: "*) why=${output##*" failed: "} why=" (${why%%"$nl"*})" ;; esac
      led=$(awk -v to="dst=$5" -v port="dport=$6" '$6 == "SYN_SENT" && $5 > 117 && $8 == to && $10 == port {
        sub(/.*src=/, ""); print $1 }' /proc/net/nf_conntrack 2>/dev/null | sort -u | tr '\n' ' ')
      [ -z "$led" ] || why="$why, led to ${led% }" ;;
  esac
  printf '%s\n' "$line$why" || exit 0
  sleep "$4"
done"#;

/// The command to run on a node, as words. It requests `/` of `host:port` until it is stopped, for at most `limit`, with the
/// timeout `patience` for each request.
pub fn command(host: &str, port: u16, patience: Duration, limit: Duration) -> Vec<String> {
    command_for(host, (port, "/"), RequestPace { pause: PAUSE, patience, limit })
}

/// As [`command`], for a port and a path, which begins with `/`, at another pace.
pub fn command_for(host: &str, (port, path): (u16, &str), pace: RequestPace) -> Vec<String> {
    let RequestPace { pause, patience, limit } = pace;
    // The loop ends by itself because an exec outlives a broken connection, and nobody could stop it then.
    let script = format!("{SHELL}{LOOP}");
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = format!("http://{shown}:{port}{path}");
    let seconds = |d: Duration| format!("{}", d.as_secs_f64());
    let limit = limit.as_secs().to_string();
    let (pause, port) = (seconds(pause), port.to_string());
    let words = ["sh", "-c", &script, PROBE, &url, &seconds(patience), &limit, &pause, host, &port];
    words.map(str::to_owned).into()
}

fn sample(probe: &str, line: &str) -> Event {
    let mut parts = line.splitn(5, '|');
    let mut next = || parts.next().unwrap_or_default();
    let (status, exit, seconds, server, error) = (next(), next(), next(), next(), next());
    let outcome = match (exit, status.parse::<u16>()) {
        ("0", Ok(200..400)) => Outcome::Acknowledged,
        ("0", Ok(400..)) => Outcome::Refused,
        // The name or the connection failed: nothing was sent.
        ("6" | "7", _) => Outcome::Refused,
        _ => Outcome::Indeterminate,
    };
    let detail = if exit == "0" { format!("{status} {server}") } else { format!("curl {exit}: {error}") };
    let took_ms = seconds.parse::<f64>().unwrap_or_default() * 1e3;
    Event::Sampled { probe: probe.into(), outcome, took_ms, detail: detail.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(line: &str) -> (Outcome, String) {
        match sample(PROBE, line) {
            Event::Sampled { outcome, detail, .. } => (outcome, detail),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_becomes_a_sample() {
        let ok = outcome("200|0|0.001|nginx/1.22.1|");
        assert_eq!(ok, (Outcome::Acknowledged, "200 nginx/1.22.1".into()));
        let busy = outcome("503|0|0.001|nginx/1.22.1|");
        assert_eq!(busy, (Outcome::Refused, "503 nginx/1.22.1".into()));
        let closed = outcome("000|7|0.001||Failed to connect to 10.96.0.9 port 80");
        assert_eq!(closed, (Outcome::Refused, "curl 7: Failed to connect to 10.96.0.9 port 80".into()));
        let late = outcome("000|28|2.0||Operation timed out | after 2000 ms");
        assert_eq!(late.0, Outcome::Indeterminate);
        assert_eq!(late.1, "curl 28: Operation timed out | after 2000 ms");
        assert_eq!(outcome("").0, Outcome::Indeterminate);
    }

    #[tokio::test]
    async fn a_request_without_an_answer_names_the_address_of_its_pod() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("nf_conntrack");
        let entry = |left: u32, to: &str, port: u16, led: &str| {
            format!(
                "ipv4     2 tcp      6 {left} SYN_SENT src=172.18.0.3 dst={to} sport=44036 dport={port} \
                 [UNREPLIED] src={led} dst=172.18.0.3 sport=80 dport=44036 mark=0 zone=0 use=2\n"
            )
        };
        let lines = [
            entry(119, "127.0.0.1", 1, "10.244.1.6"),
            entry(60, "127.0.0.1", 1, "10.244.1.7"),
            entry(119, "127.0.0.1", 2, "10.244.1.8"),
            entry(119, "127.0.0.2", 1, "10.244.1.9"),
        ];
        std::fs::write(&table, lines.concat()).unwrap();
        let mut words = command("127.0.0.1", 1, Duration::from_secs(1), Duration::from_secs(2));
        words[2] = words[2].replace("/proc/net/nf_conntrack", &table.to_string_lossy());
        let run = crate::exec::Exec::new(&words[0]).args(&words[1..]);
        let out = run.run(crate::deadline::Deadline::after(Duration::from_secs(20))).await.unwrap();
        let first = out.stdout.lines().next().unwrap();
        assert!(first.ends_with("), led to 10.244.1.6"), "{first}");
    }

    #[tokio::test]
    async fn the_loop_asks_until_its_limit_and_its_lines_are_recorded() {
        // Nothing listens on port 1 of this host.
        let limit = Duration::from_secs(4);
        let words = command("127.0.0.1", 1, Duration::from_secs(1), limit);
        let run = crate::exec::Exec::new(&words[0]).args(&words[1..]);
        let out = run.run(crate::deadline::Deadline::after(Duration::from_secs(20))).await.unwrap();
        let lines: Vec<&str> = out.stdout.lines().collect();
        assert!(lines.len() > 1, "{}", out.stdout);
        let read: Vec<std::io::Result<String>> = lines.iter().map(|l| Ok((*l).to_owned())).collect();
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r").unwrap();
        let mut probe = start(futures::stream::iter(read), log.clone());
        probe.ended().await;
        let refused = |r: &&crate::event::Record| matches!(&r.event, Event::Sampled { outcome: Outcome::Refused, detail, .. } if detail.starts_with("curl 7"));
        assert_eq!(log.records().iter().filter(refused).count(), lines.len());
    }
}
