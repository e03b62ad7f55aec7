//! Computes the key of a built piece: one hash of everything that it depends on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256, digest};

use super::error::BuildError;
use super::pieces::Piece;

/// Part of every key. Change it when the builder itself builds differently.
const FORMAT: &str = "seatrial piece 1";

/// Returns the key of each piece, by id: the sha256 over the recipe's files, the shared files (outside any recipe's
/// folder) that it names, the parameters, the keys of the pieces that it needs, and the machine's architecture. Equal
/// keys mean equal inputs. Packages that mirrors serve at the time are not an input.
pub(super) fn keys(recipes: &Path, pieces: &[Piece]) -> Result<BTreeMap<String, String>, BuildError> {
    let shared = shared_files(recipes)?;
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    for piece in pieces {
        let mut hash = Context::new(&SHA256);
        let mut add = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), value] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        };
        add("format", FORMAT.as_bytes());
        add("architecture", std::env::consts::ARCH.as_bytes());
        add("recipe", piece.recipe.as_bytes());
        add("version", piece.version.as_bytes());
        for (name, value) in &piece.parameters {
            add(name, value.as_bytes());
        }
        for need in &piece.needs {
            let key = keys
                .get(need)
                .ok_or_else(|| BuildError::Order { piece: piece.id.clone(), need: need.clone() })?;
            add(need, key.as_bytes());
        }
        let mut inputs = Vec::new();
        for file in files(&recipes.join(&piece.recipe))? {
            inputs.push(read(file)?);
        }
        take_named(&mut inputs, &shared);
        for (file, bytes) in &inputs {
            let name = file.strip_prefix(recipes).unwrap_or(file).to_string_lossy();
            add(&name, digest(&SHA256, bytes).as_ref());
        }
        keys.insert(piece.id.clone(), hex::encode(hash.finish()));
    }
    Ok(keys)
}

type Text = (PathBuf, Vec<u8>);

fn read(file: PathBuf) -> Result<Text, BuildError> {
    let bytes = std::fs::read(&file).map_err(BuildError::file("read", &file))?;
    Ok((file, bytes))
}

/// Adds the shared files whose names occur in the inputs, and the files that those name in turn. A recipe cannot source
/// a file without naming it. A shared file that a recipe does not name must not change its key: a change to the helper
/// for packages must not rebuild Kubernetes, which uses no packages.
fn take_named(inputs: &mut Vec<Text>, shared: &[Text]) {
    let mut seen = 0;
    while seen < inputs.len() {
        let text = inputs[seen].1.clone();
        seen += 1;
        for file in shared {
            let name = file.0.file_name().unwrap_or_default().as_encoded_bytes();
            let named = text.windows(name.len().max(1)).any(|w| w == name);
            if named && !inputs.iter().any(|have| have.0 == file.0) {
                inputs.push(file.clone());
            }
        }
    }
}

/// Returns the files outside all folders that have a recipe.
fn shared_files(recipes: &Path) -> Result<Vec<Text>, BuildError> {
    let mut shared = Vec::new();
    for entry in std::fs::read_dir(recipes).map_err(BuildError::file("read folder", recipes))? {
        let path = entry.map_err(BuildError::file("read folder", recipes))?.path();
        if !path.is_dir() {
            shared.push(path);
        } else if !path.join("build").is_file() {
            shared.extend(files(&path)?);
        }
    }
    shared.sort();
    shared.into_iter().map(read).collect()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).map_err(BuildError::file("read folder", &dir))? {
            let path = entry.map_err(BuildError::file("read folder", &dir))?.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}
