//! The load balancer that kind puts in front of several control planes: a container beside the nodes.
//!
//! kind starts it from an image that it names itself. Where no registry has that image, a built one is
//! given the name for as long as kind makes the cluster, and loses it again: whoever calls kind
//! afterwards gets what he asks for, or an error.

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
    /// What runs in place of kind's image; none where it is that one.
    pub substitute: Option<Substitute>,
}

/// What a container runs in place of what was asked for, as its labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substitute {
    /// The image that was asked for.
    pub stands_for: String,
    /// What runs, by its own name.
    pub image: String,
    /// What it was built from.
    pub built_from: String,
}

impl LoadBalancer {
    /// The load balancer among a cluster's containers.
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

/// The name of kind's image, lent to what stands in for it. Dropped without [`Lent::give_back`] the
/// name stays where it is, and the next one who makes such a cluster sets that right.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    engine: &'a Engine,
    /// The engine's id.
    id: String,
    name: String,
    path: PathBuf,
    /// One at a time: whoever gives the name back must not take it from another one.
    _lock: File,
}

/// In the cache's folder of locks.
const NAME_LOCK: &str = "load-balancer-name.lock";

/// What is in that file while the name is lent: a line for each engine. Another engine has other images, and who lent
/// the name there may need it just now; so may whoever lent it to another image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    /// The engine's id.
    engine: String,
    /// The id of the image that has the name.
    image: String,
}

/// Sees to it that kind finds an image for its load balancer: its own one where a registry has it or
/// the engine does, else what was built ([`image::load_balancer`]). None where nothing had to be lent.
///
/// # Errors
/// [`ClusterError::Image`], [`ClusterError::Engine`], [`ClusterError::Late`] while another cluster of
/// this kind is made.
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
        // Without the word that a creation of this cache left, somebody else needs the name, maybe just now.
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
            // Written first: a creation that is killed leaves word that this cache lent the name. One that is killed
            // before the image has it has named the image, and takes the name from no other one.
            Word { engine: id.clone(), image }.leave(&path)?;
            engine.tag_image(&made.reference, &name).await?;
            return Ok(Some(Lent { engine, id, name, path, _lock: lock }));
        }
        _ => {}
    }
    Ok(None)
}

/// Takes kind's name away from a stand-in that a killed creation lent it to on this engine. Does nothing while a
/// creation needs it. What was lent on another engine stays written down.
///
/// # Errors
/// [`ClusterError::Image`], [`ClusterError::Engine`], [`ClusterError::File`].
pub(crate) async fn take_back(clusters: &Clusters) -> Result<(), ClusterError> {
    let Clusters { settings, engine, .. } = clusters;
    let path = settings.cache.join("locks").join(NAME_LOCK);
    // Where nobody ever lent it, there is no lock.
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
    /// What creations of this cache left, and did not withdraw.
    fn all(path: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let read = |line: &str| {
            let (engine, image) = line.rsplit_once(' ')?;
            Some(Self { engine: engine.into(), image: image.into() })
        };
        text.lines().filter_map(read).collect()
    }

    /// Those of this engine: several where creations were killed.
    fn of(path: &Path, engine: &str) -> Vec<Self> {
        Self::all(path).into_iter().filter(|word| word.engine == engine).collect()
    }

    /// Whether this image is the one that the name was lent to.
    fn is_of(&self, image: &ImageInfo) -> bool {
        image.id == self.image && image.labels.contains_key(STANDS_FOR_LABEL)
    }

    /// Written behind those of before: until the name has moved, the image that had it is known by its own word.
    fn leave(&self, path: &Path) -> Result<(), ClusterError> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{} {}", self.engine, self.image));
        written.map_err(|e| ClusterError::file("write", path, e))
    }

    /// Those of other engines stay.
    fn withdraw(path: &Path, engine: &str) -> Result<(), ClusterError> {
        let others = Self::all(path).into_iter().filter(|word| word.engine != engine);
        let text: String = others.map(|word| format!("{} {}\n", word.engine, word.image)).collect();
        std::fs::write(path, text).map_err(|e| ClusterError::file("write", path, e))
    }

    /// Takes the name from the image that it was lent to. Somebody may have given it to another one meanwhile.
    async fn take_back(engine: &Engine, id: &str, name: &str, path: &Path) -> Result<(), ClusterError> {
        let words = Self::of(path, id);
        if engine.image(name).await?.is_some_and(|image| words.iter().any(|word| word.is_of(&image))) {
            engine.remove_image(name).await?;
        }
        Self::withdraw(path, id)
    }
}

/// What has kind's name in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    Nothing,
    /// A stand-in, of this recipe or of an older one: a creation of this cache lent it the name and was killed.
    Forgotten,
    /// kind's own, or a stand-in that somebody else lent the name to.
    Other,
}

/// What is done with kind's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Left,
    /// Taken away: kind would take a stand-in for its own image.
    Taken,
    /// Given to what was built.
    Lent,
}

fn name_is(here: Here, made: bool) -> Name {
    match (here, made) {
        (Here::Other, _) | (Here::Nothing, false) => Name::Left,
        (Here::Forgotten, false) => Name::Taken,
        (Here::Nothing | Here::Forgotten, true) => Name::Lent,
    }
}

/// Where kind's load balancer has its backends (kind 0.33: `ProxyConfigPathCDS`).
const CLUSTERS: &str = "/home/envoy/cds.yaml";
/// A field of Envoy's `Cluster` (envoy.config.cluster.v3), for connections of its `tcp_proxy`.
const CUT: &str = "close_connections_on_host_health_failure: true";

/// Has the load balancer close the connections to a control plane that fails its checks. kind leaves
/// them: while etcd is exchanged beside an API server, which takes that one a minute, a kubelet that is
/// connected to it stays so, its lease runs out, and the pods of a worker that nothing is wrong with are
/// evicted (seen in an upgrade of topology `ha`). False where the file is not as kind 0.33 writes it.
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
    // As kind does it: whoever reads the file sees the old one or the new one.
    let new = format!("{CLUSTERS}.tmp");
    engine.exec_ok(name, &["cp", "/dev/stdin", &new], Some(text.into_bytes()), deadline).await?;
    let put = format!("chmod 666 {new} && mv {new} {CLUSTERS}");
    engine.exec_ok(name, &["sh", "-c", &put], None, deadline).await?;
    Ok(true)
}

/// The file with [`CUT`] beside the first of the cluster's times; none where that is not there.
fn cutting(text: &str) -> Option<String> {
    if text.contains(CUT) {
        return Some(text.into());
    }
    let at = text.find("  connect_timeout:")?;
    Some(format!("{}  {CUT}\n{}", &text[..at], &text[at..]))
}

impl Lent<'_> {
    /// Takes the name away again. The image keeps its own.
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
    fn connections_are_cut_by_a_field_of_the_cluster() {
        let kinds = "resources:\n- \"@type\": x\n  name: kube_apiservers\n  connect_timeout: 0.25s\n  type: STRICT_DNS\n";
        let cut = cutting(kinds).unwrap();
        assert!(cut.contains("  name: kube_apiservers\n  close_connections_on_host_health_failure: true\n  connect_timeout: 0.25s\n"));
        assert_eq!(cutting(&cut).as_deref(), Some(cut.as_str()), "once");
        assert_eq!(cutting("resources: []"), None);
    }

    #[test]
    fn the_name_is_lent_where_kind_would_find_nothing_and_never_taken_from_an_image_of_somebody_else() {
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
