//! As much HTTP/1.1 as the client uses: one request a connection.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::state::{Answer, State};
use super::{Trouble, pause};

const UPGRADED: &str = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

pub async fn serve(mut stream: UnixStream, state: Arc<Mutex<State>>) {
    let Some((line, mut body)) = request(&mut stream).await else { return };
    let reads = state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).reads(&line);
    if reads {
        let _ = stream.write_all(UPGRADED.as_bytes()).await;
        body.clear();
        // Ends when the client has sent everything.
        let _ = stream.read_to_end(&mut body).await;
    }
    let (trouble, answer) = {
        let mut state = state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.requests.push(line.clone());
        let at = state.troubles.iter().position(|(part, _)| line.contains(part));
        let trouble = at.map(|at| state.troubles.remove(at).1);
        let skipped = matches!(trouble, Some(Trouble::Status(..) | Trouble::Reset | Trouble::Hang));
        let answer = if skipped { Answer::status(200, "") } else { state.answer(&line, &body) };
        (trouble, answer)
    };
    let answer = match trouble {
        None => answer,
        Some(Trouble::Slow(time)) => {
            pause(time).await;
            answer
        }
        Some(Trouble::Status(code, message) | Trouble::DoneBut(code, message)) => {
            Answer::status(code, message)
        }
        Some(Trouble::Garbage) => Answer { body: b"<html>".to_vec(), ..answer },
        Some(Trouble::Hang) => return std::future::pending().await,
        Some(Trouble::Reset | Trouble::DoneButReset) => return,
        Some(Trouble::Cut) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.body.len() + 9);
            let _ = stream.write_all(&[head.as_bytes(), &answer.body].concat()).await;
            return;
        }
    };
    let Answer { code, headers, body, upgrade } = answer;
    let head = if reads {
        String::new()
    } else if upgrade {
        UPGRADED.to_owned()
    } else {
        let length = body.len();
        format!("HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n")
    };
    let sent = if line.starts_with("HEAD") { &[][..] } else { &body };
    // A client that disconnected needs no answer.
    let _ = stream.write_all(&[head.as_bytes(), sent].concat()).await;
    let _ = stream.shutdown().await;
}

/// `METHOD /path?query`, without the API version, and the body.
async fn request(stream: &mut UnixStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|l| {
        let (key, value) = l.split_once(':')?;
        key.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while bytes.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut words = head.split_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    let target = target.strip_prefix("/v1.").map_or(target, |rest| &rest[rest.find('/').unwrap_or(0)..]);
    Some((format!("{method} {target}"), bytes[end..].to_vec()))
}
