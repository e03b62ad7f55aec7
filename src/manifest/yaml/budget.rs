//! Limits for a text. What exceeds them is refused before memory is allocated.

use super::{Flaw, Node};

/// Maximum bytes of a file. An API server takes requests of at most 3 MiB, and a file may hold many.
pub(super) const TEXT: usize = 32 << 20;
/// Maximum number of values in all documents of a file.
const NODES: usize = 1_000_000;
/// Maximum number of values that come from aliases, in all documents of a file: the limit of the library that kubectl
/// reads YAML with (go-yaml: `alias_ratio_range_low`).
const ALIASED_NODES: usize = 400_000;
/// Maximum bytes of text that come from aliases.
const ALIASED_BYTES: usize = 16 << 20;
/// Maximum levels of lists and maps. Kubernetes' own objects have fewer than 30, CustomResourceDefinitions fewer than
/// 100.
pub(super) const DEPTH: usize = 200;

/// Maximum bytes that are read again because go-yaml accepts them and the parser does not (`again`).
const AGAIN: usize = 64 << 20;

/// What was used so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Budget {
    nodes: usize,
    aliased: usize,
    aliased_bytes: usize,
    again: usize,
}

impl Budget {
    /// Counts one value.
    pub(super) fn node(&mut self, line: u64) -> Result<(), Flaw> {
        self.nodes += 1;
        match self.nodes > NODES {
            false => Ok(()),
            true => Err(Flaw { line, why: format!("more values than the {NODES} that a file may have") }),
        }
    }

    /// Counts all values of an expanded alias.
    pub(super) fn alias(&mut self, line: u64, name: &str, stands_for: &Node) -> Result<(), Flaw> {
        let weight = stands_for.weight;
        self.aliased = self.aliased.saturating_add(weight.nodes);
        self.aliased_bytes = self.aliased_bytes.saturating_add(weight.bytes);
        let over = |what: &str, reached: usize, budget: usize| {
            let why = format!(
                "with {name} the aliases of the file stand for {reached} {what}, more than the budget of {budget}"
            );
            Err(Flaw { line, why })
        };
        match () {
            () if self.aliased > ALIASED_NODES => over("values", self.aliased, ALIASED_NODES),
            () if self.aliased_bytes > ALIASED_BYTES => {
                over("bytes of text", self.aliased_bytes, ALIASED_BYTES)
            }
            () => Ok(()),
        }
    }

    /// Counts the bytes of a text that is read once more.
    pub(super) fn again(&mut self, line: u64, bytes: usize) -> Result<(), Flaw> {
        self.again = self.again.saturating_add(bytes);
        match self.again > AGAIN {
            false => Ok(()),
            true => {
                let why = "too many texts within brackets end with `:`, are a `-` alone, or have a `#` directly after \
                           them: put them in quotes, and a blank before `#`";
                Err(Flaw { line, why: why.into() })
            }
        }
    }

    /// Refuses a value that is nested too deep: `above` levels contain it, and it contains `height` levels itself.
    pub(super) fn depth(line: u64, above: usize, height: usize) -> Result<(), Flaw> {
        match above + height > DEPTH {
            false => Ok(()),
            true => {
                let why =
                    format!("lists and maps in one another are deeper than the {DEPTH} levels of the budget");
                Err(Flaw { line, why })
            }
        }
    }
}
