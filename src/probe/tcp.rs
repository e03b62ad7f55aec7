//! Opens TCP connections to a Service continuously, from inside the cluster's own network.

use std::fmt::Display;
use std::time::Duration;

use futures::Stream;

use super::source_port::SHELL;
use super::{Lines, RequestPace};
use crate::event::{Event, EventLog, Outcome};

/// Pause between two connections.
pub const PAUSE: Duration = Duration::from_millis(200);

/// Opens one connection after another and records each as an [`Event::Sampled`]. A connection counts as answered once
/// it is open: the probe sends nothing, because it knows no protocol.
///
/// The engine runs the loop on a node, because the node has the same kube-proxy rules that pods use. The input is the
/// lines that the command from [`command`] prints.
pub fn start_as<E: Display + Send + 'static>(
    probe: &str,
    lines: impl Stream<Item = Result<String, E>> + Send + 'static,
    log: EventLog,
) -> Lines {
    let name = probe.to_owned();
    Lines::start(probe, lines, log, move |line| sample(&name, line))
}

/// Connects until the limit.
///
/// curl says on a line of its own that the connection is open, in words that differ between versions. If the line is not
/// known, the time of the connection tells, once curl has waited in vain for the server to speak.
const LOOP: &str = r#"connect() {
  local line
  code= why= last=
  exec 3< <(exec curl -sv -o /dev/null "$@" -w '\n%{exitcode}|%{time_connect}|%{errormsg}\n' "$url" </dev/null 2>&1)
  while IFS= read -r line <&3; do
    case $line in
      "* Connected to "* | "* Established connection to "*) code=0 && break ;;
      *" failed: "*) why=${line##*" failed: "} ;;
      [0-9]*"|"*) last=$line ;;
    esac
  done
  kill $! 2>/dev/null
  wait $!
  exec 3<&-
  IFS='|' read -r exit open message <<<"$last"
  [ -n "$code" ] || case $exit,$open in
    *,*[1-9]*) code=0 ;;
    28,*) code=124 ;;
    *) code=${exit:-1} why=${why:-$message} ;;
  esac
}
url=$3
now
end=$((now + $1 * 100))
while now; [ "$now" -lt "$end" ]; do
  began=$now
  ports
  connect -m "$2" --local-port "$ports"
  [ "$code" != 45 ] || connect -m "$2"
  now
  printf '%s|%s|%s\n' "$code" "$(((now - began) * 10))" "${why//$'\r'/}" || exit 0
  sleep "$4"
done"#;

/// The command to run on a node, as words. It connects to `host:port` until it is stopped or its limit is over. It prints a line for each: exit code, milliseconds, reason.
pub fn command(host: &str, port: u16, pace: RequestPace) -> Vec<String> {
    let RequestPace { pause, patience, limit } = pace;
    // The loop ends by itself because an exec outlives a broken connection, and nobody could stop it then.
    let script = format!("{SHELL}{LOOP}");
    let seconds = |d: Duration| format!("{}", d.as_secs_f64());
    let limit = limit.as_secs().to_string();
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let (url, pause) = (format!("telnet://{shown}:{port}"), seconds(pause));
    ["bash", "-c", &script, "tcp", &limit, &seconds(patience), &url, &pause].map(str::to_owned).into()
}

fn sample(probe: &str, line: &str) -> Event {
    let mut parts = line.splitn(3, '|');
    let mut next = || parts.next().unwrap_or_default();
    let (code, took, why) = (next(), next(), next());
    let (outcome, detail) = match code {
        "0" => (Outcome::Acknowledged, "connected".to_owned()),
        // No connection was open in time.
        "124" => (Outcome::Indeterminate, "no connection in time".to_owned()),
        _ => (Outcome::Refused, format!("no connection: {why}")),
    };
    let took_ms = took.parse().unwrap_or_default();
    Event::Sampled { probe: probe.into(), outcome, took_ms, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_told_from_refusals() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap().port();
        // Nothing listens on port 1 of this host.
        for (port, expected) in [(open, Outcome::Acknowledged), (1, Outcome::Refused)] {
            let (patience, limit) = (Duration::from_secs(2), Duration::from_secs(4));
            let words = command("127.0.0.1", port, RequestPace { pause: PAUSE, patience, limit });
            let run = crate::exec::Exec::new(&words[0]).args(&words[1..]);
            let out = run.run(crate::deadline::Deadline::after(Duration::from_secs(20))).await.unwrap();
            let lines: Vec<&str> = out.stdout.lines().collect();
            assert!(lines.len() > 1, "{}", out.stdout);
            for line in lines {
                match sample("db/3306", line) {
                    Event::Sampled { probe, outcome, detail, .. } => {
                        assert_eq!((probe.as_str(), outcome), ("db/3306", expected), "{detail}");
                        let says = detail.ends_with("Connection refused") || outcome == Outcome::Acknowledged;
                        assert!(says, "{detail}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_connection_that_hangs_is_indeterminate() {
        let event = sample("p", "124|1000|");
        assert!(matches!(event, Event::Sampled { outcome: Outcome::Indeterminate, .. }), "{event:?}");
    }
}
