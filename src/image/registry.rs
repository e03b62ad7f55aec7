//! Images from a registry, by pinned digest. The engine pulls them anonymously, through its own network, into its own
//! store. An image that `docker pull` already brought with the right digest is used. After a complete pull, a copy
//! under a name of our own gets labels that describe its source; that copy runs.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use super::error::{Answer, ImageError, Trouble};
use super::profile::{NodePin, Profile, Pulled};
use super::{BUILT_FROM_LABEL, ImageSet, NodeImage, WorkloadImage};
use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};
use crate::node::OWNER_LABEL;
use crate::progress::Progress;

/// Time limits for a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time limit for an answer about a tag. 10 s.
    pub answer: Duration,
    /// Time limit without a byte during a pull. 60 s.
    pub quiet: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(10), quiet: Duration::from_secs(60) }
    }
}

/// Pulls images from registries.
#[derive(Clone, Copy, Debug)]
pub struct Puller<'a> {
    /// The engine that pulls.
    pub engine: &'a Engine,
    /// How long a registry may be silent.
    pub patience: Patience,
    /// When every pull must be complete.
    pub deadline: Deadline,
    /// Receives the progress.
    pub progress: &'a Progress,
}

/// An image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pin<'a> {
    registry: &'a str,
    /// The repository and tag.
    image: &'a str,
    digest: Option<&'a str>,
}

impl Puller<'_> {
    /// Provides the images of a profile in the engine. The registry is not asked for images that are in the engine already.
    ///
    /// # Errors
    /// [`ImageError::Pull`] with image, registry and reason; [`ImageError::Profile`] if the profile does not have the
    /// version; [`ImageError::Engine`].
    ///
    /// # Guarantees
    /// Each image has the pinned digest. A failed pull leaves no image of ours.
    pub async fn provide(
        &self,
        profile: &Profile,
        pulled: &Pulled,
        version: &str,
    ) -> Result<ImageSet, ImageError> {
        let node = pin_of(profile, pulled, version)?;
        let pin = |image, digest: &'_ Option<String>| (image, digest.clone());
        let wanted: Vec<(&String, Option<String>)> = std::iter::once(pin(&node.image, &node.digest))
            .chain(pulled.workloads.values().map(|w| pin(&w.image, &w.digest)))
            .collect();
        let got = try_join_all(wanted.iter().enumerate().map(|(i, (image, digest))| {
            let pin = Pin { registry: &pulled.registry, image, digest: digest.as_deref() };
            async move { self.one(&pin, i == 0).await }
        }))
        .await?;
        let mut got = got.into_iter();
        let first = got.next().unwrap_or_default();
        let workloads = pulled.workloads.iter().zip(got).map(|((role, workload), copy)| {
            let image = WorkloadImage {
                reference: copy.reference,
                stands_for: workload.stands_for.clone(),
                built_from: copy.from,
                version: workload.version.clone(),
            };
            (role.clone(), image)
        });
        Ok(ImageSet {
            profile: profile.name.clone(),
            because: String::new(),
            kubernetes: version.into(),
            workloads: workloads.collect(),
            node: NodeImage {
                reference: first.reference,
                id: first.digest,
                baked: false,
                built_from: first.from,
            },
        })
    }

    /// Provides the node image of one release in the engine, and no other image.
    ///
    /// # Errors
    /// As [`Puller::provide`].
    pub async fn node(
        &self,
        profile: &Profile,
        pulled: &Pulled,
        version: &str,
    ) -> Result<NodeImage, ImageError> {
        let NodePin { image, digest, .. } = pin_of(profile, pulled, version)?;
        let pin = Pin { registry: &pulled.registry, image, digest: digest.as_deref() };
        let copy = self.one(&pin, true).await?;
        Ok(NodeImage { reference: copy.reference, id: copy.digest, baked: false, built_from: copy.from })
    }

    async fn one(&self, pin: &Pin<'_>, node: bool) -> Result<Copy, ImageError> {
        let Self { engine, patience, progress, .. } = *self;
        let digest = match pin.digest {
            Some(digest) => digest.to_owned(),
            None => ask(pin.registry, pin.image, engine, patience).await?,
        };
        let pin = Pin { digest: Some(&digest), ..*pin };
        let (reference, from) = (pin.own_name(&digest), pin.full());
        let copy = Copy { reference: reference.clone(), digest: digest.clone(), from: from.clone() };
        if pin.is_copied(node, engine).await? {
            return Ok(copy);
        }
        // The user's own `docker pull`, which can log in to the registry, may have brought the image already.
        if engine.image(&from).await?.is_none() {
            let task = format!("pull {}/{}", pin.registry, pin.image);
            progress.task(&task, pin.pull(self, &task)).await?;
        }
        let mut labels = vec![(BUILT_FROM_LABEL, from.as_str())];
        if node {
            labels.push((OWNER_LABEL, digest.as_str()));
        }
        engine.label_image(&from, &reference, &labels).await?;
        Ok(copy)
    }
}

fn pin_of<'a>(profile: &Profile, pulled: &'a Pulled, version: &str) -> Result<&'a NodePin, ImageError> {
    let no_version = || super::ProfileError::NoVersion {
        profile: profile.name.clone(),
        asked: version.into(),
        known: profile.versions().join(", "),
    };
    Ok(pulled.nodes.iter().find(|n| n.version == version).ok_or_else(no_version)?)
}

/// Whether every image of the profile is in the engine, in which case no registry has to be asked. An image without a
/// pinned digest never counts, because its tag may have moved.
///
/// # Errors
/// [`ImageError::Engine`].
pub async fn present(pulled: &Pulled, version: &str, engine: &Engine) -> Result<bool, ImageError> {
    let node = pulled.nodes.iter().filter(|n| n.version == version).map(|n| (true, &n.image, &n.digest));
    let workloads = pulled.workloads.values().map(|w| (false, &w.image, &w.digest));
    for (node, image, digest) in node.chain(workloads) {
        let Some(digest) = digest else { return Ok(false) };
        let pin = Pin { registry: &pulled.registry, image, digest: Some(digest) };
        if !pin.is_copied(node, engine).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the digest that an image's tag has in the registry now.
///
/// # Errors
/// [`ImageError::Pull`].
pub async fn ask(
    registry: &str,
    image: &str,
    engine: &Engine,
    patience: Patience,
) -> Result<String, ImageError> {
    let pin = Pin { registry, image, digest: None };
    let deadline = Deadline::after(patience.answer);
    engine.registry_digest(&pin.tagged(), deadline).await.map_err(|e| pin.failed(e))
}

#[derive(Default)]
struct Copy {
    reference: String,
    digest: String,
    from: String,
}

impl Pin<'_> {
    fn tagged(&self) -> String {
        format!("{}/{}", self.registry, self.image)
    }

    fn full(&self) -> String {
        match self.digest {
            Some(digest) => format!("{}@{digest}", self.tagged()),
            None => self.tagged(),
        }
    }

    /// Whether the engine has the copy of this image from this registry.
    async fn is_copied(&self, node: bool, engine: &Engine) -> Result<bool, ImageError> {
        let digest = self.digest.unwrap_or_default();
        let Some(have) = engine.image(&self.own_name(digest)).await? else { return Ok(false) };
        let ours = have.labels.get(BUILT_FROM_LABEL) == Some(&self.full());
        Ok(ours && (!node || have.labels.contains_key(OWNER_LABEL)))
    }

    /// Returns the copy's name, which contains the image's name and the beginning of its digest.
    fn own_name(&self, digest: &str) -> String {
        let (repository, tag) = self.image.rsplit_once(':').unwrap_or((self.image, "latest"));
        let short: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
        format!("seatrial.local/{}:{tag}-{short}", repository.trim_start_matches("library/"))
    }

    async fn pull(&self, puller: &Puller<'_>, task: &str) -> Result<(), ImageError> {
        let Puller { engine, patience, deadline, progress } = *puller;
        let reference = self.full();
        let began = Instant::now();
        let last = std::sync::Mutex::new(began);
        let quiet = || last.lock().map_or(Duration::ZERO, |l| l.elapsed());
        let pull = engine.pull(&reference, deadline, |text, moved| {
            progress.detail(task, text);
            // The engine counts down to its next attempt, which is not progress.
            if moved
                && !text.contains("Retrying")
                && let Ok(mut last) = last.lock()
            {
                *last = Instant::now();
            }
        });
        let watch = async {
            while quiet() < patience.quiet {
                deadline.pause((patience.quiet - quiet()).min(patience.quiet / 4)).await;
            }
        };
        let slow = || self.error(Trouble::Slow { quiet: quiet(), waited: began.elapsed() }, None);
        let pulled = tokio::select! {
            pulled = pull => pulled,
            () = watch => return Err(slow()),
        };
        let image = match pulled {
            Ok(image) => image,
            Err(EngineError::Timeout { .. }) => return Err(slow()),
            Err(error) => return Err(self.why(error, engine, patience).await),
        };
        let digest = self.digest.unwrap_or_default();
        if image.repo_digests.iter().any(|d| d.ends_with(digest)) {
            return Ok(());
        }
        Err(self.error(Trouble::Corrupt, None))
    }

    /// Finds out why a digest is missing: the tag moved, or the image never existed.
    async fn why(&self, error: EngineError, engine: &Engine, patience: Patience) -> ImageError {
        let failed = self.failed(error);
        let ImageError::Pull { trouble: Trouble::Missing, source, .. } = failed else { return failed };
        match ask(self.registry, self.image, engine, patience).await {
            Ok(now) if Some(now.as_str()) != self.digest => self.error(Trouble::Changed { now }, source),
            _ => self.error(Trouble::Missing, source),
        }
    }

    fn failed(&self, error: EngineError) -> ImageError {
        // The new error names the operation itself, so only the engine's answer is kept.
        let (trouble, answer): (Trouble, Option<Answer>) = match error {
            EngineError::NoSpace { .. } | EngineError::Unreachable { .. } => {
                return ImageError::Engine(error);
            }
            EngineError::Timeout { waited, .. } => (Trouble::Slow { quiet: waited, waited }, None),
            EngineError::NotFound { .. } => (Trouble::Missing, None),
            EngineError::Api { source, .. } => (trouble(&source.to_string()), Some(source)),
            other => (Trouble::Other, Some(Box::new(other))),
        };
        self.error(trouble, answer)
    }

    fn error(&self, trouble: Trouble, source: Option<Answer>) -> ImageError {
        ImageError::Pull { image: self.full(), registry: self.registry.into(), trouble, source }
    }
}

/// Classifies a text: engines pass on the errors of a registry or the network only as text.
fn trouble(said: &str) -> Trouble {
    let said = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|w| said.contains(w));
    if any(&["schema 1", "schemaversion 1", "manifest.v1", "missing signature key", "v1+prettyjws"]) {
        Trouble::Schema1
    } else if any(&["no matching manifest", "no match for platform"]) {
        Trouble::Architecture
    } else if any(&["toomanyrequests", "too many requests", "rate limit"]) {
        Trouble::Limit
    } else if any(&["verification failed", "digest verification", "failed precondition", "digest mismatch"])
        || any(&["not match digest", "unexpected commit digest"])
    {
        Trouble::Corrupt
    } else if any(&["manifest unknown", "not found", "name unknown", "blob unknown"]) {
        Trouble::Missing
    } else if any(&["unauthorized", "denied", "forbidden"]) {
        Trouble::Denied
    } else if any(&["dial tcp", "connection re", "no such host", "i/o timeout", "eof", "tls handshake"])
        || any(&["deadline exceeded", "request canceled", "server misbehaving", "unreachable", "bad gateway"])
    {
        Trouble::Unreachable
    } else {
        Trouble::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copys_name_contains_the_image_and_its_digest() {
        let digest = "sha256:0123456789abcdef";
        let pin = |image| Pin { registry: "docker.io", image, digest: Some(digest) };
        let nginx = pin("library/nginx:1.28-alpine");
        assert_eq!(nginx.own_name(digest), "seatrial.local/nginx:1.28-alpine-0123456789ab");
        assert_eq!(nginx.full(), "docker.io/library/nginx:1.28-alpine@sha256:0123456789abcdef");
        assert_eq!(
            pin("kindest/node:v1.36.4").own_name(digest),
            "seatrial.local/kindest/node:v1.36.4-0123456789ab"
        );
    }

    /// Messages of Docker 20.10 to 29.
    #[test]
    fn messages_of_engines_are_classified() {
        for (said, means) in [
            (
                r#"Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host"#,
                Trouble::Unreachable,
            ),
            (
                r#"Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused"#,
                Trouble::Unreachable,
            ),
            (
                "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support is disabled by default",
                Trouble::Schema1,
            ),
            (
                r#"not implemented: media type "application/vnd.docker.distribution.manifest.v1+prettyjws" is no longer supported since containerd v2.1"#,
                Trouble::Schema1,
            ),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", Trouble::Architecture),
            ("toomanyrequests: You have reached your unauthenticated pull rate limit", Trouble::Limit),
            (
                "manifest for 127.0.0.1:5000/x:1 not found: manifest unknown: manifest unknown",
                Trouble::Missing,
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                Trouble::Denied,
            ),
            ("manifest verification failed for digest sha256:00", Trouble::Corrupt),
            ("received unexpected HTTP status: 500 Internal Server Error", Trouble::Other),
        ] {
            assert_eq!(trouble(said), means, "{said}");
        }
    }
}
