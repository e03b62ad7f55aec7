//! The files of a volume, compared between two listings.

use std::collections::BTreeMap;

use crate::event::FileEntry;
use crate::judge::locality::Listing;
use crate::judge::object::names;

/// Ends of the names of files that a process makes and removes while it runs, or when it ends.
const PASSING: [&str; 8] = [".pid", ".sock", ".socket", ".lock", ".tmp", ".swp", ".ibt", "ibtmp1"];
/// Folders of such files. Source: MySQL's manual, "InnoDB Temporary Tablespaces".
const PASSING_FOLDERS: [&str; 2] = ["#innodb_temp/", "pg_stat_tmp/"];

/// Whether a file comes and goes with the process that has it.
fn is_passing(path: &str) -> bool {
    PASSING.iter().any(|end| path.ends_with(end))
        || PASSING_FOLDERS.iter().any(|folder| path.contains(folder))
}

/// How the files of one listing compare with those of another.
pub enum Compared {
    /// Every file is there with its size and, where both are known, its checksum.
    Same {
        /// Whether checksums of all files prove it.
        proved: bool,
    },
    /// Some files are there.
    Partly,
    /// None is there.
    None,
}

/// Returns the files of a listing, without folders and without those that come and go with a process.
pub fn files<'r>(listing: &Listing<'r>) -> Vec<&'r FileEntry> {
    listing.entries.iter().filter(|entry| !entry.path.ends_with('/') && !is_passing(&entry.path)).collect()
}

/// Returns the files and folders of one listing that another one lacks, but for those that come and go with a process.
pub fn missing<'r>(before: &Listing<'r>, now: &Listing<'_>) -> Vec<&'r str> {
    let all = before.entries.iter().map(|entry| entry.path.as_str());
    all.filter(|path| !is_passing(path) && !now.has(path)).collect()
}

/// Whether some file is in both listings.
pub fn share_a_file(before: &Listing<'_>, now: &Listing<'_>) -> bool {
    files(before).iter().any(|file| now.has(&file.path))
}

/// Whether a file has the same checksum in both listings.
pub fn share_a_checksum(before: &Listing<'_>, now: &Listing<'_>) -> bool {
    let is_same = |was: &&FileEntry| {
        was.sha256.is_some() && now.entries.iter().any(|is| is.path == was.path && is.sha256 == was.sha256)
    };
    files(before).iter().any(is_same)
}

/// Whether at least half of the files have the checksum that they had, or the name where no checksum is known.
pub fn keeps_most(before: &Listing<'_>, now: &Listing<'_>) -> bool {
    let all = files(before);
    let is_same = |was: &&&FileEntry| {
        let is = now.entries.iter().find(|is| is.path == was.path);
        is.is_some_and(|is| was.sha256.is_none() || was.sha256 == is.sha256)
    };
    2 * all.iter().filter(is_same).count() >= all.len()
}

/// Returns the server ids of both listings, if both are known. Files of another server are not the same files, whatever their
/// names are.
pub fn servers<'r>(before: &Listing<'r>, now: &Listing<'r>) -> Option<(&'r str, &'r str)> {
    before.server_uuid.zip(now.server_uuid)
}

/// Names at most five of some files.
pub fn some(paths: &[&str]) -> String {
    match paths {
        [a, b, c, d, e, rest @ ..] if !rest.is_empty() => {
            format!("{} and {} more", [*a, *b, *c, *d, *e].join(", "), rest.len())
        }
        all => names(all),
    }
}

pub fn compare(before: &Listing<'_>, now: &Listing<'_>) -> Compared {
    let there: BTreeMap<&str, &FileEntry> = files(now).into_iter().map(|e| (e.path.as_str(), e)).collect();
    let (mut same, mut found, mut proved) = (true, false, true);
    for was in files(before) {
        let Some(is) = there.get(was.path.as_str()) else {
            same = false;
            continue;
        };
        found = true;
        let sums = was.sha256.as_ref().zip(is.sha256.as_ref());
        same &= was.size == is.size && sums.is_none_or(|(was, is)| was == is);
        proved &= sums.is_some();
    }
    match (same, found) {
        (true, _) => Compared::Same { proved },
        (false, true) => Compared::Partly,
        (false, false) => Compared::None,
    }
}
