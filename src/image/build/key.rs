//! What a built piece depends on, as one hash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::BuildError;
use super::pieces::Piece;

/// Goes into every key: change it when the builder itself starts to build differently.
const FORMAT: &str = "seatrial piece 1";

/// The key of each piece, by id: sha256 over the recipe's files, the files that all recipes share
/// (those outside any recipe's folder), the parameters, the keys of what it needs, and the
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
        for file in files(&recipes.join(&piece.recipe))?.iter().chain(&shared) {
            let name = file.strip_prefix(recipes).unwrap_or(file).to_string_lossy().into_owned();
            let bytes = std::fs::read(file).map_err(BuildError::file("read", file))?;
            add(&name, &Sha256::digest(bytes));
        }
        keys.insert(piece.id.clone(), hex(&hash.finalize()));
    }
    Ok(keys)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The files outside any folder that has a recipe.
fn shared_files(recipes: &Path) -> Result<Vec<PathBuf>, BuildError> {
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
    Ok(shared)
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
