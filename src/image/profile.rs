//! Image profiles: the files of `images/`, compiled in, parsed and checked.

use crate::hint::{FailureKind, Hint};
use std::collections::BTreeMap;

use serde::Deserialize;

/// The profiles that are part of seatrial: file and text. `auto` chooses among them.
pub static PROFILES: &[(&str, &str)] = &[
    ("images/current.toml", include_str!("../../images/current.toml")),
    ("images/classic.toml", include_str!("../../images/classic.toml")),
    ("images/offline.toml", include_str!("../../images/offline.toml")),
];

/// The roles of images in suites; every profile has an image for each.
pub const ROLES: [&str; 3] = ["nginx-old", "nginx-new", "mysql"];

/// The source of each image of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name on the command line and in reports.
    pub name: String,
    /// A description in one line.
    pub about: String,
    /// The default Kubernetes version.
    pub default: String,
    /// The images.
    pub source: Source,
}

/// The two sources of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The engine pulls the images.
    Registry(Pulled),
    /// The recipes of `offline/` build the images on this machine.
    Recipes(Made),
}

/// The images of a profile with a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The registry's host, with a port if necessary: `docker.io`, `127.0.0.1:5000`.
    pub registry: String,
    /// The node images.
    pub nodes: Vec<NodePin>,
    /// The workloads' images by role.
    pub workloads: BTreeMap<String, WorkloadPin>,
}

/// A kind node image in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodePin {
    /// Kubernetes version, without `v`.
    pub version: String,
    /// Repository and tag, without the registry.
    pub image: String,
    /// `sha256:` and 64 hex digits. Without a digest the tag is followed, and the report shows the digest that it
    /// pointed to.
    pub digest: Option<String>,
}

/// A workload's image in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WorkloadPin {
    /// Repository and tag, without the registry.
    pub image: String,
    /// See [`NodePin::digest`].
    pub digest: Option<String>,
    /// The version that the program reports, or a prefix of it: `1.28`.
    pub version: String,
    /// The image name in manifests that it replaces.
    pub stands_for: String,
}

/// The images of a profile with recipes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The Kubernetes releases that can be built.
    pub releases: Vec<Release>,
    /// Parameters of pieces that are the same for every release, by piece.
    pub pieces: BTreeMap<String, PieceSettings>,
    /// The workloads' images by role.
    pub workloads: BTreeMap<String, WorkloadRecipe>,
}

/// A Kubernetes release and the versions that its kubeadm requires.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// Kubernetes version, without `v`.
    pub version: String,
    /// etcd's version.
    pub etcd: String,
    /// The version of CoreDNS, without `v`; its tag has the `v`.
    pub coredns: String,
    /// The pause image's version and tag.
    pub pause: String,
    /// etcd's tag: its version and a build number, such as `3.6.5-0`.
    pub etcd_tag: String,
}

/// The parameters of a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PieceSettings {
    /// The distribution's suite that packages come from.
    pub suite: Option<String>,
    /// The version, if it does not follow the release.
    pub version: Option<String>,
    /// The image that a tool requests by name and that the piece replaces.
    pub stands_for: Option<String>,
}

/// A workload's image that is built from packages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WorkloadRecipe {
    /// The recipe's folder in `offline/`.
    pub piece: String,
    /// The version, or a prefix of it: the recipe fails with any other version.
    pub version: String,
    /// The suite that the packages come from.
    pub suite: String,
    /// The name of the built image.
    pub image: String,
    /// The image name in manifests that it replaces.
    pub stands_for: String,
}

/// Whether a profile's name is the path of a file.
pub fn is_file(name: &str) -> bool {
    name.ends_with(".toml")
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No profile has that name.
    #[error("unknown image profile {name:?}; known: {known}")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The known names.
        known: String,
    },
    /// The file does not exist or cannot be read.
    #[error("failed to read the image profile {file}")]
    Read {
        /// The file.
        file: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is not valid; the source names line and field.
    #[error("invalid image profile {file}")]
    Syntax {
        /// The file.
        file: String,
        /// Line, field and reason.
        #[source]
        source: toml::de::Error,
    },
    /// A field has an invalid value.
    #[error("invalid image profile {file}: {field}: {why}")]
    Field {
        /// The file.
        file: String,
        /// The field, such as `workload.mysql.digest`.
        field: String,
        /// The reason.
        why: String,
    },
    /// The profile has no such Kubernetes version.
    #[error("profile {profile} has no Kubernetes {asked}, only {known}")]
    NoVersion {
        /// The profile.
        profile: String,
        /// The version that was requested.
        asked: String,
        /// The versions that it has.
        known: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    kubernetes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PulledFile {
    name: String,
    about: String,
    registry: String,
    defaults: Defaults,
    kubernetes: Vec<NodePin>,
    workload: BTreeMap<String, WorkloadPin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeFile {
    name: String,
    about: String,
    defaults: Defaults,
    kubernetes: Vec<Release>,
    #[serde(default)]
    piece: BTreeMap<String, PieceSettings>,
    workload: BTreeMap<String, WorkloadRecipe>,
}

impl Profile {
    /// Returns a profile by name: one of seatrial's own, or a file whose name ends in `.toml`, for other registries and
    /// versions. A file's path becomes the profile's name, by which it is found again.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`] for another name, [`ProfileError::Read`], and those of
    /// [`Profile::parse`].
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        if is_file(name) {
            let read = |source| ProfileError::Read { file: name.into(), source };
            let path = std::fs::canonicalize(name).map_err(read)?;
            let text = std::fs::read_to_string(&path).map_err(read)?;
            return Ok(Self { name: path.to_string_lossy().into_owned(), ..Self::parse(name, &text)? });
        }
        let mut known = vec!["auto".to_owned()];
        for (file, text) in PROFILES {
            let profile = Self::parse(file, text)?;
            if profile.name == name {
                return Ok(profile);
            }
            known.push(profile.name);
        }
        Err(ProfileError::Unknown { name: name.into(), known: known.join(", ") })
    }

    /// Parses a profile; errors mention `file`. The images are pulled if the file has a field `registry`, and built
    /// otherwise.
    ///
    /// # Errors
    /// [`ProfileError::Syntax`] or [`ProfileError::Field`].
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        let syntax = |source| ProfileError::Syntax { file: file.into(), source };
        let table: toml::Table = toml::from_str(text).map_err(syntax)?;
        let (profile, versions) = if table.contains_key("registry") {
            let f: PulledFile = toml::from_str(text).map_err(syntax)?;
            let versions: Vec<String> = f.kubernetes.iter().map(|n| n.version.clone()).collect();
            let source = Pulled { registry: f.registry, nodes: f.kubernetes, workloads: f.workload };
            (
                Self {
                    name: f.name,
                    about: f.about,
                    default: f.defaults.kubernetes,
                    source: Source::Registry(source),
                },
                versions,
            )
        } else {
            let f: MadeFile = toml::from_str(text).map_err(syntax)?;
            let versions = f.kubernetes.iter().map(|r| r.version.clone()).collect();
            let source = Made { releases: f.kubernetes, pieces: f.piece, workloads: f.workload };
            (
                Self {
                    name: f.name,
                    about: f.about,
                    default: f.defaults.kubernetes,
                    source: Source::Recipes(source),
                },
                versions,
            )
        };
        profile.check(&versions).map_err(|(field, why)| ProfileError::Field {
            file: file.into(),
            field,
            why,
        })?;
        Ok(profile)
    }

    fn check(&self, versions: &[String]) -> Result<(), (String, String)> {
        let wrong = |field: &str, why: String| Err((field.to_owned(), why));
        for (i, version) in versions.iter().enumerate() {
            let numbers = version.split('.').filter(|part| part.parse::<u16>().is_ok()).count();
            if numbers != 3 || version.split('.').count() != 3 {
                return wrong(
                    "kubernetes.version",
                    format!("{version:?} is not of the form 1.34.4, without v"),
                );
            }
            if versions[..i].contains(version) {
                return wrong("kubernetes.version", format!("{version} appears twice"));
            }
        }
        if !versions.contains(&self.default) {
            return wrong(
                "defaults.kubernetes",
                format!("{} is not one of {}", self.default, versions.join(", ")),
            );
        }
        let roles: Vec<&String> = match &self.source {
            Source::Registry(pulled) => pulled.workloads.keys().collect(),
            Source::Recipes(made) => made.workloads.keys().collect(),
        };
        if let Some(role) = ROLES.iter().find(|r| !roles.iter().any(|have| have == *r)) {
            return wrong(&format!("workload.{role}"), "missing".into());
        }
        if let Some(role) = roles.iter().find(|r| !ROLES.contains(&r.as_str())) {
            return wrong(&format!("workload.{role}"), format!("unknown role, known are {ROLES:?}"));
        }
        if let Source::Registry(pulled) = &self.source {
            let nodes = pulled.nodes.iter().map(|n| ("kubernetes".to_owned(), &n.image, &n.digest));
            let workloads =
                pulled.workloads.iter().map(|(r, w)| (format!("workload.{r}"), &w.image, &w.digest));
            for (field, image, digest) in nodes.chain(workloads) {
                check_pin(image, digest.as_deref()).map_err(|(f, why)| (format!("{field}.{f}"), why))?;
            }
        }
        if let Source::Recipes(made) = &self.source {
            for (role, workload) in &made.workloads {
                let built = format!("seatrial.local/{}:{}", workload.piece, workload.version);
                if workload.image != built {
                    return wrong(&format!("workload.{role}.image"), format!("the recipe builds {built}"));
                }
            }
        }
        if self.workload_version("nginx-old") == self.workload_version("nginx-new") {
            return wrong("workload.nginx-new.version", "the two versions of nginx must differ".into());
        }
        Ok(())
    }

    fn workload_version(&self, role: &str) -> Option<&str> {
        match &self.source {
            Source::Registry(pulled) => pulled.workloads.get(role).map(|w| w.version.as_str()),
            Source::Recipes(made) => made.workloads.get(role).map(|w| w.version.as_str()),
        }
    }

    /// Returns the Kubernetes versions of the profile, in the file's order.
    pub fn versions(&self) -> Vec<&str> {
        match &self.source {
            Source::Registry(pulled) => pulled.nodes.iter().map(|n| n.version.as_str()).collect(),
            Source::Recipes(made) => made.releases.iter().map(|r| r.version.as_str()).collect(),
        }
    }

    /// Returns the version to run: the profile's default, the requested version, or the profile's version of the
    /// requested minor version (`1.34`).
    ///
    /// # Errors
    /// [`ProfileError::NoVersion`].
    pub fn version(&self, asked: Option<&str>) -> Result<&str, ProfileError> {
        let Some(asked) = asked else { return Ok(&self.default) };
        let fits = |v: &&str| *v == asked || v.rsplit_once('.').is_some_and(|(minor, _)| minor == asked);
        self.versions().into_iter().find(fits).ok_or_else(|| ProfileError::NoVersion {
            profile: self.name.clone(),
            asked: asked.into(),
            known: self.versions().join(", "),
        })
    }
}

fn check_pin(image: &str, digest: Option<&str>) -> Result<(), (&'static str, String)> {
    let last = image.rsplit('/').next().unwrap_or_default();
    if !last.contains(':') || image.contains('@') {
        return Err(("image", format!("{image:?} is not of the form repository:tag")));
    }
    let hex = |d: &str| d.len() == 64 && d.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match digest {
        Some(d) if !d.strip_prefix("sha256:").is_some_and(hex) => {
            Err(("digest", format!("{d:?} is not sha256: and 64 hex digits")))
        }
        _ => Ok(()),
    }
}

impl Hint for ProfileError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self {
            Self::Unknown { .. } | Self::NoVersion { .. } => FailureKind::Usage,
            _ => FailureKind::Input,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => {
                Some("choose one with --profile or SEATRIAL_PROFILE; the name of a file ends in .toml".into())
            }
            Self::NoVersion { known, .. } => {
                Some(format!("choose one of {known} with --k8s or SEATRIAL_K8S"))
            }
            Self::Read { .. } => Some("choose a profile with --profile or SEATRIAL_PROFILE".into()),
            Self::Syntax { .. } | Self::Field { .. } => {
                Some("start from a copy of a profile in images/; comments there explain each field".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(from: &str, to: &str) -> String {
        let (file, text) = PROFILES[0];
        assert!(text.contains(from), "{from}");
        let error = Profile::parse(file, &text.replacen(from, to, 1)).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error} {source}")
    }

    #[test]
    fn every_profile_that_is_compiled_in_can_be_read_and_is_found_by_name() {
        for (file, text) in PROFILES {
            let profile = Profile::parse(file, text).unwrap_or_else(|e| panic!("{e}: {e:?}"));
            assert_eq!(*file, format!("images/{}.toml", profile.name));
            assert_eq!(Profile::named(&profile.name).unwrap(), profile);
        }
        let error = Profile::named("nope").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"unknown image profile "nope"; known: auto, current, classic, offline"#
        );
    }

    #[test]
    fn a_profile_may_be_a_file_and_is_found_again_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirror.toml");
        std::fs::write(&path, PROFILES[0].1.replace("docker.io", "mirror.local:5000")).unwrap();
        let profile = Profile::named(path.to_str().unwrap()).unwrap();
        let Source::Registry(pulled) = &profile.source else { panic!() };
        assert_eq!(pulled.registry, "mirror.local:5000");
        assert_eq!(Profile::named(&profile.name).unwrap(), profile);
        let error = Profile::named("nowhere/mirror.toml").unwrap_err();
        assert_eq!(error.to_string(), "failed to read the image profile nowhere/mirror.toml");
        std::fs::write(&path, "name = 1").unwrap();
        assert!(matches!(Profile::named(path.to_str().unwrap()), Err(ProfileError::Syntax { .. })));
    }

    #[test]
    fn an_error_names_file_and_field() {
        let text = changed("stands-for = \"mysql:5.6\"", "stand-for = \"mysql:5.6\"");
        assert!(text.contains("images/current.toml") && text.contains("stand-for"), "{text}");
        let text = changed("[workload.mysql]", "[workload.postgres]");
        assert!(text.contains("images/current.toml: workload.mysql: missing"), "{text}");
        let text = changed("digest = \"sha256:b3b9", "digest = \"sha256:");
        assert!(text.contains("workload.mysql.digest:"), "{text}");
        let text = changed("kubernetes = \"1.36.4\"", "kubernetes = \"1.36.5\"");
        assert!(text.contains("defaults.kubernetes: 1.36.5 is not one of 1.34.11"), "{text}");
        let text = changed("version = \"1.30\"", "version = \"1.28\"");
        assert!(text.contains("must differ"), "{text}");
        let text = changed("version = \"1.34.11\"", "version = \"v1.34.11\"");
        assert!(text.contains("without v"), "{text}");
    }

    #[test]
    fn a_version_may_be_left_out_or_given_by_its_minor() {
        let profile = Profile::named("current").unwrap();
        assert_eq!(profile.version(None).unwrap(), "1.36.4");
        assert_eq!(profile.version(Some("1.34")).unwrap(), "1.34.11");
        assert_eq!(profile.version(Some("1.35.8")).unwrap(), "1.35.8");
        let error = profile.version(Some("1.3")).unwrap_err();
        assert!(error.to_string().starts_with("profile current has no Kubernetes 1.3, only 1.34.11"));
        assert!(error.hint().unwrap().contains("--k8s"));
    }
}
