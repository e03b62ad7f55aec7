//! Parses the output of the script in a node image, and checks the archive that it made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use serde::Deserialize;

/// A program's file in the node image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InImage {
    /// Its path in the image.
    pub(super) file: String,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// The names under which it is called.
    pub(super) names: Vec<String>,
}

/// The script's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) programs: Vec<InImage>,
    pub(super) images: Vec<String>,
    /// The image that is really present, by the name that kubeadm requires.
    pub(super) stand_ins: BTreeMap<String, String>,
    /// The archive's path and size in bytes.
    pub(super) archive: (String, u64),
}

/// Why the script's output or its archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToldError {
    /// A line is not valid.
    #[error("the script printed {0:?}")]
    Line(String),
    /// The lines of one kind are missing.
    #[error("the script reported no {0}")]
    Nothing(&'static str),
    /// The archive is not a readable file.
    #[error("its archive cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// The manifest is not JSON of the expected form.
    #[error("its archive has an invalid manifest: {0}")]
    Manifest(serde_json::Error),
    /// The manifest is missing.
    #[error("its archive has no manifest")]
    NoManifest,
    /// An image is missing.
    #[error("its archive lacks {0}")]
    NoImage(String),
    /// A layer or the configuration of an image is missing.
    #[error("its archive lacks {part} of {image}")]
    NoPart { part: String, image: String },
}

impl Told {
    /// Parses the script's lines.
    pub(super) fn read(said: &str) -> Result<Self, ToldError> {
        let mut told = Self::default();
        for line in said.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let invalid = || ToldError::Line(line.to_owned());
            let number = |text: &str| text.parse::<u64>().map_err(|_| invalid());
            match words[..] {
                ["program", name, file, bytes] => match told.programs.iter_mut().find(|p| p.file == file) {
                    Some(known) => known.names.push(name.into()),
                    None => told.programs.push(InImage {
                        file: file.into(),
                        bytes: number(bytes)?,
                        names: vec![name.into()],
                    }),
                },
                ["image", name] => told.images.push(name.into()),
                ["stand-in", there, wanted] => _ = told.stand_ins.insert(wanted.into(), there.into()),
                ["archive", file, bytes] => told.archive = (file.into(), number(bytes)?),
                _ => return Err(invalid()),
            }
        }
        let nothing = [
            ("programs", told.programs.is_empty()),
            ("images", told.images.is_empty()),
            ("archive", told.archive.0.is_empty()),
        ];
        match nothing.iter().find(|(_, nothing)| *nothing) {
            Some((what, _)) => Err(ToldError::Nothing(what)),
            None => Ok(told),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Checks that an archive contains these images completely.
///
/// Exporters treat a missing layer differently. A node would accept an archive without it and fail when the first
/// container starts.
pub(super) fn whole(archive: &Path, images: &[String]) -> Result<(), ToldError> {
    let lost = ToldError::Unreadable;
    let mut parts = BTreeSet::new();
    let mut manifest: Option<Vec<Image>> = None;
    let mut archive = tar::Archive::new(File::open(archive).map_err(lost)?);
    for entry in archive.entries_with_seek().map_err(lost)? {
        let entry = entry.map_err(lost)?;
        let path = entry.path().map_err(lost)?.to_string_lossy().trim_start_matches("./").to_owned();
        if path == "manifest.json" {
            let read = serde_json::from_reader(entry);
            manifest = Some(read.map_err(ToldError::Manifest)?);
        } else {
            parts.insert(path);
        }
    }
    let manifest = manifest.ok_or(ToldError::NoManifest)?;
    for name in images {
        let tagged = |i: &&Image| i.repo_tags.iter().flatten().any(|t| t == name);
        let image = manifest.iter().find(tagged).ok_or_else(|| ToldError::NoImage(name.clone()))?;
        if let Some(part) = image.layers.iter().chain([&image.config]).find(|p| !parts.contains(*p)) {
            return Err(ToldError::NoPart { part: part.clone(), image: name.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_in_one_file_are_extracted_once() {
        let said = "program kubeadm /usr/bin/kube 9\nprogram kubelet /usr/bin/kube 9\n\
                    program kubectl /usr/bin/kubectl 3\nimage a:1\nimage pause:2\nstand-in pause:1 pause:2\n\
                    archive /var/x.tar 12\n";
        let told = Told::read(said).unwrap();
        assert_eq!(told.programs[0].names, ["kubeadm", "kubelet"]);
        assert_eq!((told.programs.len(), told.programs[1].bytes), (2, 3));
        assert_eq!(told.images, ["a:1", "pause:2"]);
        assert_eq!(told.stand_ins["pause:2"], "pause:1");
        assert_eq!(told.archive, ("/var/x.tar".into(), 12));
    }

    #[test]
    fn an_incomplete_script_output_is_an_error() {
        for (said, why) in [
            ("", "the script reported no programs"),
            ("program a b 1\narchive c 1", "the script reported no images"),
            ("program a b 1\nimage c", "the script reported no archive"),
            ("program a b many", "the script printed \"program a b many\""),
            ("image", "the script printed \"image\""),
        ] {
            assert_eq!(Told::read(said).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn an_archive_without_a_part_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = r#"[{"Config":"c.json","RepoTags":["a:1","b:1"],"Layers":["1.tar","2.tar"]},
                           {"Config":"d.json","RepoTags":null,"Layers":[]}]"#;
        let write = |parts: &[&str]| {
            let path = folder.path().join("x.tar");
            let mut archive = tar::Builder::new(File::create(&path).unwrap());
            for part in parts {
                let bytes = if *part == "manifest.json" { manifest.as_bytes() } else { b"{}" };
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_cksum();
                archive.append_data(&mut header, part, bytes).unwrap();
            }
            archive.finish().unwrap();
            path
        };
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let all = ["c.json", "1.tar", "2.tar", "manifest.json"];
        whole(&write(&all), &names(&["a:1", "b:1"])).unwrap();
        let lacks =
            |parts: &[&str], images: &[&str]| whole(&write(parts), &names(images)).unwrap_err().to_string();
        assert_eq!(lacks(&all, &["a:1", "e:1"]), "its archive lacks e:1");
        assert_eq!(lacks(&["c.json", "1.tar", "manifest.json"], &["b:1"]), "its archive lacks 2.tar of b:1");
        assert_eq!(lacks(&["1.tar", "2.tar", "manifest.json"], &["b:1"]), "its archive lacks c.json of b:1");
        assert_eq!(lacks(&["c.json"], &["a:1"]), "its archive has no manifest");
    }
}
