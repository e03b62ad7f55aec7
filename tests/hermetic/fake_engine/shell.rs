//! What commands in the fake's containers do: scripts of faults, recognised by their last word; `kubectl --raw` on
//! the fake's objects; an API server that says whether it is ready.

use base64::Engine as _;
use serde_json::{Value, json};

use super::state::{Answer, State};

/// Exit code, standard output, standard error.
type Done = (i64, String, String);

pub fn run(state: &mut State, container: &str, words: &[String], input: &[u8]) -> Done {
    let last = words.last().map(String::as_str).unwrap_or_default();
    if words.iter().any(|w| w == "kubectl") {
        return kubectl(state, words, last, input);
    }
    // Commands without input run under a supervisor, which puts four words before them.
    let own = words.get(if words[0] == "/bin/sh" { 4.. } else { 0.. }).unwrap_or_default();
    if let (Some(disk), Some("sh" | "head")) =
        (&state.containers[container].disk, own.first().map(String::as_str))
    {
        return really(disk, own);
    }
    // A node without images.
    if own.first().is_some_and(|w| w == "ctr") {
        return said("");
    }
    if own.first().is_some_and(|w| w == "head") {
        return match state.containers[container].files.get(last) {
            Some(text) => said(text),
            None => (1, String::new(), format!("head: cannot open '{last}': No such file or directory")),
        };
    }
    match last.split_once(':') {
        Some(("slow-cpu", _)) => {
            let container = &state.containers[container];
            let held_back = container.quota > 0 || container.held_back;
            let limit = if held_back { "20000" } else { "none" };
            let periods = i32::from(held_back) * 9;
            said(&format!("broken={held_back}\nthrottled_periods={periods}\nlimit={limit}\n"))
        }
        None if last == "true" => said(""),
        Some(("kill-container", "inject")) => kill(state, words),
        _ if last.ends_with("/readyz") => {
            said(if state.containers[container].serves { "ok" } else { "etcd failed" })
        }
        Some((fault, verb @ ("look" | "inject" | "clear"))) => script(state, container, fault, verb),
        _ => (127, String::new(), "not found".into()),
    }
}

/// Runs the command here, with the disk's folder before each `/mnt`. A file `mountinfo` in that folder stands for
/// the kernel's.
#[expect(clippy::disallowed_methods, reason = "the fake answers while it holds its lock")]
fn really(disk: &std::path::Path, words: &[String]) -> Done {
    let mounts = disk.join("mountinfo");
    let disk = disk.display().to_string();
    let mounts = if mounts.exists() { format!("{disk}/mountinfo") } else { "/proc/self/mountinfo".into() };
    let there =
        |word: &String| word.replace("/mnt", &format!("{disk}/mnt")).replace("/proc/self/mountinfo", &mounts);
    let done = std::process::Command::new(&words[0]).args(words[1..].iter().map(there)).output();
    let done = done.expect("a shell is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&disk, "");
    (done.status.code().unwrap_or(137).into(), text(&done.stdout), text(&done.stderr))
}

/// The content of a path on the disk, as Docker streams it, and the metadata of the path.
pub fn archive(disk: &std::path::Path, target: &str) -> Option<Answer> {
    let path = target.split_once("path=")?.1.split('&').next()?;
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let at = disk.join(path.trim_matches('/'));
    let name = at.file_name()?.to_string_lossy().into_owned();
    let folder = at.metadata().ok()?.is_dir();
    let mode = 0o755 | u32::from(folder) << 31;
    let stat = json!({ "name": name, "size": 0, "mode": mode, "mtime": null, "linkTarget": "" });
    let stat = base64::engine::general_purpose::STANDARD.encode(stat.to_string());
    let mut tar = tar::Builder::new(Vec::new());
    if folder {
        tar.append_dir_all(&name, &at).expect("it can be read");
    } else {
        // As a shell prints it.
        let text = std::fs::read_to_string(&at).expect("it can be read");
        let text = text.replace(&disk.display().to_string(), "");
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, &name, text.as_bytes()).expect("it fits");
    }
    let body = tar.into_inner().expect("it is whole");
    let headers = format!("X-Docker-Container-Path-Stat: {stat}\r\n");
    Some(Answer { headers, body, ..Answer::status(200, "") })
}

fn said(text: &str) -> Done {
    (0, text.into(), String::new())
}

fn script(state: &mut State, container: &str, fault: &str, verb: &str) -> Done {
    let broken = &mut state.containers.get_mut(container).expect("it runs there").broken;
    match verb {
        "inject" => _ = broken.insert(fault.into()),
        "clear" => _ = broken.remove(fault),
        _ => {}
    }
    let is = broken.contains(fault);
    if fault == "fill-disk" {
        let node = state.objects.entry(format!("/api/v1/nodes/{container}")).or_default();
        let status = if is { "True" } else { "False" };
        node["status"]["conditions"] = json!([{ "type": "DiskPressure", "status": status }]);
    }
    said(&format!("broken={is}\nfree_bytes={}\n", 40_u64 << 30))
}

/// The container of the pod ends with 137, and the kubelet starts another.
fn kill(state: &mut State, words: &[String]) -> Done {
    let [.., uid, _, _] = words else { return (65, String::new(), "too few words".into()) };
    let mut pods = state.objects.iter_mut().filter(|(path, _)| path.contains("/pods/"));
    let Some((_, object)) = pods.find(|(_, pod)| pod["metadata"]["uid"] == uid.as_str()) else {
        return (65, String::new(), "no container of it runs there".into());
    };
    object["status"]["containerStatuses"] = json!([{
        "name": "c", "restartCount": 1,
        "lastState": { "terminated": { "containerID": "containerd://c1", "exitCode": 137 } },
    }]);
    said("container_id=c1\npid=77\n")
}

fn kubectl(state: &mut State, words: &[String], path: &str, input: &[u8]) -> Done {
    let missing = || (1, String::new(), format!("Error from server (NotFound): {path} not found"));
    let verb = ["get", "replace", "delete"].into_iter().find(|v| words.iter().any(|w| w == v));
    let body: Value = serde_json::from_slice(input).unwrap_or_default();
    let Some(object) = state.objects.get_mut(path) else { return missing() };
    match verb {
        Some("replace") if state.conflicts > 0 => {
            state.conflicts -= 1;
            return (1, String::new(), "Error from server (Conflict): the object has been modified".into());
        }
        Some("replace") => *object = body,
        Some("delete") if object["metadata"]["uid"] != body["preconditions"]["uid"] => {
            return (1, String::new(), "Error from server (Conflict): the UID differs".into());
        }
        Some("delete") if body["gracePeriodSeconds"] == 0 => {
            state.objects.remove(path);
            return said("{}");
        }
        Some("delete") => object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
        _ => {}
    }
    said(&object.to_string())
}
