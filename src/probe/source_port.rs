//! The source ports of the connections that a probe opens from a node.
//!
//! A connection to a Service's address keeps its pod for as long as the kernel remembers it: 120 s without an answer
//! (Documentation/networking/nf_conntrack-sysctl.rst). Every 10 s the kernel chooses source ports from another place, at random. A
//! later connection may get the port of one that met a lost pod, and is then led to that pod, which is long gone.

/// Functions for a script of `sh`: `now` sets `now` to the hundredths of a second since the machine started, and `ports`
/// sets `ports` to the source ports for a connection that begins `now`, such as `40000-40009`, for curl's `--local-port`.
/// The same ports come again after more than 200 s. If each of them is taken, curl ends with 45.
pub const SHELL: &str = r#"now() { read -r up _ </proc/uptime; now=$((${up%.*} * 100 + 1${up#*.} - 100)); }
read -r lowest highest 2>/dev/null </proc/sys/net/ipv4/ip_local_port_range || { lowest=32768 highest=60999; }
ports() { from=$((lowest + now % (highest - lowest - 9))) ports=$from-$((from + 9)); }
"#;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use crate::deadline::Deadline;
    use crate::exec::Exec;
    use crate::probe::{RequestPace, http, tcp};

    /// A server that closes each connection at once and tells the client's port.
    fn server() -> (u16, Receiver<u16>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, (sender, clients)) = (listener.local_addr().unwrap().port(), channel());
        std::thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                sender.send(client.peer_addr().unwrap().port()).unwrap();
            }
        });
        (port, clients)
    }

    fn commands(port: u16) -> [Vec<String>; 2] {
        let (pause, patience) = (Duration::from_millis(100), Duration::from_secs(1));
        let pace = RequestPace { pause, patience, limit: Duration::from_secs(3) };
        let http = http::command_for("127.0.0.1", (port, "/"), pace);
        [http, tcp::command("127.0.0.1", port, pace)]
    }

    async fn run(words: &[String]) -> String {
        let run = Exec::new(&words[0]).args(&words[1..]);
        run.run(Deadline::after(Duration::from_secs(60))).await.unwrap().stdout
    }

    #[tokio::test]
    async fn no_connection_gets_the_source_port_of_one_shortly_before() {
        let (port, clients) = server();
        for words in commands(port) {
            run(&words).await;
            let ports: Vec<u16> = clients.try_iter().collect();
            assert!(ports.len() > 3, "{ports:?}");
            for pair in ports.windows(2) {
                // The next ports lie above, or at the begin of the range again.
                assert!(pair[1] >= pair[0] + 10 || pair[1] + 1000 < pair[0], "{}: {ports:?}", words[0]);
            }
        }
    }

    #[tokio::test]
    async fn a_connection_whose_ports_are_taken_gets_one_of_the_kernel() {
        let (port, clients) = server();
        let taken = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let own = taken.local_addr().unwrap().port();
        for mut words in commands(port) {
            assert!(words[2].contains("ports=$from-$((from + 9))"));
            words[2] = words[2].replace("ports=$from-$((from + 9))", &format!("ports={own}"));
            let lines = run(&words).await;
            assert!(lines.lines().count() > 3 && !lines.contains("|45|"), "{lines}");
            assert!(clients.try_iter().count() > 3, "{}: {lines}", words[0]);
        }
    }
}
