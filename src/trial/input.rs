//! Reads manifests from files, folders and standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::TrialError;
use super::file::is_trial_file;
use crate::manifest::Manifest;

/// Where manifests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file, or a folder whose `.yaml`, `.yml` and `.json` files are read in the order of their names, as
    /// `kubectl apply -f` does. Folders in it are not read.
    Path(PathBuf),
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        match text {
            "-" => Self::Stdin,
            path => Self::Path(path.into()),
        }
    }
}

/// Reads all sources as one manifest.
///
/// # Errors
/// [`TrialError`] with file and line.
pub fn read(sources: &[Source]) -> Result<Manifest, TrialError> {
    let mut all: Option<Manifest> = None;
    let mut add = |name: &str, bytes: &[u8]| -> Result<(), TrialError> {
        let read = Manifest::read_bytes(name, bytes)?;
        all = Some(match all.take() {
            Some(earlier) => earlier.join(read),
            None => read,
        });
        Ok(())
    };
    for source in sources {
        match source {
            Source::Stdin => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut bytes);
                read.map_err(|source| TrialError::Read { path: "standard input".into(), source })?;
                add("standard input", &bytes)?;
            }
            Source::Path(path) => {
                let (files, is_folder) = (files(path)?, path.is_dir());
                for file in files {
                    let bytes = std::fs::read(&file).map_err(failed(&file))?;
                    // A trial file may be next to its manifests.
                    if is_folder && std::str::from_utf8(&bytes).is_ok_and(is_trial_file) {
                        continue;
                    }
                    add(&file.display().to_string(), &bytes)?;
                }
            }
        }
    }
    Ok(all.unwrap_or(Manifest::read("", "")?))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> TrialError {
    |source| TrialError::Read { path: path.into(), source }
}

/// Returns the file itself, or the manifests of a folder.
fn files(path: &Path) -> Result<Vec<PathBuf>, TrialError> {
    if !std::fs::metadata(path).map_err(failed(path))?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(failed(path))? {
        let found = entry.map_err(failed(path))?.path();
        let is_manifest =
            found.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        match found.is_dir() {
            true => folders.push(found),
            false if is_manifest => files.push(found),
            false => {}
        }
    }
    files.sort();
    folders.sort();
    if files.is_empty() {
        return Err(TrialError::Empty { path: path.into(), folders });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_its_names_and_without_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let object =
            |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}\n");
        for (file, text) in [("b.yml", object("b")), ("a.yaml", object("a")), ("c.json", object("c"))] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        std::fs::write(dir.path().join("README.md"), "no manifest").unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let read = |path: &Path| super::read(&[Source::Path(path.into())]);
        std::fs::write(dir.path().join("trial.yaml"), "trial: shop\nmanifests: [.]\n").unwrap();
        let manifest = read(dir.path()).unwrap();
        let names: Vec<&str> = manifest.objects().iter().map(|o| o.name()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let empty = read(&dir.path().join("d")).unwrap_err();
        assert!(empty.to_string().ends_with("d has no file that ends in .yaml, .yml or .json"), "{empty}");
        let missing = read(&dir.path().join("e")).unwrap_err();
        assert!(matches!(missing, TrialError::Read { .. }), "{missing}");
        std::fs::write(dir.path().join("d/x.yaml"), "kind: [").unwrap();
        let wrong = read(&dir.path().join("d")).unwrap_err();
        assert!(wrong.to_string().contains("d/x.yaml:1"), "{wrong}");
    }
}
