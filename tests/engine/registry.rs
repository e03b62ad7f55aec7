//! Profiles whose images are pulled, against a real registry on this machine, sound and broken.
//!
//! The registry is distribution's own, built from its Go module once a target folder.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{FutureExt as _, TryStreamExt as _};
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::exec::Exec;
use seatrial::hint::Hint;
use seatrial::image::profile::{Pulled, Source};
use seatrial::image::registry::{self, Patience, Puller};
use seatrial::image::{BUILT_FROM_LABEL, ImageError, ImageSet, Profile, Trouble};
use seatrial::node::OWNER_LABEL;
use seatrial::progress::Progress;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

const DISTRIBUTION: &str = "3.1.2";
const IMAGES: [&str; 4] = ["node:v1.34.4", "nginx:old", "nginx:new", "mysql:8"];
/// As long as a test has: a machine under load takes seconds to begin a pull.
const PATIENT: Patience = Patience { answer: Duration::from_secs(60), quiet: Duration::from_secs(60) };
/// For registries that never answer.
const IMPATIENT: Patience = Patience { answer: Duration::from_secs(5), quiet: Duration::from_secs(2) };

pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A running registry, an engine, and what was put into both.
pub struct Port {
    pub engine: Engine,
    pub address: String,
    pub server: AbortHandle,
    digests: Vec<String>,
    /// In the engine, to be removed.
    pub references: Mutex<Vec<String>>,
    _storage: tempfile::TempDir,
}

/// Runs `test` with a registry that has the four images, none of which is in the engine.
pub async fn with_registry(test: impl AsyncFnOnce(&Port)) {
    let port = Port::open().await;
    let ended = std::panic::AssertUnwindSafe(test(&port)).catch_unwind().await;
    let references = std::mem::take(&mut *port.references.lock().unwrap());
    for reference in references {
        let _ = port.engine.remove_image(&reference).await;
    }
    port.server.abort();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

impl Port {
    async fn open() -> Self {
        let engine = crate::engine().await.unwrap();
        let storage = tempfile::tempdir().unwrap();
        let (address, server) = serve(&program().await, storage.path()).await;
        let mut port = Self {
            engine,
            address,
            server,
            digests: Vec::new(),
            references: Mutex::default(),
            _storage: storage,
        };
        for image in IMAGES {
            let digest = port.push(image, 64 << 10).await;
            port.digests.push(digest);
        }
        port
    }

    /// Makes an image of `size` random bytes, pushes it and forgets it: its digest.
    async fn push(&self, image: &str, size: usize) -> String {
        let mut random = vec![0; size];
        std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let mut layer = tar::Builder::new(Vec::new());
        append(&mut layer, "file", &random);
        self.push_layer(image, &layer.into_inner().unwrap(), &[]).await
    }

    /// Pushes an image of one layer with these variables, and forgets it: its digest.
    pub async fn push_layer(&self, image: &str, layer: &[u8], env: &[&str]) -> String {
        let reference = format!("{}/seatrial-test/{image}", self.address);
        let archive = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(archive.path(), docker_archive(&[&reference], layer, env)).unwrap();
        self.engine.load(archive.path(), soon()).await.unwrap();
        let (repository, tag) = reference.rsplit_once(':').unwrap();
        let docker = bollard::Docker::connect_with_host(self.engine.host()).unwrap();
        let options = bollard::query_parameters::PushImageOptionsBuilder::default().tag(tag).build();
        let _: Vec<_> = docker.push_image(repository, Some(options), None).try_collect().await.unwrap();
        self.engine.remove_image(&reference).await.unwrap();
        self.digest_of(image).await
    }

    /// The digest of an image that was pushed.
    pub async fn digest_of(&self, image: &str) -> String {
        let image = format!("seatrial-test/{image}");
        registry::ask(&self.address, &image, &self.engine, PATIENT).await.unwrap()
    }

    /// A profile of this registry's images with these digests, reached by `address`.
    fn profile(&self, address: &str, digests: &[String]) -> Profile {
        let pin = |i: usize| {
            let digest = digests[i].as_str();
            let digest = if digest.is_empty() { String::new() } else { format!("digest = {digest:?}") };
            format!("image = \"seatrial-test/{}\"\n{digest}", IMAGES[i])
        };
        let text = format!(
            "name = \"test\"\nabout = \"\"\nregistry = \"{address}\"\n[defaults]\nkubernetes = \"1.34.4\"\n\
             [[kubernetes]]\nversion = \"1.34.4\"\n{}\n\
             [workload.nginx-old]\nversion = \"1\"\nstands-for = \"nginx:1.7.9\"\n{}\n\
             [workload.nginx-new]\nversion = \"2\"\nstands-for = \"nginx:1.9.1\"\n{}\n\
             [workload.mysql]\nversion = \"8\"\nstands-for = \"mysql:5.6\"\n{}\n",
            pin(0),
            pin(1),
            pin(2),
            pin(3)
        );
        let profile = Profile::parse("test.toml", &text).unwrap();
        let mut ours = self.references.lock().unwrap();
        for (i, image) in IMAGES.iter().enumerate() {
            ours.push(own_name(image, &digests[i]));
            ours.push(format!("{address}/seatrial-test/{image}@{}", digests[i]));
        }
        profile
    }

    async fn provide(&self, profile: &Profile, patience: Patience) -> Result<ImageSet, ImageError> {
        let silent = Progress::silent();
        let puller = Puller { engine: &self.engine, patience, deadline: soon(), progress: &silent };
        puller.provide(profile, pulled(profile), "1.34.4").await
    }

    /// Provides the images and expects it to fail, with nothing left of the image that failed.
    async fn trouble(&self, address: &str, digests: &[String], patience: Patience) -> (Trouble, String) {
        let profile = self.profile(address, digests);
        let error = self.provide(&profile, patience).await.unwrap_err();
        let text = error.to_string();
        let ImageError::Pull { image, registry, trouble, .. } = &error else { panic!("{error:?}") };
        assert_eq!(registry, address);
        assert!(text.contains(image.as_str()) && text.contains(address), "{text}");
        assert!(error.hint().is_some_and(|h| !h.is_empty()));
        let failed = IMAGES.iter().position(|i| image.contains(i)).unwrap();
        if !digests[failed].is_empty() {
            let own = own_name(IMAGES[failed], &digests[failed]);
            assert_eq!(self.engine.image(&own).await.unwrap(), None, "something was made of it");
        }
        (trouble.clone(), text)
    }
}

fn pulled(profile: &Profile) -> &Pulled {
    match &profile.source {
        Source::Registry(pulled) => pulled,
        Source::Recipes(_) => panic!("not a registry profile"),
    }
}

pub fn own_name(image: &str, digest: &str) -> String {
    let short: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
    format!("seatrial.local/seatrial-test/{image}-{short}")
}

/// The registry program, built if this target folder has none.
async fn program() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("distribution-{DISTRIBUTION}"));
    std::fs::create_dir_all(&dir).unwrap();
    let lock = std::fs::File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let program = dir.join("registry");
    if !program.exists() {
        let module = format!("github.com/distribution/distribution/v3/cmd/registry@v{DISTRIBUTION}");
        let built = Exec::new("go")
            .args(["install", &module])
            .env("GOBIN", &dir)
            .run(Deadline::after(Duration::from_secs(900)))
            .await;
        built.unwrap_or_else(|e| {
            panic!(
                "this test needs a registry: {e:?}; install Go, then: GOBIN={} go install {module}",
                dir.display()
            )
        });
    }
    program
}

/// Starts it on a free port; it dies with the task.
async fn serve(program: &Path, storage: &Path) -> (String, AbortHandle) {
    let config = storage.join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
         http: {{addr: 127.0.0.1:0}}\n",
        storage.join("data").display()
    );
    std::fs::write(&config, text).unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = Exec::new(program).arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
    let task = tokio::spawn(async move {
        let day = Deadline::after(Duration::from_secs(86400));
        let ended = server
            .run_with(day, |line| {
                if let Some((_, rest)) = line.split_once("listening on 127.0.0.1:") {
                    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    let _ = tell.send(port);
                }
            })
            .await;
        panic!("the registry ended: {ended:?}");
    });
    let port = soon().bound(told.recv()).await.expect("the registry starts").expect("it says its port");
    (format!("127.0.0.1:{port}"), task.abort_handle())
}

/// One image of one layer, as `docker save` writes it.
pub fn docker_archive(references: &[&str], layer: &[u8], env: &[&str]) -> Vec<u8> {
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {"Env": env},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex(layer))]},
    });
    let config = config.to_string();
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": references, "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "manifest.json", manifest.to_string().as_bytes());
    append(&mut archive, "config.json", config.as_bytes());
    append(&mut archive, "layer.tar", layer);
    archive.into_inner().unwrap()
}

pub fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(if bytes.starts_with(b"#!") { 0o755 } else { 0o644 });
    header.set_cksum();
    archive.append_data(&mut header, name, bytes).unwrap();
}

/// Stands before the registry and changes what it sends.
#[derive(Clone, Copy)]
enum Fault {
    /// So many bytes a connection, then silence.
    Silent(usize),
    /// Manifests stay valid but become other bytes.
    Altered,
}

async fn proxy(to: &str, fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let to = Arc::<str>::from(to);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, to.clone(), fault));
        }
    });
    address
}

async fn pass(client: TcpStream, to: Arc<str>, fault: Fault) {
    let server = TcpStream::connect(&*to).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut sent = 0;
    let mut bytes = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from_server.read(&mut bytes).await {
        let mut piece = bytes[..n].to_vec();
        match fault {
            Fault::Silent(limit) if sent + n > limit => std::future::pending().await,
            Fault::Silent(_) => {}
            Fault::Altered => {
                let (from, to) = (br#""schemaVersion": 2"#, br#""schemaVersion":2 "#);
                if let Some(at) = piece.windows(from.len()).position(|w| w == from) {
                    piece[at..at + to.len()].copy_from_slice(to);
                }
            }
        }
        sent += n;
        if to_client.write_all(&piece).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn images_are_pulled_by_digest_once_and_carry_labels() {
    with_registry(async |port| {
        let profile = port.profile(&port.address, &port.digests);
        assert!(!registry::present(pulled(&profile), "1.34.4", &port.engine).await.unwrap());
        let set = port.provide(&profile, PATIENT).await.unwrap();
        assert_eq!((set.node.id.as_str(), set.node.baked), (port.digests[0].as_str(), false));
        assert_eq!(set.node.reference, own_name(IMAGES[0], &port.digests[0]));
        assert_eq!(set.substitutions()["mysql:5.6"], own_name(IMAGES[3], &port.digests[3]));
        let node = port.engine.image(&set.node.reference).await.unwrap().unwrap();
        assert_eq!(node.labels[OWNER_LABEL], port.digests[0]);
        let nginx = &set.workloads["nginx-old"];
        let image = port.engine.image(&nginx.reference).await.unwrap().unwrap();
        assert_eq!(image.labels[BUILT_FROM_LABEL], nginx.built_from);
        assert!(!image.labels.contains_key(OWNER_LABEL));
        assert_eq!(
            nginx.built_from,
            format!("{}/seatrial-test/{}@{}", port.address, IMAGES[1], port.digests[1])
        );

        port.server.abort();
        assert!(registry::present(pulled(&profile), "1.34.4", &port.engine).await.unwrap());
        assert_eq!(port.provide(&profile, PATIENT).await.unwrap(), set);
    })
    .await;
}

#[tokio::test]
async fn a_tag_without_a_digest_is_followed_and_its_digest_recorded() {
    with_registry(async |port| {
        let profile = port.profile(&port.address, &[const { String::new() }; 4]);
        let set = port.provide(&profile, PATIENT).await.unwrap();
        let mut ours = port.references.lock().unwrap();
        ours.extend(set.workloads.values().flat_map(|w| [w.reference.clone(), w.built_from.clone()]));
        ours.extend([set.node.reference, set.node.built_from]);
        assert_eq!(set.node.id, port.digests[0]);
        assert!(set.workloads["mysql"].built_from.ends_with(&port.digests[3]));
    })
    .await;
}

#[tokio::test]
async fn a_tag_that_moved_does_not_disturb_while_the_digest_is_there() {
    with_registry(async |port| {
        let now = port.push(IMAGES[3], 1000).await;
        assert_ne!(now, port.digests[3]);
        let set = port.provide(&port.profile(&port.address, &port.digests), PATIENT).await.unwrap();
        assert!(set.workloads["mysql"].built_from.ends_with(&port.digests[3]));
    })
    .await;
}

#[tokio::test]
async fn a_digest_that_is_gone_is_told_from_an_image_that_never_was() {
    with_registry(async |port| {
        let mut digests = port.digests.clone();
        digests[3] = format!("sha256:{}", "ab".repeat(32));
        let (trouble, text) = port.trouble(&port.address, &digests, PATIENT).await;
        assert_eq!(trouble, Trouble::Changed { now: port.digests[3].clone() });
        assert!(text.contains(&port.digests[3]), "{text}");

        let error = registry::ask(&port.address, "seatrial-test/none:1", &port.engine, PATIENT).await;
        let error = error.unwrap_err();
        assert!(matches!(error, ImageError::Pull { trouble: Trouble::Missing, .. }), "{error:?}");
        let profile = port.profile(&port.address, &digests);
        let Source::Registry(mut none) = profile.source.clone() else { unreachable!() };
        none.nodes[0].image = "seatrial-test/node:v0".into();
        none.nodes[0].digest = Some(digests[3].clone());
        let silent = Progress::silent();
        let puller = Puller { engine: &port.engine, patience: PATIENT, deadline: soon(), progress: &silent };
        let provided = puller.provide(&profile, &none, "1.34.4").await;
        let error = provided.unwrap_err();
        assert!(
            matches!(error, ImageError::Pull { trouble: Trouble::Missing | Trouble::Changed { .. }, .. }),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_refuses_connections_is_unreachable() {
    with_registry(async |port| {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let (trouble, _) = port.trouble(&closed, &port.digests, PATIENT).await;
        assert_eq!(trouble, Trouble::Unreachable);
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_given_up() {
    with_registry(async |port| {
        let silent = proxy(&port.address, Fault::Silent(0)).await;
        let began = std::time::Instant::now();
        let (trouble, _) = port.trouble(&silent, &port.digests, IMPATIENT).await;
        assert!(matches!(trouble, Trouble::Slow { .. }), "{trouble:?}");
        assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
        let error = registry::ask(&silent, "seatrial-test/node:v1.34.4", &port.engine, IMPATIENT).await;
        assert!(matches!(error, Err(ImageError::Pull { trouble: Trouble::Slow { .. }, .. })), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_pull_that_stalls_half_way_is_given_up_and_nothing_of_it_is_used() {
    with_registry(async |port| {
        let mut digests = port.digests.clone();
        digests[3] = port.push(IMAGES[3], 8 << 20).await;
        let stalling = proxy(&port.address, Fault::Silent(1 << 20)).await;
        let (trouble, _) = port.trouble(&stalling, &digests, IMPATIENT).await;
        assert!(matches!(trouble, Trouble::Slow { .. }), "{trouble:?}");
        // The same engine, the registry itself: the pull begins anew and ends well.
        port.provide(&port.profile(&port.address, &digests), PATIENT).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn altered_content_is_refused() {
    with_registry(async |port| {
        let altered = proxy(&port.address, Fault::Altered).await;
        let (trouble, text) = port.trouble(&altered, &port.digests, PATIENT).await;
        assert_eq!(trouble, Trouble::Corrupt, "{text}");
    })
    .await;
}

/// nginx:1.7.9 and its age: the registry still has it, engines no longer read it.
#[tokio::test]
async fn the_old_manifest_format_is_named() {
    with_registry(async |port| {
        let body = old_manifest();
        let digest = format!(
            "sha256:{}",
            Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect::<String>()
        );
        let old = old_registry(body, digest.clone()).await;
        let (trouble, text) =
            port.trouble(&old, &[const { String::new() }; 4].map(|_| digest.clone()), PATIENT).await;
        assert_eq!(trouble, Trouble::Schema1, "{text}");
    })
    .await;
}

fn old_manifest() -> Vec<u8> {
    let mut body = Vec::new();
    let _ = write!(
        body,
        r#"{{"schemaVersion": 1, "name": "seatrial-test/node", "tag": "v1.34.4", "architecture": "amd64", "fsLayers": [{{"blobSum": "sha256:{0}"}}], "history": [{{"v1Compatibility": "{{\"id\":\"{0}\"}}"}}]}}"#,
        "a3".repeat(32)
    );
    body
}

async fn old_registry(body: Vec<u8>, digest: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = move |uri: axum::http::Uri| {
        let (body, digest) = (body.clone(), digest.clone());
        async move {
            let manifest = uri.path().contains("/manifests/");
            let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
            let headers = [("content-type", kind.to_owned()), ("docker-content-digest", digest)];
            (headers, if manifest { body } else { b"{}".to_vec() })
        }
    };
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
