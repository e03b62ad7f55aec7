//! On which nodes files are: listings of one path on every node of a cluster.

use std::collections::BTreeMap;

use super::index::Of;
use super::{Evidence, Finding, Missing};
use crate::event::{Event, FileEntry, Record};

/// The last listing of one path on one node under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing<'r> {
    /// The node.
    pub node: &'r str,
    /// State of the node's container.
    pub power: &'r str,
    /// The path.
    pub path: &'r str,
    /// Whether the path exists.
    pub exists: bool,
    /// The entries of the path.
    pub entries: &'r [FileEntry],
    /// The server id in the path's `auto.cnf`.
    pub server_uuid: Option<&'r str>,
    /// Why the entries may be incomplete.
    pub incomplete: Option<&'r str>,
}

impl Listing<'_> {
    /// Whether an entry was listed; names of folders end in `/`.
    pub fn has(&self, path: &str) -> bool {
        self.entries.iter().any(|e| e.path == path)
    }

    /// Whether the path is empty or missing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a check that something is absent. An absence in an incomplete listing is inconclusive.
    pub(super) fn must_lack(&self, finding: &mut Finding, absent: bool, what: String) {
        match self.incomplete {
            Some(why) if absent => finding.unsure(format!("{what}, as far as it was listed: {why}")),
            _ => finding.check(absent, what),
        };
    }

    /// Adds a check that something is there. An absence in an incomplete listing is inconclusive.
    pub(super) fn must_have(&self, finding: &mut Finding, has: bool, what: String) {
        match self.incomplete {
            Some(why) if !has => finding.unsure(format!("{what}, as far as it was listed: {why}")),
            _ => finding.check(has, what),
        };
    }

    fn names(&self) -> String {
        let top = |e: &&FileEntry| !e.path.trim_end_matches('/').contains('/');
        let names: Vec<&str> = self.entries.iter().filter(top).map(|e| e.path.as_str()).collect();
        match names.len() {
            0 => "nothing".into(),
            n if n > 8 => format!("{} and {} more", names[..8].join(" "), n - 8),
            _ => names.join(" "),
        }
    }
}

/// Returns the listing in a record, with its name.
fn of(record: &Record) -> Option<(&str, Listing<'_>)> {
    let Event::FilesListed {
        listing: name, node, power, path, exists, entries, server_uuid, incomplete, ..
    } = &record.event
    else {
        return None;
    };
    let (server_uuid, incomplete) = (server_uuid.as_deref(), incomplete.as_deref());
    Some((name, Listing { node, power, path, exists: *exists, entries, server_uuid, incomplete }))
}

/// Returns the last listing with a name of a path on a node.
///
/// # Errors
/// [`Missing`] if the path was not listed there.
pub fn listing<'r>(
    evidence: &Evidence<'r>,
    listing: &str,
    node: &str,
    path: &str,
) -> Result<Listing<'r>, Missing> {
    let all = evidence.all(Of::Listings).rev().filter_map(of).filter(|(name, _)| *name == listing);
    let found = all.map(|(_, found)| found).find(|found| found.node == node && found.path == path);
    found.ok_or_else(|| Missing(format!("{path} was not listed on {node} (`{listing}`)")))
}

/// Returns the last listing of a path on a node, under any name, before the listing with the given name; none if every
/// earlier listing was empty.
pub fn last_before<'r>(
    evidence: &Evidence<'r>,
    listing: &str,
    node: &str,
    path: &str,
) -> Option<Listing<'r>> {
    let all = evidence.all(Of::Listings).filter_map(of);
    let before = all.take_while(|(name, _)| *name != listing).map(|(_, found)| found);
    before.filter(|found| found.node == node && found.path == path && !found.is_empty()).last()
}

/// Returns the last listing with a name for each node.
///
/// # Errors
/// [`Missing`] if a node of `nodes` was not listed, because the file may be on that node, or if the nodes were not all
/// listed at the same path.
pub fn listings<'r>(
    evidence: &Evidence<'r>,
    listing: &str,
    nodes: &[String],
) -> Result<BTreeMap<&'r str, Listing<'r>>, Missing> {
    let of_name = |record| of(record).filter(|(name, _)| *name == listing);
    let all = evidence.all(Of::Listings).filter_map(of_name);
    let found: BTreeMap<&str, Listing<'_>> = all.map(|(_, listing)| (listing.node, listing)).collect();
    let unseen: Vec<&str> = nodes.iter().map(String::as_str).filter(|n| !found.contains_key(n)).collect();
    if nodes.is_empty() || !unseen.is_empty() {
        return Err(Missing(format!("`{listing}` was not listed on {}", join(&unseen))));
    }
    let mut paths: Vec<&str> = found.values().map(|l| l.path).collect();
    paths.sort_unstable();
    paths.dedup();
    match paths.len() {
        1 => Ok(found),
        _ => Err(Missing(format!("`{listing}` lists several paths: {}", paths.join(", ")))),
    }
}

/// Adds a check that `entries` are on `home` and on no other node.
pub fn only_on(finding: &mut Finding, all: &BTreeMap<&str, Listing<'_>>, home: &str, entries: &[&str]) {
    let Some(at_home) = all.get(home) else {
        finding.unsure(format!("{home} was not listed"));
        return;
    };
    holds(finding, at_home, entries);
    if all.len() < 2 {
        finding.unsure(format!("{home} is the only node that was listed"));
    }
    for other in all.values().filter(|l| l.node != home) {
        none_of(finding, other, entries, " too");
    }
}

/// Adds a check that `entries` are on a node.
pub fn holds(finding: &mut Finding, listing: &Listing<'_>, entries: &[&str]) {
    let lacking: Vec<&str> = entries.iter().copied().filter(|e| !listing.has(e)).collect();
    let what = match lacking.is_empty() {
        true => format!("{} on {} has {}", listing.path, listing.node, entries.join(" ")),
        false => format!(
            "{} on {} lacks {}: it has {}",
            listing.path,
            listing.node,
            lacking.join(" "),
            listing.names()
        ),
    };
    listing.must_have(finding, lacking.is_empty(), what);
    // A truncated file still exists, but holds nothing.
    let of_them = listing.entries.iter().filter(|e| entries.contains(&e.path.as_str()));
    let empty: Vec<&str> = of_them.filter(|e| is_empty_file(e)).map(|e| e.path.as_str()).collect();
    if !empty.is_empty() {
        finding.check(false, format!("files of 0 bytes on {}: {}", listing.node, empty.join(" ")));
    }
}

fn is_empty_file(entry: &FileEntry) -> bool {
    !entry.path.ends_with('/') && entry.link.is_none() && entry.size == 0
}

/// Adds a check for each node that none of `entries` is there.
pub fn nowhere(finding: &mut Finding, all: &BTreeMap<&str, Listing<'_>>, entries: &[&str]) {
    if all.is_empty() {
        finding.unsure("no node was listed");
    }
    all.values().for_each(|listing| none_of(finding, listing, entries, ""));
}

fn none_of(finding: &mut Finding, listing: &Listing<'_>, entries: &[&str], too: &str) {
    let there: Vec<&str> = entries.iter().copied().filter(|e| listing.has(e)).collect();
    let at = format!("{} on {} ({})", listing.path, listing.node, listing.power);
    let what = match there.is_empty() {
        true => format!("{at} has none of {}", entries.join(" ")),
        false => format!("{at} has {}{too}", there.join(" ")),
    };
    listing.must_lack(finding, there.is_empty(), what);
}

/// Adds a check for each of `nodes` that its listing is empty.
pub fn nothing_on(finding: &mut Finding, all: &BTreeMap<&str, Listing<'_>>, nodes: &[&str]) {
    for node in nodes {
        let Some(listing) = all.get(node) else {
            finding.unsure(format!("{node} was not listed"));
            continue;
        };
        let what = format!("{} on {node} ({}) holds {}", listing.path, listing.power, listing.names());
        listing.must_lack(finding, listing.is_empty(), what);
    }
}

/// Adds a check that the files on a node belong to a server: their `auto.cnf` names the server's id.
pub fn files_of(finding: &mut Finding, listing: &Listing<'_>, uuid: &str) {
    match listing.server_uuid {
        None => finding.unsure(format!("no auto.cnf was read on {}", listing.node)),
        Some(found) => finding.check(
            found == uuid && !uuid.is_empty(),
            format!(
                "auto.cnf on {} ({}) names server {found}, the server says {uuid}",
                listing.node, listing.power
            ),
        ),
    };
}

/// Adds the checks that nothing was written between two listings of a node: those of [`back_on`], and that every file
/// has its earlier size.
pub fn untouched(
    finding: &mut Finding,
    earlier: &Listing<'_>,
    later: &Listing<'_>,
    passing: impl Fn(&str) -> bool,
) {
    back_on(finding, earlier, later, &passing);
    let now: BTreeMap<&str, u64> = later.entries.iter().map(|e| (e.path.as_str(), e.size)).collect();
    let then = earlier.entries.iter().filter(|e| !e.path.ends_with('/') && !passing(&e.path));
    let changed: Vec<String> = then
        .filter_map(|was| {
            let size = now.get(was.path.as_str()).filter(|size| **size != was.size)?;
            Some(format!("{} ({} bytes, now {size})", was.path, was.size))
        })
        .collect();
    let what =
        if changed.is_empty() { "all the same".into() } else { format!("changed: {}", changed.join(", ")) };
    finding.check(changed.is_empty(), format!("sizes of files on {}: {what}", earlier.node));
}

/// Adds a check that no file was truncated since an earlier listing. A server may have written in between.
pub fn not_emptied(
    finding: &mut Finding,
    earlier: &Listing<'_>,
    later: &Listing<'_>,
    passing: impl Fn(&str) -> bool,
) {
    let then = earlier.entries.iter().filter(|e| e.size > 0 && !e.path.ends_with('/') && !passing(&e.path));
    let is_empty = |was: &&FileEntry| later.entries.iter().any(|e| e.path == was.path && is_empty_file(e));
    let emptied: Vec<String> =
        then.filter(is_empty).map(|was| format!("{} ({} bytes before)", was.path, was.size)).collect();
    let what = if emptied.is_empty() { "none".into() } else { emptied.join(", ") };
    finding
        .check(emptied.is_empty(), format!("files emptied on {} since a server ran: {what}", earlier.node));
}

/// Adds the checks that the earlier files are on a node again: no entry of the earlier listing is missing, each has its
/// earlier owner, none was truncated, and small files with a checksum in both listings hold the same bytes. Entries
/// that `passing` names are left out, because a running server creates, removes and changes them.
pub fn back_on(
    finding: &mut Finding,
    earlier: &Listing<'_>,
    later: &Listing<'_>,
    passing: impl Fn(&str) -> bool,
) {
    let now: BTreeMap<&str, &FileEntry> = later.entries.iter().map(|e| (e.path.as_str(), e)).collect();
    let then: Vec<&FileEntry> = earlier.entries.iter().filter(|e| !passing(&e.path)).collect();
    if then.is_empty() {
        finding.unsure(format!("nothing was listed on {} before", earlier.node));
        return;
    }
    if let Some(why) = earlier.incomplete {
        finding.unsure(format!("not all of {} was listed before: {why}", earlier.node));
    }
    let mut gone = Vec::new();
    let (mut owners, mut emptied) = (Vec::new(), Vec::new());
    let (mut changed, mut summed) = (Vec::new(), 0);
    for was in &then {
        let Some(is) = now.get(was.path.as_str()) else {
            gone.push(was.path.as_str());
            continue;
        };
        if is.uid != was.uid {
            owners.push(format!("{} of {} is now of {}", was.path, was.uid, is.uid));
        }
        if is_empty_file(is) && was.size > 0 {
            emptied.push(format!("{} ({} bytes before)", was.path, was.size));
        }
        if let (Some(before), Some(after)) = (&was.sha256, &is.sha256) {
            summed += 1;
            if before != after {
                changed.push(format!("{} ({} bytes, now {})", was.path, was.size, is.size));
            }
        }
    }
    let (count, node) = (then.len(), earlier.node);
    let what = if gone.is_empty() { "all still there".into() } else { format!("gone: {}", gone.join(" ")) };
    later.must_have(finding, gone.is_empty(), format!("of {count} files and folders on {node}: {what}"));
    if !owners.is_empty() {
        finding.check(false, format!("owners on {node} changed: {}", owners.join(", ")));
    }
    if !emptied.is_empty() {
        finding.check(false, format!("files of 0 bytes on {node}: {}", emptied.join(", ")));
    }
    if summed > 0 {
        let what = if changed.is_empty() {
            "all the same".into()
        } else {
            format!("changed: {}", changed.join(", "))
        };
        finding.check(changed.is_empty(), format!("checksums of {summed} small files on {node}: {what}"));
    }
}

fn join(names: &[&str]) -> String {
    if names.is_empty() { "any node".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Conclusion;

    const MYSQL: &[&str] = &["auto.cnf", "ibdata1", "mysql/"];

    fn entry(path: &str) -> FileEntry {
        FileEntry { path: path.into(), size: 1, uid: 999, mode: 0o640, ..FileEntry::default() }
    }

    fn listing<'r>(node: &'r str, entries: &'r [FileEntry]) -> Listing<'r> {
        Listing {
            node,
            power: "running",
            path: "/mnt/data",
            exists: !entries.is_empty(),
            entries,
            server_uuid: Some("uuid-a"),
            incomplete: None,
        }
    }

    fn conclude(check: impl FnOnce(&mut Finding)) -> (Conclusion, String) {
        let mut finding = Finding::new();
        check(&mut finding);
        (finding.conclusion(), finding.evidence())
    }

    #[test]
    fn eight_names_are_given_and_the_rest_is_counted() {
        let files: Vec<FileEntry> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(entry).into();
        assert_eq!(listing("w1", &files[..8]).names(), "a b c d e f g h");
        assert_eq!(listing("w1", &files).names(), "a b c d e f g h and 1 more");
    }

    #[test]
    fn files_on_one_node_only() {
        let files: Vec<FileEntry> = MYSQL.iter().copied().map(entry).collect();
        let good = BTreeMap::from([("w1", listing("w1", &files)), ("w2", listing("w2", &[]))]);
        assert_eq!(conclude(|f| only_on(f, &good, "w1", MYSQL)).0, Conclusion::Passed);
        let (conclusion, text) = conclude(|f| only_on(f, &good, "w2", MYSQL));
        assert_eq!(conclusion, Conclusion::Failed);
        assert!(text.contains("w2 lacks auto.cnf ibdata1 mysql/: it has nothing"), "{text}");
        let twice = BTreeMap::from([("w1", listing("w1", &files)), ("w2", listing("w2", &files[2..]))]);
        let (conclusion, text) = conclude(|f| only_on(f, &twice, "w1", MYSQL));
        assert_eq!(
            (conclusion, text.as_str()),
            (Conclusion::Failed, "/mnt/data on w2 (running) has mysql/ too")
        );
        let alone = BTreeMap::from([("w1", listing("w1", &files))]);
        assert_eq!(conclude(|f| only_on(f, &alone, "w1", MYSQL)).0, Conclusion::Inconclusive);
    }

    #[test]
    fn nowhere_is_no_node_at_all() {
        let files = [entry("qa/")];
        let all = BTreeMap::from([("w1", listing("w1", &files)), ("w2", listing("w2", &[]))]);
        assert_eq!(conclude(|f| nowhere(f, &all, &["other/"])).0, Conclusion::Passed);
        let (conclusion, text) = conclude(|f| nowhere(f, &all, &["qa/"]));
        assert_eq!((conclusion, text.as_str()), (Conclusion::Failed, "/mnt/data on w1 (running) has qa/"));
        assert_eq!(conclude(|f| nowhere(f, &BTreeMap::new(), &["qa/"])).0, Conclusion::Inconclusive);
    }

    #[test]
    fn what_was_not_listed_is_neither_there_nor_absent() {
        let files = [entry("auto.cnf"), entry("qa/")];
        let why = Some("more than 50000 entries");
        let part = |node, entries| Listing { incomplete: why, ..listing(node, entries) };
        let all = BTreeMap::from([("w1", part("w1", &files[..])), ("w2", part("w2", &[]))]);
        for (check, conclusion) in [
            (conclude(|f| holds(f, &all["w1"], &["qa/"])), Conclusion::Passed),
            (conclude(|f| holds(f, &all["w1"], &["other/"])), Conclusion::Inconclusive),
            (conclude(|f| nothing_on(f, &all, &["w2"])), Conclusion::Inconclusive),
            (conclude(|f| nothing_on(f, &all, &["w1"])), Conclusion::Failed),
            (conclude(|f| nowhere(f, &all, &["other/"])), Conclusion::Inconclusive),
            (conclude(|f| nowhere(f, &all, &["qa/"])), Conclusion::Failed),
            (conclude(|f| only_on(f, &all, "w1", &["qa/"])), Conclusion::Inconclusive),
            (
                conclude(|f| back_on(f, &all["w1"], &part("w1", &files[..1]), |_| false)),
                Conclusion::Inconclusive,
            ),
        ] {
            assert_eq!(check.0, conclusion, "{}", check.1);
        }
    }

    #[test]
    fn what_is_back_has_its_owner_and_its_bytes() {
        let before = [FileEntry { sha256: Some("one".into()), ..entry("auto.cnf") }];
        let earlier = listing("w1", &before);
        let later =
            |entry: FileEntry| conclude(|f| back_on(f, &earlier, &listing("w1", &[entry]), |_| false));
        assert_eq!(later(before[0].clone()).0, Conclusion::Passed);
        let unread = FileEntry { sha256: None, ..before[0].clone() };
        let (conclusion, text) = later(unread);
        assert!(
            conclusion == Conclusion::Passed && !text.contains("checksums"),
            "nothing was summed: {text}"
        );
        let (conclusion, text) = later(FileEntry { uid: 0, ..before[0].clone() });
        assert_eq!(
            (conclusion, text.as_str()),
            (Conclusion::Failed, "owners on w1 changed: auto.cnf of 999 is now of 0")
        );
        let (conclusion, text) = later(FileEntry { size: 0, sha256: None, ..before[0].clone() });
        assert_eq!(
            (conclusion, text.as_str()),
            (Conclusion::Failed, "files of 0 bytes on w1: auto.cnf (1 bytes before)")
        );
        let (conclusion, text) = later(FileEntry { sha256: Some("two".into()), ..before[0].clone() });
        assert_eq!(conclusion, Conclusion::Failed);
        assert!(text.contains("changed: auto.cnf (1 bytes, now 1)"), "{text}");
    }

    #[test]
    fn a_file_that_nobody_writes_keeps_its_size() {
        let before = [entry("qa/ledger.ibd"), entry("ibtmp1")];
        let grown = before.clone().map(|e| FileEntry { size: 2, ..e });
        let (earlier, later) = (listing("w1", &before), listing("w1", &grown));
        assert_eq!(conclude(|f| back_on(f, &earlier, &later, |_| false)).0, Conclusion::Passed);
        assert_eq!(conclude(|f| untouched(f, &earlier, &earlier, |_| false)).0, Conclusion::Passed);
        let (conclusion, text) = conclude(|f| untouched(f, &earlier, &later, |p| p == "ibtmp1"));
        assert_eq!(conclusion, Conclusion::Failed);
        assert_eq!(text, "sizes of files on w1: changed: qa/ledger.ibd (1 bytes, now 2)");
    }

    #[test]
    fn a_file_of_no_bytes_holds_nothing_of_a_server() {
        let files = [entry("auto.cnf"), FileEntry { size: 0, ..entry("ibdata1") }, entry("mysql/")];
        let (conclusion, text) = conclude(|f| holds(f, &listing("w1", &files), MYSQL));
        assert_eq!((conclusion, text.as_str()), (Conclusion::Failed, "files of 0 bytes on w1: ibdata1"));
    }

    #[test]
    fn an_empty_node_holds_nothing() {
        let files = [entry("mysql/")];
        let all = BTreeMap::from([("w1", listing("w1", &files)), ("w2", listing("w2", &[]))]);
        assert_eq!(conclude(|f| nothing_on(f, &all, &["w2"])).0, Conclusion::Passed);
        assert_eq!(conclude(|f| nothing_on(f, &all, &["w1"])).0, Conclusion::Failed);
        assert_eq!(conclude(|f| nothing_on(f, &all, &["w3"])).0, Conclusion::Inconclusive);
    }

    #[test]
    fn auto_cnf_says_whose_files_they_are() {
        let files = [entry("auto.cnf")];
        let here = listing("w1", &files);
        assert_eq!(conclude(|f| files_of(f, &here, "uuid-a")).0, Conclusion::Passed);
        assert_eq!(conclude(|f| files_of(f, &here, "uuid-b")).0, Conclusion::Failed);
        let unread = Listing { server_uuid: None, ..here };
        assert_eq!(conclude(|f| files_of(f, &unread, "uuid-a")).0, Conclusion::Inconclusive);
    }

    #[test]
    fn a_file_that_went_is_named() {
        let before = [entry("qa/"), entry("qa/ledger.ibd"), entry("ibtmp1")];
        let (earlier, kept) = (listing("w1", &before), listing("w1", &before[..2]));
        assert_eq!(conclude(|f| back_on(f, &earlier, &kept, |p| p == "ibtmp1")).0, Conclusion::Passed);
        let cut = listing("w1", &before[..1]);
        let (conclusion, text) = conclude(|f| back_on(f, &earlier, &cut, |p| p == "ibtmp1"));
        assert_eq!(conclusion, Conclusion::Failed);
        assert!(text.ends_with("gone: qa/ledger.ibd"), "{text}");
    }
}
