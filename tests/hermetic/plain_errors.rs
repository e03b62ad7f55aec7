//! Errors of real clients over real sockets, in words for people.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use seatrial::chain::chain;
use seatrial::client::{ApiError, Client};
use seatrial::engine::Engine;

use crate::cli::Home;

/// Names of libraries and types that no message for a person contains.
const THEIRS: [&str; 12] = [
    "hyper",
    "client error",
    "os error",
    "legacy",
    "ServiceError",
    "tcp connect",
    "Error {",
    "Kind(",
    "tower",
    "bollard",
    "kube::",
    "reqwest",
];

fn assert_plain(text: &str, says: &str) {
    let found: Vec<&&str> = THEIRS.iter().filter(|word| text.contains(**word)).collect();
    assert!(found.is_empty(), "{found:?} in: {text}");
    assert!(text.contains(says), "`{says}` is missing: {text}");
    assert!(!text.contains(": : ") && !text.ends_with(": "), "{text}");
}

/// Accepts connections, reads the beginning of the request, sends `answer` and closes. Ends with the test's process.
fn server(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        }
    });
    port
}

fn kubeconfig(server: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    std::fs::write(file.path(), text).expect("a file");
    file
}

#[tokio::test]
async fn errors_of_the_api_are_plain() {
    let closes = server(b"");
    let garbage = server(b"SSH-2.0-x\r\n");
    for (url, says) in [
        ("http://127.0.0.1:1".to_owned(), "Connection refused: nothing listens there"),
        (format!("http://127.0.0.1:{closes}"), "the connection was closed before the answer"),
        (format!("http://127.0.0.1:{garbage}"), "the answer is not HTTP"),
        (format!("https://127.0.0.1:{garbage}"), "the server does not speak TLS"),
    ] {
        let file = kubeconfig(&url);
        let client = Client::from_kubeconfig(file.path()).await.expect("a client");
        let error = client.unary.apiserver_version().await.expect_err("there is no API");
        assert_plain(&chain(&error), says);
        assert_plain(&ApiError::from(error).text, says);
    }
}

#[tokio::test]
async fn errors_of_the_engine_are_plain() {
    let home = tempfile::tempdir().expect("a folder");
    let socket = |name: &str| format!("unix://{}", home.path().join(name).display());
    // Bound, then closed: the file stays, and nobody listens.
    drop(UnixListener::bind(home.path().join("dead.sock")).expect("a socket"));
    let closes = server(b"");
    for (host, says) in [
        (socket("none.sock"), "the socket does not exist: /"),
        (socket("dead.sock"), "Connection refused: nothing listens there"),
        ("tcp://127.0.0.1:1".to_owned(), "Connection refused: nothing listens there"),
        (format!("tcp://127.0.0.1:{closes}"), "the connection was closed before the answer"),
    ] {
        let error = Engine::connect(&host).await.expect_err("there is no engine");
        assert_plain(&chain(&error), says);
        assert!(chain(&error).starts_with(&format!("failed to reach a container engine at {host}: ")));
    }
}

#[tokio::test]
async fn the_command_line_says_what_to_do_about_a_dead_engine() {
    let home = Home::new();
    let dead = "tcp://127.0.0.1:1";
    for args in [&["list"][..], &["up"], &["doctor"]] {
        let ended = home.with_engine(dead, args).await;
        let said = format!("{}{}", ended.out, ended.err);
        assert_eq!(ended.code, 69, "{said}");
        assert_plain(&said, "Connection refused: nothing listens there");
        assert!(said.contains(&format!("hint: unset DOCKER_HOST, or start the engine at {dead}")), "{said}");
    }
}
