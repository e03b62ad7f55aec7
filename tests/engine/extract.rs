//! Node images taken apart: pulled from a real registry, taken apart in a real container. In the image
//! kubeadm, kubelet, kubectl, containerd and ctr are scripts; that real ones do is what the live upgrade
//! from a registry shows.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptions;
use seatrial::config::{OWNED_BY_LABEL, Settings, StateId};
use seatrial::deadline::Deadline;
use seatrial::hint::Hint;
use seatrial::image::extract::{self, Apart, EXTRACT_LABEL};
use seatrial::image::{self, Artefacts, ImageContext, ImageError, Profile, Trouble};
use seatrial::kubernetes::version::Version;
use seatrial::progress::Progress;
use seatrial::upgrade;

use crate::box_container::{IMAGE, root};
use crate::registry::{Port, append, docker_archive, own_name, soon, with_registry};

const PROGRAMS: [&str; 17] = [
    "sh", "bash", "cat", "cp", "mkdir", "rm", "seq", "sleep", "stat", "readlink", "tail", "setsid", "ls",
    "head", "find", "ln", "ps",
];
/// As kubeadm of the image names them, in its order.
const NAMED: [&str; 4] = [
    "registry.k8s.io/kube-apiserver:v1.35.9",
    "registry.k8s.io/coredns/coredns:v1.13.1",
    "registry.k8s.io/pause:3.10.1",
    "registry.k8s.io/etcd:3.6.6-0",
];

const KUBEADM: &str = r#"#!/bin/sh
case "$1" in
  version) echo v1.35.9 ;;
  config) cat /store/named; [ "$WITH" != more ] || echo registry.k8s.io/kube-proxy:v1.35.9 ;;
esac"#;
const KUBELET: &str = "#!/bin/sh\n[ \"$WITH\" != patience ] || sleep 600\necho Kubernetes v1.35.9";
/// The store is a file of names and an archive.
const CTR: &str = r#"#!/bin/sh
[ "$1" != --namespace ] || shift 2
case "$1 $2 $3" in
  "images ls -q") cat /store/held ;;
  "images tag "*) echo "$4" >> /store/held ;;
  "images export --help") echo "--local" ;;
  "images export --local") [ "$WITH" != half ] || exec cp /store/half.tar "$4"; exec cp /store/all.tar "$4" ;;
esac"#;

/// A node image of 1.35.9 as kind makes them: it holds another pause than its kubeadm names.
async fn node_image() -> Vec<u8> {
    let mut image = root(&PROGRAMS).await.unwrap();
    for (file, text) in [
        ("usr/bin/kubeadm", KUBEADM),
        ("usr/bin/kubelet", KUBELET),
        ("usr/bin/kubectl", "#!/bin/sh\necho kubectl"),
        ("usr/bin/containerd", "#!/bin/sh\nexec sleep 600"),
        ("usr/bin/ctr", CTR),
    ] {
        append(&mut image, file, text.as_bytes());
    }
    let held: Vec<&str> = NAMED.into_iter().filter(|n| !n.contains("pause")).collect();
    let held = format!(
        "{}\nregistry.k8s.io/pause:3.10\nregistry.k8s.io/kube-apiserver-amd64:v1.35.9\n",
        held.join("\n")
    );
    append(&mut image, "store/held", held.as_bytes());
    append(&mut image, "store/named", format!("{}\n", NAMED.join("\n")).as_bytes());
    let layer = b"a layer, which nobody unpacks here";
    append(&mut image, "store/all.tar", &docker_archive(&NAMED, layer, &[]));
    append(&mut image, "store/half.tar", &docker_archive(&NAMED[..3], layer, &[]));
    image.into_inner().unwrap()
}

/// A profile whose nodes are this image, and a cache of its own.
struct Extraction<'a> {
    port: &'a Port,
    cache: tempfile::TempDir,
    profile: Profile,
}

impl<'a> Extraction<'a> {
    fn new(port: &'a Port, image: &str, version: &str, digest: &str) -> Self {
        let pin = match digest {
            "" => String::new(),
            digest => format!("digest = {digest:?}\n"),
        };
        let text = format!(
            "name = \"test\"\nabout = \"\"\nregistry = {:?}\n[defaults]\nkubernetes = {version:?}\n\
             [[kubernetes]]\nversion = {version:?}\nimage = \"seatrial-test/{image}\"\n{pin}\n\
             [workload.nginx-old]\nversion = \"1\"\nstands-for = \"nginx:1.7.9\"\nimage = \"a:1\"\n\
             [workload.nginx-new]\nversion = \"2\"\nstands-for = \"nginx:1.9.1\"\nimage = \"a:2\"\n\
             [workload.mysql]\nversion = \"8\"\nstands-for = \"mysql:5.6\"\nimage = \"a:3\"\n",
            port.address
        );
        let profile = Profile::parse("test.toml", &text).unwrap();
        if !digest.is_empty() {
            let mut ours = port.references.lock().unwrap();
            ours.push(own_name(image, digest));
            ours.push(format!("{}/seatrial-test/{image}@{digest}", port.address));
        }
        Self { port, cache: tempfile::tempdir().unwrap(), profile }
    }

    fn settings(&self) -> Settings {
        let path = self.cache.path().to_string_lossy().into_owned();
        Settings::resolve(|name| matches!(name, "SEATRIAL_CACHE" | "HOME").then(|| path.clone())).unwrap()
    }

    async fn take(&self, deadline: Deadline) -> Result<Artefacts, ImageError> {
        let (version, engine) = (self.profile.default.as_str(), &self.port.engine);
        let silent = Progress::silent();
        let settings = self.settings();
        let context = ImageContext { settings: &settings, engine, progress: &silent, deadline };
        image::artefacts(&context, &self.profile, version).await
    }

    /// It fails, and leaves nothing: no container, nothing with a finished name, nothing half done.
    async fn fails(&self, deadline: Deadline) -> ImageError {
        let error = self.take(deadline).await.unwrap_err();
        assert_eq!(self.containers().await, Vec::<String>::new());
        assert_eq!(names(&self.cache.path().join("built")), Vec::<String>::new());
        assert_eq!(names(&self.cache.path().join("building")), Vec::<String>::new());
        assert!(error.hint().is_some_and(|h| !h.is_empty()) || matches!(error, ImageError::Engine(_)));
        error
    }

    /// Containers in which an image of this cache is taken apart.
    async fn containers(&self) -> Vec<String> {
        let all = self.port.engine.containers(&[(EXTRACT_LABEL, "")]).await.unwrap();
        let cache = self.cache.path().canonicalize().unwrap();
        let cache = format!(" at {}/", cache.display());
        let ours = all.into_iter().filter(|c| c.labels[EXTRACT_LABEL].contains(&cache));
        ours.map(|c| c.name).collect()
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_release_is_taken_out_of_its_node_image_once() {
    with_registry(async |port| {
        let digest = port.push_layer("once:v1.35.9", &node_image().await, &["WITH=none"]).await;
        let one = Extraction::new(port, "once:v1.35.9", "1.35.9", &digest);
        let (settings, profile) = (one.settings(), &one.profile);
        let facts = || upgrade::releases(&settings, profile).unwrap().remove(0);
        assert_eq!((facts().etcd, facts().coredns, facts().unreachable), (None, None, None));

        let taken = one.take(soon()).await.unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let of = |name: &str| taken.programs.iter().find(|p| p.names == [name]).unwrap();
        assert_eq!(read(&of("kubeadm").file), KUBEADM);
        assert_eq!(read(&of("kubelet").file), KUBELET);
        assert_eq!(taken.programs.len(), 3);
        assert_eq!(taken.images, NAMED);
        assert_eq!(
            taken.stand_ins.iter().collect::<Vec<_>>(),
            [(&NAMED[2].to_owned(), &"registry.k8s.io/pause:3.10".to_owned())]
        );
        let archive = std::fs::metadata(&taken.archive).unwrap().len();
        assert_eq!(facts().etcd, Some(Version::new(3, 6, 6)));
        assert_eq!(facts().coredns, Some(Version::new(1, 13, 1)));
        assert!(facts().bytes > archive, "{} {archive}", facts().bytes);
        assert_eq!(one.containers().await, Vec::<String>::new());
        assert_eq!(names(&one.cache.path().join("building")), Vec::<String>::new());

        // Nobody is asked again: not the registry, not the engine.
        port.server.abort();
        port.engine.remove_image(&own_name("once:v1.35.9", &digest)).await.unwrap();
        assert_eq!(one.take(soon()).await.unwrap(), taken);
    })
    .await;
}

#[tokio::test]
async fn an_image_that_is_not_what_it_should_be_is_refused_by_name() {
    with_registry(async |port| {
        let image = node_image().await;
        let plain = port.push_layer("node:v1.35.9", &image, &[]).await;
        let error = Extraction::new(port, "node:v1.35.9", "1.35.8", &plain).fails(soon()).await;
        let text = error.to_string();
        assert!(text.ends_with("its kubeadm is v1.35.9, not v1.35.8"), "{text}");
        assert!(text.contains(&plain), "{text}");

        let more = port.push_layer("more:v1.35.9", &image, &["WITH=more"]).await;
        let text = Extraction::new(port, "more:v1.35.9", "1.35.9", &more).fails(soon()).await.to_string();
        assert!(text.ends_with("it does not hold: registry.k8s.io/kube-proxy:v1.35.9"), "{text}");

        // An exporter that leaves out what it lacks, without a word.
        let half = port.push_layer("half:v1.35.9", &image, &["WITH=half"]).await;
        let text = Extraction::new(port, "half:v1.35.9", "1.35.9", &half).fails(soon()).await.to_string();
        assert!(text.ends_with("its archive lacks registry.k8s.io/etcd:3.6.6-0"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_missing_tag_and_a_changed_digest_are_told_and_leave_nothing() {
    with_registry(async |port| {
        let error = Extraction::new(port, "never:v1.35.9", "1.35.9", "").fails(soon()).await;
        assert!(matches!(error, ImageError::Pull { trouble: Trouble::Missing, .. }), "{error:?}");

        let gone = format!("sha256:{}", "ab".repeat(32));
        let error = Extraction::new(port, "node:v1.34.4", "1.34.4", &gone).fails(soon()).await;
        let ImageError::Pull { trouble: Trouble::Changed { now }, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*now, port.digest_of("node:v1.34.4").await);
    })
    .await;
}

#[tokio::test]
async fn a_killed_extraction_takes_its_container_along() {
    with_registry(async |port| {
        let digest = port.push_layer("slow:v1.35.9", &node_image().await, &["WITH=patience"]).await;
        let slow = Extraction::new(port, "slow:v1.35.9", "1.35.9", &digest);
        {
            // Dropped as the kernel drops the connection of a process that is killed.
            let mut taking = std::pin::pin!(slow.take(soon()));
            let limit = soon();
            while slow.containers().await.is_empty() {
                assert!(!limit.is_over(), "no container was made");
                let _ = tokio::time::timeout(Duration::from_millis(200), &mut taking).await;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), &mut taking).await;
        }
        let limit = soon();
        while !slow.containers().await.is_empty() {
            assert!(!limit.is_over(), "the container outlives its maker");
            limit.pause(Duration::from_millis(200)).await;
        }
        assert_eq!(names(&slow.cache.path().join("built")), Vec::<String>::new());
        // The lock is free, what was left is cleared away, and a deadline is one.
        let error = slow.fails(Deadline::after(Duration::from_secs(10))).await;
        assert!(matches!(error, ImageError::Engine(_)), "{error:?}");
    })
    .await;
}

/// A maker that is killed between making and starting leaves a container that nothing ends.
#[tokio::test]
async fn a_container_that_was_never_started_is_reaped_once_its_maker_is_gone() {
    with_registry(async |port| {
        let cache = tempfile::tempdir().unwrap();
        let locks = cache.path().canonicalize().unwrap().join("locks");
        std::fs::create_dir(&locks).unwrap();
        let file = locks.join("release-1.lock");
        let lock = std::fs::File::create(&file).unwrap();
        lock.lock().unwrap();
        let name = format!("seatrial-extract-test-{}", std::process::id());
        let (owner, stranger) = (StateId::from("us"), StateId::from("theirs"));
        let meta = std::fs::metadata(cache.path()).unwrap();
        let mark = format!("{}:{} at {}", meta.dev(), meta.ino(), file.display());
        let labels = [(EXTRACT_LABEL, mark.as_str()), (OWNED_BY_LABEL, owner.as_str())];
        let made = ContainerCreateBody {
            image: Some(IMAGE.into()),
            cmd: Some(vec!["/bin/sh".into()]),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
        crate::box_container::imported(&port.engine).await.unwrap();
        let docker = bollard::Docker::connect_with_host(port.engine.host()).unwrap();
        docker.create_container(Some(options), made).await.unwrap();

        let reap =
            async |cache: &Path, dry| extract::reap(cache, &port.engine, Some(&owner), dry).await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let held = reap(cache.path(), false).await;
        drop(lock);
        let other = reap(elsewhere.path(), false).await;
        let theirs = extract::reap(cache.path(), &port.engine, Some(&stranger), false).await.unwrap();
        assert_eq!(theirs, [], "another folder's at the same path");
        let dry = reap(cache.path(), true).await;
        let there = port.engine.container(&name).await.unwrap().is_some();
        let reaped = reap(cache.path(), false).await;
        let gone = port.engine.container(&name).await.unwrap().is_none();
        port.engine.remove(&name).await.unwrap();
        assert_eq!(held, []);
        // Whether its maker lives is not seen from there.
        assert!(
            matches!(other.as_slice(), [one] if one.container == name && one.stays.is_some()),
            "{other:?}"
        );
        let gone_with_its_maker = vec![Apart { container: name, stays: None }];
        assert_eq!((&dry, &reaped), (&gone_with_its_maker, &gone_with_its_maker));
        assert!(there && gone);
    })
    .await;
}
