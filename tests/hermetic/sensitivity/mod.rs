//! Sensitivity: every value of a passing history is changed, every record is dropped, and the claim is judged again.
//! Whatever no verdict depends on has a reason in [`reasons`]; docs/sensitivity.md is the list.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use seatrial::judge::{CLAIMS, Claim, trial, watch};

use self::bench::Bench;
use crate::passing_histories;

mod bench;
mod bend;
mod groups;
mod page;
mod reasons;
mod table;

/// The values and records on which no verdict of a claim depends.
struct Unread {
    claim: &'static Claim,
    /// Number of groups of values and kinds of records that were tried.
    tried: usize,
    /// Number of those on which the verdict depends.
    turned: usize,
    /// Those on which no verdict depends: the kind of record, and the value.
    entries: Vec<(String, String)>,
    /// The kinds of records on which the verdict depends.
    read: Vec<String>,
}

/// The claims that are judged from the history of one scenario. Claims of trials and watches are left out: most
/// values of their made-up histories are about several workloads of one kind, and their reasons are not written yet.
fn claims() -> Vec<&'static Claim> {
    let told = || trial::CLAIMS.iter().chain(&watch::CLAIMS);
    let is_told = |claim: &Claim| told().any(|other| other.id == claim.id);
    let all = CLAIMS.iter().flat_map(|part| part.iter().copied());
    all.filter(|claim| !claim.sees_run && !is_told(claim)).collect()
}

/// The insensitive values of each claim, in the order of the catalogue. Computed once for all tests.
fn found() -> &'static [Unread] {
    static FOUND: LazyLock<Vec<Unread>> = LazyLock::new(|| {
        let (claims, next, found) = (claims(), AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let work = || {
            while let Some(claim) = claims.get(next.fetch_add(1, Ordering::Relaxed)) {
                let unread = unread(claim);
                found.lock().unwrap().insert(position(claim), unread);
            }
        };
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
        found.into_inner().unwrap().into_values().collect()
    });
    &FOUND
}

fn position(claim: &Claim) -> Option<usize> {
    claims().iter().position(|other| other.id == claim.id)
}

fn unread(claim: &'static Claim) -> Unread {
    let records = passing_histories::history(claim.id);
    let groups = groups::of(claim, &records);
    let tried = groups.values().map(|group| group.leaves.len() + 1).sum();
    let mut bench = Bench::new(claim, records);
    let of_kind = |(kind, group): (&String, &groups::Group)| {
        let alone = |path: &str| !reasons::is_common(claim, kind, path);
        bench.unread(group, alone).into_iter().map(|what| (kind.clone(), what)).collect::<Vec<_>>()
    };
    let entries: Vec<_> = groups.iter().flat_map(of_kind).collect();
    let left =
        |(kind, what): &(String, String)| if what == bench::ALL { groups[kind].leaves.len() + 1 } else { 1 };
    let turned = tried - entries.iter().map(left).sum::<usize>();
    let is_read = |kind: &&String| !entries.contains(&((*kind).clone(), bench::ALL.into()));
    let read = groups.keys().filter(is_read).cloned().collect();
    Unread { claim, tried, turned, entries, read }
}

/// The claims of the same part that read records of a kind which this claim neither reads nor declares.
fn read_by_others(unread: &Unread, kind: &str, what: &str) -> Vec<&'static str> {
    let watched =
        kind.strip_prefix("ObjectChanged ").is_some_and(|kind| unread.claim.watches.contains(&kind));
    if what != bench::ALL || watched || kind.starts_with("Observed") {
        return Vec::new();
    }
    let part = &unread.claim.id[..1];
    let others = found().iter().filter(|other| other.claim.id.starts_with(part));
    others.filter(|other| other.read.iter().any(|read| read == kind)).map(|other| other.claim.id).collect()
}

#[test]
fn every_value_that_no_verdict_depends_on_has_a_reason() {
    let mut unexplained = Vec::new();
    for unread in found() {
        let without = |(kind, what): &&(String, String)| {
            read_by_others(unread, kind, what).is_empty() && reasons::of(unread.claim, kind, what).is_none()
        };
        let entries = unread.entries.iter().filter(without);
        unexplained.extend(entries.map(|(kind, what)| format!("{} {kind} {what}", unread.claim.id)));
    }
    assert!(
        unexplained.is_empty(),
        "{} values that no verdict depends on have no reason in tests/hermetic/sensitivity/table.rs: mend the \
         judge, or give the reason:\n{}",
        unexplained.len(),
        unexplained.join("\n")
    );
}

#[test]
fn each_reason_explains_something() {
    let reasons = |unread: &'static Unread| {
        let entries =
            unread.entries.iter().filter(|(kind, what)| read_by_others(unread, kind, what).is_empty());
        entries.filter_map(|(kind, what)| reasons::of(unread.claim, kind, what)).collect::<Vec<_>>()
    };
    let used: Vec<&str> = found().iter().flat_map(reasons).map(|reason| reason.why).collect();
    let idle: Vec<&str> = reasons::all().map(|reason| reason.why).filter(|why| !used.contains(why)).collect();
    assert!(idle.is_empty(), "these reasons explain nothing any more: {idle:#?}");
}
