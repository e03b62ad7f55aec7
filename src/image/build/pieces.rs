//! The pieces of the offline profile: their parameters, and which pieces each one needs.

use std::collections::BTreeMap;

use super::error::BuildError;
use crate::image::profile::{Made, Release};

/// The final piece: all others but the load balancer are built for it.
pub const NODE: &str = "node";
/// The piece with the programs of a release.
pub const KUBERNETES: &str = "kubernetes";
/// The piece with the images that a release's kubeadm requires.
pub const KUBE_IMAGES: &str = "kube-images";

/// The piece that replaces kind's load balancer.
pub const LOAD_BALANCER: &str = "load-balancer";

/// One run of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its name among the pieces: `nginx-old`. A piece that needs this one gets the folder of its results in
    /// `NEED_NGINX_OLD`.
    pub id: String,
    /// The recipe's folder below `offline/`: `nginx`.
    pub recipe: String,
    /// The recipe's `VERSION`; empty if the recipe has none.
    pub version: String,
    /// Further variables of the recipe.
    pub parameters: BTreeMap<String, String>,
    /// Ids of the pieces that it needs, which are listed before it.
    pub needs: Vec<String>,
    /// The image's name without the build's key; the recipe gets `IMAGE` = this name, a dash and the first 16 digits of
    /// the key. None for a piece that is not an image of ours.
    pub image: Option<String>,
    /// Maximum disk space that the recipe uses, results included, in bytes: an estimate.
    pub disk: u64,
}

impl Piece {
    /// Returns name and version for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.id, self.version).trim_end().to_owned()
    }

    /// Returns the folder name of the results with this key.
    pub(super) fn folder(&self, key: &str) -> String {
        let version = if self.version.is_empty() { String::new() } else { format!("{}-", self.version) };
        format!("{}-{version}{}", self.recipe, &key[..16])
    }

    /// Returns the full name of the image with this key.
    pub fn image(&self, key: &str) -> Option<String> {
        self.image.as_ref().map(|stem| format!("{stem}-{}", &key[..16]))
    }
}

/// Returns the pieces of a Kubernetes release, each after the pieces that it needs. Among pieces that may begin at the
/// same time, the longest is first.
///
/// # Errors
/// [`BuildError::Parameter`] if the profile lacks a parameter of a recipe.
pub fn pieces(made: &Made, release: &Release) -> Result<Vec<Piece>, BuildError> {
    let kubernetes = release.version.as_str();
    let set = |piece: &str| made.pieces.get(piece).cloned().unwrap_or_default();
    let suite = |piece: &str| {
        let missing = || BuildError::Parameter { piece: piece.into(), field: "suite" };
        set(piece).suite.ok_or_else(missing)
    };
    let mut pieces = vec![
        piece("kubernetes", kubernetes, &[], 1500)
            .with("ETCD_TAG", &release.etcd_tag)
            .with("COREDNS_TAG", &format!("v{}", release.coredns))
            .with("PAUSE_TAG", &release.pause),
        piece("base", "", &[], 1500).with("SUITE", &suite("base")?),
        piece("coredns", &release.coredns, &[], 600),
        piece("etcd", &release.etcd, &[], 400),
        piece("containerd", &set("containerd").version.unwrap_or_default(), &[], 300)
            .with("SUITE", &suite("containerd")?),
        piece("pause", &release.pause, &[], 5),
    ];
    let mut node = ["base", "containerd", "kubernetes", "kube-images"].map(str::to_owned).to_vec();
    for (role, workload) in &made.workloads {
        let mut made = piece(&workload.piece, &workload.version, &[], 1200).with("SUITE", &workload.suite);
        made.id.clone_from(role);
        node.push(role.clone());
        pieces.push(made);
    }
    pieces.extend(load_balancer(made)?);
    pieces.push(piece(
        "kube-images",
        kubernetes,
        &["base", "kubernetes", "etcd", "coredns", "pause"].map(str::to_owned),
        1200,
    ));
    let mut last = piece(NODE, kubernetes, &node, 6000);
    last.image = Some(format!("seatrial.local/node:v{kubernetes}"));
    pieces.push(last);
    Ok(pieces)
}

/// Returns the load balancer's piece. No other piece needs it; only a cluster with several control planes does.
fn load_balancer(made: &Made) -> Result<Option<Piece>, BuildError> {
    let Some(set) = made.pieces.get(LOAD_BALANCER) else { return Ok(None) };
    let parameter = |value: &Option<String>, field| {
        value.clone().ok_or(BuildError::Parameter { piece: LOAD_BALANCER.into(), field })
    };
    let version = parameter(&set.version, "version")?;
    let mut piece = piece(LOAD_BALANCER, &version, &[], 600)
        .with("SUITE", &parameter(&set.suite, "suite")?)
        .with("STANDS_FOR", &parameter(&set.stands_for, "stands-for")?);
    piece.image = Some(format!("seatrial.local/{LOAD_BALANCER}:{version}"));
    Ok(Some(piece))
}

/// Returns a piece with the name of its recipe. It needs `megabytes` of disk space.
fn piece(recipe: &str, version: &str, needs: &[String], megabytes: u64) -> Piece {
    Piece {
        id: recipe.into(),
        recipe: recipe.into(),
        version: version.into(),
        parameters: BTreeMap::new(),
        needs: needs.to_vec(),
        image: None,
        disk: megabytes * 1_000_000,
    }
}

impl Piece {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::profile::{Profile, Source};

    #[test]
    fn the_offline_profile_sets_every_parameter_of_its_recipes() {
        let Source::Recipes(made) = Profile::named("offline").unwrap().source else { panic!() };
        for release in &made.releases {
            let pieces = pieces(&made, release).unwrap();
            let node = pieces.last().unwrap();
            assert_eq!((node.id.as_str(), node.needs.len()), (NODE, 7));
            for (i, piece) in pieces.iter().enumerate() {
                for need in &piece.needs {
                    assert!(pieces[..i].iter().any(|p| p.id == *need), "{} before {need}", piece.id);
                }
            }
            let kubernetes = pieces.iter().find(|p| p.id == "kubernetes").unwrap();
            assert!(kubernetes.parameters["COREDNS_TAG"].starts_with("v1."));
            let balancer = pieces.iter().find(|p| p.id == LOAD_BALANCER).unwrap();
            // Otherwise a change of the load balancer would rebuild every node image.
            assert!(!node.needs.contains(&balancer.id));
            assert_eq!(
                balancer.image("0123456789abcdef").as_deref().map(|i| &i[..32]),
                Some("seatrial.local/load-balancer:2.6-"[..32].as_ref())
            );
        }
    }
}
