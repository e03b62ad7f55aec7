//! Everything that is wrong with a manifest, each at its place.

use super::yaml::{Flaw, Node};
use super::{ManifestError, Place};

/// What was found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<ManifestError>);

impl Faults {
    /// An object is wrong at a line.
    pub(super) fn wrong(&mut self, place: &Place, line: u64, why: impl Into<String>) {
        let place = Box::new(Place { line, ..place.clone() });
        self.0.push(ManifestError::Wrong { place, why: why.into() });
    }

    /// The text is wrong.
    pub(super) fn text(&mut self, place: &Place, flaw: Flaw) {
        let place = Box::new(Place { line: flaw.line, ..place.clone() });
        self.0.push(ManifestError::Yaml { place, why: flaw.why });
    }

    /// All of them as one error, in the order of their files and lines; one alone stays as it is.
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

/// What failed of some objects while all others went on.
#[derive(Default)]
pub(super) struct Failures(Vec<ManifestError>);

impl Failures {
    pub(super) fn add(&mut self, error: ManifestError) {
        self.0.push(error);
    }

    /// All of them as one error; one alone stays as it is.
    pub(super) fn end(mut self) -> Result<(), ManifestError> {
        match self.0.len() {
            0 | 1 => self.0.pop().map_or(Ok(()), Err),
            _ => Err(ManifestError::Each { failures: self.0 }),
        }
    }
}

/// What to write in place of a value that is no text. A secret's value is not said.
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
