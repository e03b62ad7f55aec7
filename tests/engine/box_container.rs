//! Small containers for tests, from an image that is made of this machine's own programs: nothing
//! is pulled.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use bollard::models::{ContainerCreateBody, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::{CreateContainerOptions, CreateImageOptions};
use futures::TryStreamExt;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::exec::Exec;
use seatrial::node::OWNER_LABEL;

/// Raised when [`PROGRAMS`] change.
pub const IMAGE: &str = "seatrial-test-box:5";
const PROGRAMS: [&str; 23] = [
    "sh",
    "find",
    "sleep",
    "cat",
    "head",
    "ls",
    "mkdir",
    "mkfifo",
    "ln",
    "dd",
    "rm",
    "ps",
    "yes",
    "seq",
    "chown",
    "setsid",
    "sha256sum",
    "xargs",
    "true",
    "mv",
    "realpath",
    "rmdir",
    "stat",
];

/// What a test container is like.
#[derive(Clone, Copy)]
pub struct Like {
    /// Its first process.
    pub command: &'static str,
    /// Whether it carries the label of our node image.
    pub ours: bool,
}

/// Ends at once on SIGTERM.
pub const POLITE: Like = Like { command: "trap 'exit 7' TERM; sleep infinity & wait", ours: true };
/// Ignores SIGTERM: `docker stop` must kill it.
pub const STUBBORN: Like = Like { command: "trap '' TERM; while :; do sleep 1; done", ours: true };
/// Somebody else's.
pub const FOREIGN: Like = Like { command: POLITE.command, ours: false };

/// Runs `body` with a container of its own and removes it whatever becomes of the body.
pub async fn with_box<F>(like: Like, body: impl FnOnce(Engine, String) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    with_boxes([like], |engine, [name]| body(engine, name)).await
}

/// As [`with_box`], with several containers in a network of their own: nobody else takes addresses
/// there.
pub async fn with_boxes<const N: usize, F>(
    likes: [Like; N],
    body: impl FnOnce(Engine, [String; N]) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let engine = crate::engine().await?;
    let docker = bollard::Docker::connect_with_host(engine.host())?;
    import(&engine, &docker).await?;
    let test = COUNT.fetch_add(1, Ordering::Relaxed);
    let network = format!("seatrial-test-net-{}-{test}", std::process::id());
    let names: [String; N] =
        std::array::from_fn(|n| format!("seatrial-test-box-{}-{test}-{n}", std::process::id()));
    let request = NetworkCreateRequest { name: network.clone(), ..Default::default() };
    docker.create_network(request).await?;
    let made = make(&engine, &docker, &network, &likes, &names).await;
    let ended = match made {
        // A task of its own: a failed assertion must not keep the containers.
        Ok(()) => tokio::spawn(body(engine.clone(), names.clone())).await,
        Err(error) => Ok(Err(error)),
    };
    for name in &names {
        engine.remove(name).await?;
    }
    docker.remove_network(&network).await?;
    ended?
}

async fn make(
    engine: &Engine,
    docker: &bollard::Docker,
    network: &str,
    likes: &[Like],
    names: &[String],
) -> anyhow::Result<()> {
    for (like, name) in likes.iter().zip(names) {
        let labels = like.ours.then(|| HashMap::from([(OWNER_LABEL.to_owned(), "test".to_owned())]));
        let memory = ["/tmp", "/run"].map(|path| (path.to_owned(), String::new()));
        let host = HostConfig {
            tmpfs: Some(memory.into()),
            network_mode: Some(network.into()),
            ..Default::default()
        };
        let made = ContainerCreateBody {
            image: Some(IMAGE.into()),
            cmd: Some(vec!["/bin/sh".into(), "-c".into(), like.command.into()]),
            labels,
            volumes: Some(vec!["/var".into()]),
            host_config: Some(host),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        docker.create_container(Some(options), made).await?;
        engine.start(name).await?;
    }
    Ok(())
}

/// A deadline that is long enough for one call on a busy machine.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Makes sure that [`IMAGE`] is there.
pub async fn imported(engine: &Engine) -> anyhow::Result<()> {
    import(engine, &bollard::Docker::connect_with_host(engine.host())?).await
}

async fn import(engine: &Engine, docker: &bollard::Docker) -> anyhow::Result<()> {
    // One of the tests that start together imports; the tag moves without a trace otherwise.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    if engine.image(IMAGE).await?.is_some() {
        return Ok(());
    }
    let bytes = root(&PROGRAMS).await?.into_inner()?;
    let (repo, tag) = IMAGE.split_once(':').context("the image has a tag")?;
    let options = CreateImageOptions {
        from_src: Some("-".into()),
        repo: Some(repo.into()),
        tag: Some(tag.into()),
        ..Default::default()
    };
    let body = bollard::body_full(bytes.into());
    docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await?;
    Ok(())
}

/// A root file system with these programs of this machine and the libraries that they need.
pub async fn root(programs: &[&str]) -> anyhow::Result<tar::Builder<Vec<u8>>> {
    let mut archive = tar::Builder::new(Vec::new());
    for dir in ["tmp", "run", "mnt", "var/lib", "proc", "sys", "dev", "etc"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        archive.append_data(&mut header, dir, std::io::empty())?;
    }
    let mut libraries = BTreeSet::new();
    for program in programs {
        let path = which::which(program).with_context(|| format!("{program} is not installed"))?;
        libraries.extend(linked(&path).await?);
        archive.append_path_with_name(std::fs::canonicalize(&path)?, format!("bin/{program}"))?;
    }
    for library in libraries {
        let inside = library.strip_prefix("/")?.to_owned();
        archive.append_path_with_name(std::fs::canonicalize(&library)?, inside)?;
    }
    Ok(archive)
}

async fn linked(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let out = Exec::new("ldd").arg(program).run(soon()).await?.stdout;
    let words = out.split_whitespace().filter(|w| w.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}
