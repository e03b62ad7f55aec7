//! The load balancer that kind puts in front of several control planes: a container next to the nodes.
//!
//! kind starts it from an image with a fixed name. If no registry has that image, a built image (the stand-in) gets
//! the name while kind creates the cluster, and loses it afterwards. Then other users of kind get the image that they
//! ask for, or an error.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::kind::locked;
use crate::cluster::{ClusterError, Clusters, role};
use crate::deadline::Deadline;
use crate::engine::{Container, Engine, ImageInfo};
use crate::image::{self, BUILT_FROM_LABEL, IMAGE_LABEL, STANDS_FOR_LABEL, StandIn};
use crate::node::{Node, Role};

/// The load balancer of a cluster.
#[derive(Clone, Debug)]
pub struct LoadBalancer {
    /// Its container.
    pub node: Node,
    /// The image that runs in place of kind's image; `None` if kind's own image runs.
    pub substitute: Option<Substitute>,
}

/// The image that a container runs in place of the requested one, according to its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitute {
    /// The image that was requested.
    pub stands_for: String,
    /// The image that runs, by its own name.
    pub image: String,
    /// The sources that it was built from.
    pub built_from: String,
}

impl LoadBalancer {
    /// Finds the load balancer among a cluster's containers.
    pub(crate) fn among(engine: &Engine, containers: &[Container]) -> Option<Self> {
        let container = containers.iter().find(|c| role(c) == Role::LoadBalancer)?;
        let label = |name: &str| container.labels.get(name).cloned();
        let substitute = label(STANDS_FOR_LABEL).map(|stands_for| Substitute {
            stands_for,
            image: label(IMAGE_LABEL).unwrap_or_else(|| container.image_id.clone()),
            built_from: label(BUILT_FROM_LABEL).unwrap_or_default(),
        });
        let node = Node::new(engine.clone(), container.name.clone(), Role::LoadBalancer);
        Some(Self { node, substitute })
    }
}

/// The name of kind's image, lent to a stand-in. If this is dropped without [`Lent::give_back`], the stand-in keeps
/// the name until the next creation of such a cluster, or a reap, takes it back.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    engine: &'a Engine,
    /// The engine's id.
    id: String,
    name: String,
    path: PathBuf,
    /// One creation at a time: giving the name back must not take it from another creation.
    _lock: File,
}

/// The lock file in the cache's folder of locks.
const NAME_LOCK: &str = "load-balancer-name.lock";

/// A loan of the name, written as one line of that file. Loans are recorded per engine and per image: on another
/// engine, or for another image, somebody else may need the name right now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    /// The engine's id.
    engine: String,
    /// The id of the image that has the name.
    image: String,
}

/// Ensures that kind finds an image for its load balancer: kind's own image if the engine or a registry has it, else
/// a built one ([`image::load_balancer`]). Returns `None` if nothing had to be lent.
///
/// # Errors
/// [`ClusterError::Image`], [`ClusterError::Engine`], [`ClusterError::Late`] if another cluster with a load balancer
/// is still being created at the deadline.
pub(crate) async fn lend<'a>(
    clusters: &'a Clusters,
    cluster: &str,
    made: Option<StandIn>,
    deadline: Deadline,
    mut say: impl FnMut(&str) + Send,
) -> Result<Option<Lent<'a>>, ClusterError> {
    let Clusters { settings, engine, .. } = clusters;
    let Some(name) = image::balancer_of_kind()? else { return Ok(None) };
    let dir = settings.cache.join("locks");
    std::fs::create_dir_all(&dir).map_err(|e| ClusterError::file("make folder", &dir, e))?;
    let path = dir.join(NAME_LOCK);
    let lock = locked(&path, cluster, deadline, || {
        say("waiting: another cluster with a load balancer is being created");
    })
    .await?;
    let id = engine.id().await?;
    let here = match engine.image(&name).await? {
        None => Here::Nothing,
        // Without a record of a loan by this cache, the name belongs to somebody else, who may need it right now.
        Some(image) if Word::of(&path, &id).iter().any(|word| word.is_of(&image)) => Here::Forgotten,
        Some(_) => Here::Other,
    };
    match (name_is(here, made.is_some()), made) {
        (Name::Taken, _) => {
            engine.remove_image(&name).await?;
            Word::withdraw(&path, &id)?;
        }
        (Name::Lent, Some(made)) => {
            say(&format!("{} -> {}: {}", made.stands_for, made.reference, made.built_from));
            let image = engine.image(&made.reference).await?.map(|image| image.id).unwrap_or_default();
            // Record the loan first: a creation that is killed then leaves the record. If it is killed before the
            // image has the name, the record names the image that should have had it, so the name is taken from no
            // other image.
            Word { engine: id.clone(), image }.leave(&path)?;
            engine.tag_image(&made.reference, &name).await?;
            return Ok(Some(Lent { engine, id, name, path, _lock: lock }));
        }
        _ => {}
    }
    Ok(None)
}

/// Takes kind's name back from a stand-in that a killed creation left with it on this engine. Does nothing while a
/// creation needs the name. Loans on other engines stay recorded.
///
/// # Errors
/// [`ClusterError::Image`], [`ClusterError::Engine`], [`ClusterError::File`].
pub(crate) async fn take_back(clusters: &Clusters) -> Result<(), ClusterError> {
    let Clusters { settings, engine, .. } = clusters;
    let path = settings.cache.join("locks").join(NAME_LOCK);
    // The lock file exists only after a first loan.
    let (Some(name), Ok(lock)) = (image::balancer_of_kind()?, File::open(&path)) else { return Ok(()) };
    if lock.try_lock().is_err() || Word::all(&path).is_empty() {
        return Ok(());
    }
    let id = engine.id().await?;
    if Word::of(&path, &id).is_empty() {
        return Ok(());
    }
    Word::take_back(engine, &id, &name, &path).await
}

impl Word {
    /// Returns all loans of this cache that are not withdrawn.
    fn all(path: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let read = |line: &str| {
            let (engine, image) = line.rsplit_once(' ')?;
            Some(Self { engine: engine.into(), image: image.into() })
        };
        text.lines().filter_map(read).collect()
    }

    /// Returns the loans on this engine: several if creations were killed.
    fn of(path: &Path, engine: &str) -> Vec<Self> {
        Self::all(path).into_iter().filter(|word| word.engine == engine).collect()
    }

    /// Reports whether this image is the one that the name was lent to.
    fn is_of(&self, image: &ImageInfo) -> bool {
        image.id == self.image && image.labels.contains_key(STANDS_FOR_LABEL)
    }

    /// Appends the loan. Earlier loans stay in the file: until the name has moved, its present image is known by its
    /// own loan.
    fn leave(&self, path: &Path) -> Result<(), ClusterError> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{} {}", self.engine, self.image));
        written.map_err(|e| ClusterError::file("write", path, e))
    }

    /// Removes the loans on this engine; those on other engines stay.
    fn withdraw(path: &Path, engine: &str) -> Result<(), ClusterError> {
        let others = Self::all(path).into_iter().filter(|word| word.engine != engine);
        let text: String = others.map(|word| format!("{} {}\n", word.engine, word.image)).collect();
        std::fs::write(path, text).map_err(|e| ClusterError::file("write", path, e))
    }

    /// Takes the name back from the image that it was lent to, unless somebody has given the name to another image in
    /// the meantime.
    async fn take_back(engine: &Engine, id: &str, name: &str, path: &Path) -> Result<(), ClusterError> {
        let words = Self::of(path, id);
        if engine.image(name).await?.is_some_and(|image| words.iter().any(|word| word.is_of(&image))) {
            engine.remove_image(name).await?;
        }
        Self::withdraw(path, id)
    }
}

/// The image that has kind's name in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    Nothing,
    /// A stand-in of this or an older recipe: a creation of this cache lent it the name and was killed.
    Forgotten,
    /// kind's own image, or a stand-in of somebody else.
    Other,
}

/// What to do with kind's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Left,
    /// Remove the name: kind would use a stand-in as its own image.
    Taken,
    /// Give the name to the built image.
    Lent,
}

fn name_is(here: Here, made: bool) -> Name {
    match (here, made) {
        (Here::Other, _) | (Here::Nothing, false) => Name::Left,
        (Here::Forgotten, false) => Name::Taken,
        (Here::Nothing | Here::Forgotten, true) => Name::Lent,
    }
}

/// Path of the backends file of kind's load balancer (kind 0.33: `ProxyConfigPathCDS`).
const CLUSTERS: &str = "/home/envoy/cds.yaml";
/// A field of Envoy's `Cluster` (envoy.config.cluster.v3), which applies to connections of `tcp_proxy`.
const CUT: &str = "close_connections_on_host_health_failure: true";

/// Configures the load balancer to close connections to a control plane that fails its health checks. kind keeps them
/// open: while etcd is replaced next to an API server, that server cannot serve for about a minute. A kubelet that
/// stays connected to it cannot renew its lease, and the pods of its healthy worker are evicted (seen in an upgrade of
/// topology `ha`). Returns false if the file is not in the format of kind 0.33.
///
/// # Errors
/// [`ClusterError::Engine`].
pub(crate) async fn cut_on_failure(
    engine: &Engine,
    balancer: &LoadBalancer,
    deadline: Deadline,
) -> Result<bool, ClusterError> {
    let name = &balancer.node.name;
    let text = engine.read_file(name, CLUSTERS, 1 << 20).await?.unwrap_or_default();
    let Some(text) = cutting(&String::from_utf8_lossy(&text)) else { return Ok(false) };
    // As kind does: a reader sees either the old file or the new one.
    let new = format!("{CLUSTERS}.tmp");
    engine.exec_ok(name, &["cp", "/dev/stdin", &new], Some(text.into_bytes()), deadline).await?;
    let put = format!("chmod 666 {new} && mv {new} {CLUSTERS}");
    engine.exec_ok(name, &["sh", "-c", &put], None, deadline).await?;
    Ok(true)
}

/// Inserts [`CUT`] before the cluster's `connect_timeout`; `None` if the file has no such field.
fn cutting(text: &str) -> Option<String> {
    if text.contains(CUT) {
        return Some(text.into());
    }
    let at = text.find("  connect_timeout:")?;
    Some(format!("{}  {CUT}\n{}", &text[..at], &text[at..]))
}

impl Lent<'_> {
    /// Takes the name back. The image keeps its own name.
    ///
    /// # Errors
    /// [`ClusterError::Engine`].
    pub async fn give_back(self) -> Result<(), ClusterError> {
        Word::take_back(self.engine, &self.id, &self.name, &self.path).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_that_cuts_connections_is_inserted_once() {
        let kinds = "resources:\n- \"@type\": x\n  name: kube_apiservers\n  connect_timeout: 0.25s\n  type: STRICT_DNS\n";
        let cut = cutting(kinds).unwrap();
        assert!(cut.contains("  name: kube_apiservers\n  close_connections_on_host_health_failure: true\n  connect_timeout: 0.25s\n"));
        assert_eq!(cutting(&cut).as_deref(), Some(cut.as_str()), "once");
        assert_eq!(cutting("resources: []"), None);
    }

    #[test]
    fn the_name_is_lent_if_missing_and_never_taken_from_an_image_of_somebody_else() {
        for (here, made, becomes) in [
            (Here::Nothing, true, Name::Lent),
            (Here::Nothing, false, Name::Left),
            (Here::Forgotten, true, Name::Lent),
            (Here::Forgotten, false, Name::Taken),
            (Here::Other, true, Name::Left),
            (Here::Other, false, Name::Left),
        ] {
            assert_eq!(name_is(here, made), becomes, "{here:?} {made}");
        }
    }
}
