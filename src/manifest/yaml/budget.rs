//! How much a text may hold. What exceeds it is refused before it is made.

use super::{Flaw, Node};

/// Bytes of a file. The largest request that an API server takes has 3 MiB, and a file holds many.
pub(super) const TEXT: usize = 32 << 20;
/// Values of all documents of a file.
const NODES: usize = 1_000_000;
/// Values that aliases stand for, in all documents of a file: as many as the library that kubectl reads YAML with
/// (go-yaml: `alias_ratio_range_low`).
const ALIASED_NODES: usize = 400_000;
/// Bytes of text that aliases stand for.
const ALIASED_BYTES: usize = 16 << 20;
/// Levels of lists and maps. Kubernetes' own objects have fewer than 30, definitions of custom ones fewer than 100.
pub(super) const DEPTH: usize = 200;

/// Bytes that are read again because of texts that another library than the parser reads (`again`).
const AGAIN: usize = 64 << 20;

/// What was used of it so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Budget {
    nodes: usize,
    aliased: usize,
    aliased_bytes: usize,
    again: usize,
}

impl Budget {
    /// Takes room for one value.
    pub(super) fn node(&mut self, line: u64) -> Result<(), Flaw> {
        self.nodes += 1;
        match self.nodes > NODES {
            false => Ok(()),
            true => Err(Flaw { line, why: format!("more values than the {NODES} that a file may have") }),
        }
    }

    /// Takes room for all that an alias stands for.
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

    /// Takes room to read a text once more.
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

    /// Whether a value may stand so deep: `height` is what it holds itself.
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
