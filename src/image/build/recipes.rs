//! The recipes of `offline/`, compiled in: an installed program needs no checkout.

use std::path::{Path, PathBuf};

#[cfg(feature = "offline")]
use include_dir::{Dir, DirEntry, include_dir};
use ring::digest::{Context, SHA256, digest};

use super::error::BuildError;

#[cfg(feature = "offline")]
static OFFLINE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/offline");

/// Writes the recipes below `<cache>/recipes/` and returns their folder. The folder's name contains a hash of its
/// content: another version of seatrial writes another folder, and an existing folder is complete.
///
/// # Errors
/// [`BuildError::File`], [`BuildError::LeftOut`].
pub fn unpack(cache: &Path) -> Result<PathBuf, BuildError> {
    let files = files()?;
    let mut hash = Context::new(&SHA256);
    for (path, bytes) in &files {
        hash.update(path.to_string_lossy().as_bytes());
        hash.update(&[0]);
        hash.update(digest(&SHA256, bytes).as_ref());
    }
    let parent = cache.join("recipes");
    let dir = parent.join(&hex::encode(hash.finish())[..16]);
    if dir.is_dir() {
        return Ok(dir);
    }
    std::fs::create_dir_all(&parent).map_err(BuildError::file("make folder", &parent))?;
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(&parent)
        .map_err(BuildError::file("make a folder in", &parent))?;
    for (path, bytes) in files {
        write(&new.path().join(path), bytes)?;
    }
    match std::fs::rename(new.path(), &dir) {
        Ok(()) => {
            // The temporary folder was renamed, so there is nothing to remove.
            let _ = new.keep();
            Ok(dir)
        }
        // Another process was faster; a folder of the same name has the same content.
        Err(_) if dir.is_dir() => Ok(dir),
        Err(source) => Err(BuildError::File { doing: "rename", path: dir, source }),
    }
}

/// Returns the compiled-in files by path.
#[cfg(feature = "offline")]
fn files() -> Result<Vec<(&'static Path, &'static [u8])>, BuildError> {
    let mut files = Vec::new();
    collect(&OFFLINE, &mut files);
    files.sort();
    Ok(files)
}

#[cfg(not(feature = "offline"))]
fn files() -> Result<Vec<(&'static Path, &'static [u8])>, BuildError> {
    Err(BuildError::LeftOut)
}

#[cfg(feature = "offline")]
fn collect(dir: &'static Dir<'static>, files: &mut Vec<(&'static Path, &'static [u8])>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(sub) => collect(sub, files),
            DirEntry::File(file) => files.push((file.path(), file.contents())),
        }
    }
}

/// Writes a compiled-in file. It has no mode, so a file that begins like a script is made executable.
fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).map_err(BuildError::file("make folder", parent))?;
    std::fs::write(path, bytes).map_err(BuildError::file("write", path))?;
    let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(BuildError::file("set the mode of", path))
}

#[cfg(all(test, feature = "offline"))]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_unpacked_once_and_can_be_run() {
        let cache = tempfile::tempdir().unwrap();
        let dir = unpack(cache.path()).unwrap();
        let recipe = dir.join("pause/build");
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&recipe).unwrap().permissions().mode() & 0o777, 0o755);
        let before = std::fs::metadata(&recipe).unwrap().modified().unwrap();
        assert_eq!(unpack(cache.path()).unwrap(), dir);
        assert_eq!(std::fs::metadata(&recipe).unwrap().modified().unwrap(), before);
        assert_eq!(std::fs::read_dir(cache.path().join("recipes")).unwrap().count(), 1);
    }
}
