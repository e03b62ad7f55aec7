//! D4: the MySQL on a plain hostPath, a common trap. A drain moves it to another node, and so to an empty directory.
//! Its rows stay on the drained node's disk; the check names them.
//!
//! The claim also reads: readings and listings [`TRAP_BEFORE`] and [`TRAP_AFTER`].

use super::{costs, facts, pinned};
use crate::event::Server;
use crate::judge::mysql::facts::OnDisk;
use crate::judge::mysql::{DIRECTORY, FILES, listed, node_of};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing, durability, locality};

/// Name of the reading and the listing before the upgrade.
pub const TRAP_BEFORE: &str = "trap-before-upgrade";
/// Name of the reading and the listing after the upgrade.
pub const TRAP_AFTER: &str = "trap-after-upgrade";

/// Returns which rows stayed on which node.
pub(super) fn stayed_behind(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<String, Missing> {
    let nodes: Vec<String> = evidence.fact(&facts::WORKERS)?;
    let (before, after) =
        (Object::observed(evidence, &facts::TRAP_BEFORE)?, Object::observed(evidence, &facts::TRAP_AFTER)?);
    let on_disk: OnDisk = evidence.fact(&facts::TRAP_ON_DISK)?;
    let (home, elsewhere) = (node_of(&before)?, node_of(&after)?);
    pinned::drained(&costs(evidence.records()), home)?;
    finding.check(
        (home != elsewhere) & after.ready(),
        format!("trap: pod {} was on {home}, pod {} is ready on {elsewhere}", before.name(), after.name()),
    );
    let (_, then) = durability::before(evidence, TRAP_BEFORE)?;
    let (writes, now) = durability::before(evidence, TRAP_AFTER)?;
    let (old, new) = (then.server, now.server);
    for (pod, server) in [(&before, old), (&after, new)] {
        finding.check(
            server.pod == pod.name(),
            format!("trap: the rows were read in pod {}, MySQL's is {}", server.pod, pod.name()),
        );
    }
    finding.part(|finding| files(evidence, finding, &nodes, (home, elsewhere), (old, new)));
    durability::every_acknowledged_row(evidence, TRAP_BEFORE, finding)?;
    let rows = durability::compare(&writes, now);
    finding.check(
        old.uuid != new.uuid && !now.exists,
        format!(
            "trap: server {} before, {} now, which {} the ledger's table",
            old.uuid,
            new.uuid,
            if now.exists { "has" } else { "does not have" }
        ),
    );
    let acknowledged = rows.acknowledged();
    if acknowledged == 0 {
        finding.unsure("trap: no row was acknowledged, so none could stay behind");
    }
    let mut behind: Vec<u64> = rows
        .misplaced
        .iter()
        .filter(|(_, server)| server.uuid == old.uuid)
        .map(|(row, _)| row.number)
        .collect();
    behind.sort_unstable();
    let (stayed, found) = (ranges(&behind), ranges(&on_disk.found));
    finding.check(
        behind.len() == acknowledged,
        format!("trap: of {acknowledged} acknowledged rows {stayed} stayed behind on {home}"),
    );
    // A row that was not found may still be there: pages may be stored in another form.
    let what = format!("trap: rows {found} were read from {} of {}", on_disk.files.join(" "), on_disk.node);
    let asked = on_disk.rows == behind.len() as u64 && !on_disk.files.is_empty();
    let all = on_disk.node == home && asked && !behind.is_empty() && on_disk.found == behind;
    if all {
        finding.check(true, what)
    } else {
        finding.unsure(what)
    };
    Ok(format!("rows {stayed} stayed on {home}"))
}

/// Checks that the old database is still on the first node, and that the new server's database is another one.
fn files(
    evidence: &Evidence<'_>,
    finding: &mut Finding,
    nodes: &[String],
    (home, elsewhere): (&str, &str),
    (old, new): (&Server, &Server),
) -> Result<(), Missing> {
    let before = locality::listings(evidence, TRAP_BEFORE, nodes)?;
    let after = locality::listings(evidence, TRAP_AFTER, nodes)?;
    let paths = [&before, &after].map(|all| listed(all, home).map(|l| l.path));
    if let [Ok(was), Ok(is)] = paths {
        finding.check(was == is, format!("trap: {was} was listed before, {is} after"));
    }
    locality::only_on(finding, &before, home, FILES);
    locality::nothing_on(finding, &before, &[elsewhere]);
    for (listing, node, server) in [(&before, home, old), (&after, home, old), (&after, elsewhere, new)] {
        locality::files_of(finding, listed(listing, node)?, &server.uuid);
    }
    locality::only_on(finding, &after, home, &[DIRECTORY]);
    locality::holds(finding, listed(&after, elsewhere)?, FILES);
    Ok(())
}

/// Formats numbers as ranges: `1-57, 60`; `none`.
fn ranges(numbers: &[u64]) -> String {
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => parts.push((*number, *number)),
        }
    }
    let part = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    if parts.is_empty() { "none".into() } else { parts.iter().map(part).collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn numbers_are_told_by_ranges() {
        assert_eq!(ranges(&[]), "none");
        assert_eq!(ranges(&[7]), "7");
        assert_eq!(ranges(&[1, 2, 3, 5, 8, 9]), "1-3, 5, 8-9");
    }
}
