//! Joins lines of container logs that the container runtime has split.

use std::collections::BTreeMap;

/// Joins the lines that the container runtime has split. The runtime writes a container's output in pieces of 16 KiB,
/// each with a time. Every piece of a line except the last one has the tag `P`. A secret may be split between two
/// pieces, and pieces of the other stream may be between them.
pub(super) fn unsplit(log: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    // The position of each stream's unfinished line.
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.split_inclusive('\n') {
        let mut parts = line.splitn(4, ' ');
        let (_, stream, tag, text) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(stream @ ("stdout" | "stderr")), Some(tag @ ("P" | "F"))) = (stream, tag) else {
            lines.push(line.to_owned());
            continue;
        };
        let at = match open.remove(stream) {
            Some(at) => {
                lines[at].push_str(text.unwrap_or_default());
                at
            }
            None => {
                lines.push(line.to_owned());
                lines.len() - 1
            }
        };
        if tag == "P" {
            let length = lines[at].trim_end_matches('\n').len();
            lines[at].truncate(length);
            open.insert(stream, at);
        }
    }
    let last = lines.len().saturating_sub(1);
    for at in open.into_values().filter(|at| *at < last) {
        lines[at].push('\n');
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_line_is_joined() {
        let log =
            "t1 stdout P hun\nt2 stdout P te\nt3 stdout F r22\nt4 stderr F next\nplain\nt5 stdout P open";
        assert_eq!(unsplit(log), "t1 stdout P hunter22\nt4 stderr F next\nplain\nt5 stdout P open");
    }

    #[test]
    fn a_split_line_is_joined_across_lines_of_another_stream() {
        let log = "t1 stdout P hun\nt2 stderr F other\nt3 stdout F ter22\n";
        let whole = unsplit(log);
        assert!(whole.contains("stdout P hunter22\n") && whole.contains("t2 stderr F other\n"), "{whole}");
    }
}
