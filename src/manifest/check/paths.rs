//! Fields by their path in a schema.

use super::super::yaml::{Data, Entry, Node};

/// The fields at a path such as `spec.volumes[].csi.volumeAttributes`, each with its own path, such as
/// `spec.volumes[0].csi.volumeAttributes`. A path that does not exist in the node gives no field.
pub(super) fn at<'n>(node: &'n Node, path: &str) -> Vec<(String, &'n Entry)> {
    let mut found = Vec::new();
    below(node, String::new(), path, &mut found);
    found
}

fn below<'n>(node: &'n Node, so_far: String, path: &str, found: &mut Vec<(String, &'n Entry)>) {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
    let Some(entry) = node.entry(name) else { return };
    let here = if so_far.is_empty() { name.to_owned() } else { format!("{so_far}.{name}") };
    match (rest, &entry.value.data) {
        (None, _) => found.push((here, entry)),
        (Some(rest), Data::List(items)) if is_list => {
            for (index, item) in items.iter().enumerate() {
                below(item, format!("{here}[{index}]"), rest, found);
            }
        }
        (Some(rest), _) if !is_list => below(&entry.value, here, rest, found),
        _ => {}
    }
}
