//! `seatrial doctor`: checks this machine and prints the command that fixes each problem.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use crate::chain::chain;
use crate::config::{Proxies, Settings};
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::exec::{Exec, ExecError};
use crate::hint::{Hint, lasting};

use crate::cli::args::DoctorArgs;
use crate::cli::exit::Exit;
use crate::cli::{exit, show};

/// The result of one check.
struct Finding {
    what: &'static str,
    state: Health,
    /// What the check found, or the problem.
    found: String,
    hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    /// The machine works, but may be slow or fail under load.
    Doubtful,
    Bad,
}

/// Disk space in bytes for images, clusters and builds together.
const DISK: u64 = 25 << 30;
/// Memory in bytes for three nodes under load.
const MEMORY: u64 = 6 << 30;

/// The version of kind that topologies, node images and the load balancer's files are made for. scripts/tools
/// installs it.
const KIND: &str = "0.33";

/// Shows the result of every check. Returns exit code 69 if a check found something missing.
pub async fn doctor(settings: &Settings, _args: &DoctorArgs) -> anyhow::Result<Exit> {
    let mut findings = engine(&settings.engine).await;
    findings.push(proxies(&settings.proxies));
    findings.push(docker().await);
    findings.push(kind(&settings.kind).await);
    findings.push(disk(&settings.cache, "disk for the cache"));
    findings.push(folder(&settings.state));
    findings.extend(inotify());
    findings.push(builder());
    let mut bad = false;
    for finding in &findings {
        let word = match finding.state {
            Health::Good => "ok     ",
            Health::Doubtful => "warning",
            Health::Bad => "missing",
        };
        bad |= finding.state == Health::Bad;
        show::text(&format!("{word}  {}: {}\n", finding.what, finding.found))?;
        if let Some(hint) = &finding.hint {
            show::text(&format!("         hint: {hint}\n"))?;
        }
    }
    Ok(if bad { Exit::Unavailable } else { Exit::Passed })
}

fn good(what: &'static str, found: impl Into<String>) -> Finding {
    Finding { what, state: Health::Good, found: found.into(), hint: None }
}

async fn engine(address: &str) -> Vec<Finding> {
    let what = "container engine";
    let facts = match Engine::connect(address).await {
        Ok(engine) => match engine.check_network().await {
            Ok(()) => engine.facts().await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => {
            let hint = exit::hint(&error).or_else(|| Some("make bootstrap".into()));
            return vec![Finding { what, state: Health::Bad, found: chain(&error), hint }];
        }
    };
    let mut findings = vec![good(
        what,
        format!(
            "{} {} at {address} on {}, {}, cgroup v{}",
            facts.product, facts.version, facts.os, facts.storage_driver, facts.cgroup_version
        ),
    )];
    let (gib, memory) = (facts.memory_bytes >> 30, facts.memory_bytes >= MEMORY);
    findings.push(Finding {
        what: "memory",
        state: if memory { Health::Good } else { Health::Doubtful },
        found: format!("{gib} GiB, {} cores", facts.cores),
        hint: (!memory).then(|| format!("three nodes need {} GiB", MEMORY >> 30)),
    });
    // The engine may run on another machine: check its folder only if the folder exists here.
    if Path::new(&facts.root_dir).is_dir() {
        findings.push(disk(Path::new(&facts.root_dir), "disk for the engine"));
    }
    if facts.rootless {
        findings.push(Finding {
            what: "rootless engine",
            state: Health::Doubtful,
            found: "kind needs cgroup delegation for a rootless engine".into(),
            hint: Some("see `rootless` in kind's documentation, and docs/support.md".into()),
        });
    }
    findings
}

/// Checks the proxy settings. kind passes them to nodes.
fn proxies(proxies: &Proxies) -> Finding {
    let what = "proxy for nodes";
    match proxies.check() {
        Ok(()) => good(what, proxies.to_string()),
        Err(error) => Finding { what, state: Health::Bad, found: chain(&error), hint: error.hint() },
    }
}

/// Checks the `docker` program. kind creates its containers with this program, not with the engine's API.
async fn docker() -> Finding {
    let what = "docker program";
    match said(Path::new("docker"), "--version").await {
        Ok(version) => good(what, version),
        Err(error) => Finding {
            what,
            state: Health::Bad,
            found: chain(&error),
            hint: Some("make bootstrap, or install the docker command line, which kind runs".into()),
        },
    }
}

async fn kind(program: &Path) -> Finding {
    let version = said(program, "version").await;
    let state = match &version {
        Ok(version) if version.starts_with(&format!("kind v{KIND}.")) => Health::Good,
        Ok(_) => Health::Doubtful,
        Err(_) => Health::Bad,
    };
    let found = match version {
        Ok(version) if state == Health::Doubtful => {
            format!("{version}; topologies and node images need kind {KIND}")
        }
        Ok(version) => version,
        Err(error) => chain(&error),
    };
    let hint = format!("scripts/tools, or set SEATRIAL_KIND to the path of kind {KIND}");
    Finding { what: "kind", state, found, hint: (state != Health::Good).then_some(hint) }
}

/// Returns the version text that a program prints.
async fn said(program: &Path, argument: &str) -> Result<String, ExecError> {
    let soon = Deadline::after(Duration::from_secs(10));
    let output = Exec::new(program).arg(argument).run(soon).await?;
    // Go's name for the machine, which the kernel and `uname` call x86_64.
    Ok(output.stdout.trim().replace("linux/amd64", "linux x86_64"))
}

fn disk(dir: &Path, what: &'static str) -> Finding {
    // A missing folder will be created on the disk of its nearest existing parent.
    let there = dir.ancestors().find(|d| d.is_dir()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let enough = free >= DISK;
            Finding {
                what,
                state: if enough { Health::Good } else { Health::Doubtful },
                found: format!("{} GiB free in {}", free >> 30, there.display()),
                hint: (!enough)
                    .then(|| format!("building all images and one cluster need up to {} GiB", DISK >> 30)),
            }
        }
        Err(error) => Finding { what, state: Health::Bad, found: chain(&error), hint: None },
    }
}

fn folder(state: &Path) -> Finding {
    let what = "state folder";
    // The state folder will hold credentials: only its owner may enter it.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state);
    let tried = made.and_then(|()| tempfile::tempfile_in(state).map(drop));
    match tried {
        Ok(()) => good(what, state.display().to_string()),
        Err(error) => Finding {
            what,
            state: Health::Bad,
            found: format!("{}: {}", state.display(), chain(&error)),
            hint: Some("set SEATRIAL_STATE to a writable folder".into()),
        },
    }
}

/// Checks the limits of inotify. Each node runs its own systemd and kubelet: three nodes use up the kernel's default
/// of 128 instances ("Known Issues, pod errors due to too many open files" in kind's documentation). scripts/engine
/// raises both limits to these values.
fn inotify() -> Vec<Finding> {
    let limits = [
        ("inotify instances", "max_user_instances", 1024),
        ("inotify watches", "max_user_watches", 1_048_576),
    ];
    let find = |(what, name, wanted): (&'static str, &str, u64)| {
        let file = format!("/proc/sys/fs/inotify/{name}");
        let limit: u64 = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
        let enough = limit >= wanted;
        let state = if enough { Health::Good } else { Health::Doubtful };
        let hint = (!enough).then(|| lasting(&[format!("fs.inotify.{name}={wanted}")]));
        Some(Finding { what, state, found: limit.to_string(), hint })
    };
    limits.into_iter().filter_map(find).collect()
}

/// Checks whether images can be built here. Builds are needed if no registry answers.
fn builder() -> Finding {
    let what = "builds without a registry";
    match crate::image::build::able() {
        Ok(()) => good(what, "Linux and root; `scripts/tools offline` installs the tools (Debian or Ubuntu)"),
        Err(error) => Finding {
            what,
            state: Health::Doubtful,
            found: chain(&error),
            hint: Some("needed only for the profile `offline`".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn kind_of_another_version_is_a_warning() {
        // `printf` prints its argument, which is not a version of kind.
        let found = kind(Path::new("printf")).await;
        assert!(found.state == Health::Doubtful && found.found.starts_with("version; "), "{}", found.found);
    }
}
