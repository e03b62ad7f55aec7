//! Collects everything that is wrong with a manifest, each fault with its place.

use super::yaml::{Flaw, Node};
use super::{ManifestError, Place};

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<ManifestError>);

impl Faults {
    /// Adds a fault of an object at a line.
    pub(super) fn wrong(&mut self, place: &Place, line: u64, why: impl Into<String>) {
        let place = Box::new(Place { line, ..place.clone() });
        self.0.push(ManifestError::Wrong { place, why: why.into() });
    }

    /// Adds a fault of the text.
    pub(super) fn text(&mut self, place: &Place, flaw: Flaw) {
        let place = Box::new(Place { line: flaw.line, ..place.clone() });
        self.0.push(ManifestError::Yaml { place, why: flaw.why });
    }

    /// Returns all faults as one error, in the order of files and lines; a single fault is returned itself.
    pub(super) fn end(mut self) -> Result<(), ManifestError> {
        let mut files: Vec<String> = Vec::new();
        self.0.sort_by_cached_key(|fault| match fault {
            ManifestError::Wrong { place, .. } | ManifestError::Yaml { place, .. } => {
                let known = files.iter().position(|file| *file == place.file);
                if known.is_none() {
                    files.push(place.file.clone());
                }
                (known.unwrap_or(files.len() - 1), place.line)
            }
            _ => (0, 0),
        });
        match self.0.len() {
            0 | 1 => self.0.pop().map_or(Ok(()), Err),
            _ => Err(ManifestError::Several { faults: self.0 }),
        }
    }
}

/// The errors of some objects, while the work on all others continued.
#[derive(Default)]
pub(super) struct Failures(Vec<ManifestError>);

impl Failures {
    pub(super) fn add(&mut self, error: ManifestError) {
        self.0.push(error);
    }

    /// Returns all failures as one error; a single failure is returned itself.
    pub(super) fn end(mut self) -> Result<(), ManifestError> {
        match self.0.len() {
            0 | 1 => self.0.pop().map_or(Ok(()), Err),
            _ => Err(ManifestError::Each { failures: self.0 }),
        }
    }
}

/// What to write instead of a value that is not text. The value of a secret is not shown.
pub(super) fn as_text(node: &Node, is_secret: bool) -> String {
    use super::yaml::Data;
    match &node.data {
        Data::Null => "it is empty (null): remove the key, or write \"\" for an empty text".into(),
        Data::Bool(..) | Data::Number(..) if is_secret => {
            format!("it is {}, not text: put it in quotes", node.kind())
        }
        Data::Bool(_, source) | Data::Number(_, source) => {
            format!("it is {}, not text: put {source} in quotes, \"{source}\"", node.kind())
        }
        _ => format!("it is {}, not text", node.kind()),
    }
}
