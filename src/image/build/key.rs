//! What a built piece depends on, as one hash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::BuildError;
use super::pieces::Piece;

/// Goes into every key: change it when the builder itself starts to build differently.
const FORMAT: &str = "seatrial piece 1";

/// The key of each piece, by id: sha256 over the recipe's files, the shared files (those outside
/// any recipe's folder) that it names, the parameters, the keys of what it needs, and the
/// machine's architecture. Equal keys mean equal inputs; what package mirrors serve in the
/// meantime is not an input.
pub(super) fn keys(recipes: &Path, pieces: &[Piece]) -> Result<BTreeMap<String, String>, BuildError> {
    let shared = shared_files(recipes)?;
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    for piece in pieces {
        let mut hash = Sha256::new();
        let mut add = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), value] {
                hash.update((part.len() as u64).to_le_bytes());
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
            add(&name, &Sha256::digest(bytes));
        }
        keys.insert(piece.id.clone(), hex::encode(hash.finalize()));
    }
    Ok(keys)
}

type Text = (PathBuf, Vec<u8>);

fn read(file: PathBuf) -> Result<Text, BuildError> {
    let bytes = std::fs::read(&file).map_err(BuildError::file("read", &file))?;
    Ok((file, bytes))
}

/// Adds the shared files whose names occur in what is there, and those that they name in turn. A
/// recipe can source nothing without naming it; a change to the helper for packages must not build
/// Kubernetes again, which has none.
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

/// The files outside any folder that has a recipe.
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
