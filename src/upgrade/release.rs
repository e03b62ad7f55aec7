//! The releases that an upgrade can lead to: those of the image profile that the cluster was created from.

use std::path::Path;

use super::error::UpgradeError;
use super::facts::ReleaseFacts;
use crate::cluster::Clusters;
use crate::config::Settings;
use crate::image::profile::Source;
use crate::image::{self, Artefacts, ImageError, Profile};
use crate::kubernetes::version::{Stage, Version};

/// Largest size in bytes of a release on one node: programs 153 MB, unpacked images 400 MB, and the archive's layers
/// while they are unpacked.
const BYTES: u64 = 1_000_000_000;

/// Label of node images that names their origin.
const NODE_IMAGE_LABEL: &str = "dev.seatrial.node-image";

/// Returns the profile that a node image belongs to: an upgrade must use programs and images of the same origin.
/// A profile that the user named has precedence.
///
/// # Errors
/// Errors of the engine, or an unknown profile.
pub async fn profile_of(clusters: &Clusters, image: &str) -> Result<Profile, UpgradeError> {
    let Clusters { settings, engine, .. } = clusters;
    let named = match settings.profile.as_str() {
        "auto" => {
            let found = engine.image(image).await?;
            let made = found.is_some_and(|i| i.labels.get(NODE_IMAGE_LABEL).is_some_and(|l| l == "offline"));
            if made { "offline" } else { "current" }
        }
        named => named,
    };
    Ok(Profile::named(named).map_err(ImageError::from)?)
}

/// Returns the newest release of a minor version, such as `1.35`. Pre-releases do not count.
pub fn newest<'r>(releases: &'r [ReleaseFacts], line: &str) -> Option<&'r ReleaseFacts> {
    let of_line =
        |release: &&ReleaseFacts| release.version.line() == line && release.version.stage == Stage::Release;
    releases.iter().filter(of_line).max_by_key(|release| release.version)
}

/// Returns the releases of a profile. For images that are built here, the etcd and CoreDNS versions of a release are
/// known from the start; for pulled node images they are known once the image was extracted.
///
/// # Errors
/// An invalid version in the profile.
pub fn releases(settings: &Settings, profile: &Profile) -> Result<Vec<ReleaseFacts>, UpgradeError> {
    let fact = |version: &str, etcd: Option<&str>, coredns: Option<&str>| {
        Ok(ReleaseFacts {
            version: version.parse()?,
            etcd: etcd.map(str::parse).transpose()?,
            coredns: coredns.map(str::parse).transpose()?,
            unreachable: image::obtainable(settings, profile, version).err().map(|e| e.to_string()),
            bytes: BYTES,
        })
    };
    match &profile.source {
        Source::Recipes(made) => {
            made.releases.iter().map(|r| fact(&r.version, Some(&r.etcd_tag), Some(&r.coredns))).collect()
        }
        Source::Registry(pulled) => {
            let releases = pulled.nodes.iter().map(|n| fact(&n.version, None, None));
            let mut releases = releases.collect::<Result<Vec<ReleaseFacts>, _>>()?;
            for node in &pulled.nodes {
                image::known(settings, profile, &node.version).iter().for_each(|a| learn(&mut releases, a));
            }
            Ok(releases)
        }
    }
}

/// Adds what is known about a release whose programs and images are here.
pub fn learn(releases: &mut [ReleaseFacts], artefacts: &Artefacts) {
    for release in releases.iter_mut().filter(|r| r.version.to_string() == artefacts.version) {
        release.etcd = named(&artefacts.images, "etcd");
        release.coredns = named(&artefacts.images, "coredns");
        release.bytes = bytes(artefacts);
    }
}

/// Returns the version of the image whose repository ends in `name`.
fn named(images: &[String], name: &str) -> Option<Version> {
    let of = |image: &&String| image.rsplit('/').next().and_then(|last| last.split(':').next()) == Some(name);
    images.iter().find(of).and_then(|image| Version::of_image(image))
}

/// Returns the bytes that the extracted files need on one node: the programs, and the archive's layers, which need
/// about three times their size when unpacked.
fn bytes(known: &Artefacts) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
    known.programs.iter().map(|p| size(&p.file)).sum::<u64>() + 3 * size(&known.archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_and_coredns_are_found_among_kubeadms_images() {
        let images = [
            "registry.k8s.io/kube-apiserver:v1.35.8",
            "registry.k8s.io/coredns/coredns:v1.13.1",
            "registry.k8s.io/pause:3.10.1",
            "registry.k8s.io/etcd:3.6.6-0",
        ]
        .map(str::to_owned);
        assert_eq!(named(&images, "etcd"), Some(Version::new(3, 6, 6)));
        assert_eq!(named(&images, "coredns"), Some(Version::new(1, 13, 1)));
        assert_eq!(named(&images[..1], "etcd"), None);
    }
}
