//! Sends HTTP requests to a Service continuously, from inside the cluster's own network.

use std::fmt::{Display, Write as _};
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

/// Asks until the limit over kept connections. curl keeps a connection from one URL to the next, and the fragment of a URL, which
/// makes many of it, is not sent. After a failed request, and after [`KEPT`], the next connection has other source ports.
const KEEP: &str = r#"url=$1 patience=$2 pause=$4 rate=$5
now
end=$((now + $3 * 100))
while now; [ "$now" -lt "$end" ]; do
  ports
  curl -s --fail-early --rate "$rate" -m "$patience" --local-port "$ports" -o /dev/null \
    -w '%{stderr}%{http_code}|%{exitcode}|%{time_total}|%header{server}|%{errormsg}\n' "$url" 2>&1 |
    while IFS= read -r line; do
      case $line in ???"|45|"*) ;; *) printf '%s\n' "$line" || exit 1 ;; esac
    done || exit 0
  sleep "$pause"
done"#;

/// The longest time that one connection is kept, in seconds.
const KEPT: u32 = 60;

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

/// As [`command_for`], over one connection that is kept as long as it answers, for a minute at most.
pub fn command_kept(host: &str, (port, path): (u16, &str), pace: RequestPace) -> Vec<String> {
    let RequestPace { pause, patience, limit } = pace;
    let script = format!("{SHELL}{KEEP}");
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let per_minute = (60_000 / pause.as_millis().max(1)).clamp(1, 60_000);
    let requests = per_minute * u128::from(KEPT) / 60;
    // curl reads brackets and braces as patterns.
    let mut url = String::from("http://");
    for letter in format!("{shown}:{port}{path}").chars() {
        url.extend("[]{}".contains(letter).then_some('\\'));
        url.push(letter);
    }
    let _ = write!(url, "#[1-{requests}]");
    let seconds = |d: Duration| format!("{}", d.as_secs_f64());
    let (limit, rate) = (limit.as_secs().to_string(), format!("{per_minute}/m"));
    let words = ["sh", "-c", &script, "http-kept", &url, &seconds(patience), &limit, &seconds(pause), &rate];
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

    /// A server that answers `answers` requests on each connection and then closes it; tells the number of the connection of each
    /// request, with its path.
    fn server(answers: usize) -> (u16, std::sync::mpsc::Receiver<(usize, String)>) {
        use std::io::{BufRead as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, (sender, asked)) = (listener.local_addr().unwrap().port(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            for (number, mut client) in listener.incoming().filter_map(Result::ok).enumerate() {
                let mut lines = std::io::BufReader::new(client.try_clone().unwrap()).lines();
                for _ in 0..answers {
                    let Some(Ok(first)) = lines.next() else { break };
                    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    sender.send((number, first.split(' ').nth(1).unwrap().to_owned())).unwrap();
                    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\nok").unwrap();
                }
            }
        });
        (port, asked)
    }

    async fn ask(words: &[String]) -> Vec<String> {
        let run = crate::exec::Exec::new(&words[0]).args(&words[1..]);
        let out = run.run(crate::deadline::Deadline::after(Duration::from_secs(30))).await.unwrap();
        out.stdout.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_kept_connection_is_kept_until_its_server_closes_it() {
        let (port, asked) = server(4);
        let (pause, patience) = (Duration::from_millis(100), Duration::from_secs(1));
        let pace = RequestPace { pause, patience, limit: Duration::from_secs(3) };
        let mut words = command_kept("127.0.0.1", (port, "/a[1]{b}"), pace);
        words[4] = words[4].replace("#[1-600]", "#[1-10]");
        let lines = ask(&words).await;
        assert!(lines.len() >= 10, "{lines:?}");
        assert!(
            lines.iter().all(|line| outcome(line) == (Outcome::Acknowledged, "200 x".into())),
            "{lines:?}"
        );
        let asked: Vec<(usize, String)> = asked.try_iter().collect();
        assert!(asked.iter().all(|(_, path)| path == "/a[1]{b}"), "{asked:?}");
        let connections: Vec<usize> = asked.iter().map(|(number, _)| *number).take(9).collect();
        assert_eq!(connections, [0, 0, 0, 0, 1, 1, 1, 1, 2]);
    }

    #[tokio::test]
    async fn a_failed_request_gets_another_connection_from_another_port() {
        // Nothing listens on port 1 of this host.
        let pace = RequestPace {
            pause: Duration::from_millis(100),
            patience: Duration::from_secs(1),
            limit: Duration::from_secs(3),
        };
        let lines = ask(&command_kept("127.0.0.1", (1, "/"), pace)).await;
        assert!(lines.len() > 3 && lines.iter().all(|line| outcome(line).0 == Outcome::Refused), "{lines:?}");
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
