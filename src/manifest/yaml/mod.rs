//! YAML and JSON texts as trees of nodes with line numbers, read as `kubectl` reads them and within limits.

use std::rc::Rc;

use serde_json::{Map, Number, Value};

mod again;
mod budget;
mod build;
mod bytes;
mod json;
mod json_token;
mod key;
mod said;
mod scalar;
mod split;

use budget::{Budget, TEXT};
pub(super) use bytes::text_of;

/// A value of a document.
#[derive(Debug)]
pub(super) struct Node {
    /// Its first line, from 1.
    pub(super) line: u64,
    pub(super) data: Data,
    weight: Weight,
}

/// The content of a value. Values that are not text keep their source text.
#[derive(Debug)]
pub(super) enum Data {
    Null,
    Bool(bool, Box<str>),
    Number(Number, Box<str>),
    Text(Box<str>),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    /// The key's line.
    pub(super) line: u64,
    pub(super) value: Rc<Node>,
}

/// The size of a value, with every alias in it expanded.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
    /// Levels of lists and maps, including itself.
    height: usize,
}

/// A fault of the text at a line.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) line: u64,
    pub(super) why: String,
}

/// One document of a text.
#[derive(Debug)]
pub(super) struct Document<'t> {
    /// The first line of its content.
    pub(super) line: u64,
    /// None if the text could not be read to the document's end.
    pub(super) root: Option<Rc<Node>>,
    /// The faults of its text.
    pub(super) flaws: Vec<Flaw>,
    /// The text, and the number of its first line.
    pub(super) text: &'t str,
    pub(super) first_line: u64,
}

/// Reads every document of a text. A document that cannot be read does not hide later documents.
///
/// # Errors
/// The limit that the text exceeds: the rest of the text is not read.
pub(super) fn documents(text: &str) -> Result<Vec<Document<'_>>, Flaw> {
    if text.len() > TEXT {
        let why = format!("the text has {} bytes, more than the {TEXT} that a file may have", text.len());
        return Err(Flaw { line: 1, why });
    }
    let mut budget = Budget::default();
    let mut found = Vec::new();
    for chunk in split::chunks(text) {
        let mut documents = match json::documents(&chunk, &mut budget)? {
            Some(documents) => documents,
            None => build::documents(&chunk, &mut budget)?,
        };
        if let Some(first) = documents.first_mut() {
            first.flaws.extend(chunk.wrong_separator());
        }
        found.extend(documents);
    }
    Ok(found)
}

impl Node {
    fn new(line: u64, data: Data) -> Self {
        let bytes = |text: &str| text.len();
        let sum = |parts: &mut dyn Iterator<Item = (usize, Weight)>| {
            let start = Weight { nodes: 1, bytes: 0, height: 0 };
            let all = parts.fold(start, |all, (key, one)| Weight {
                nodes: all.nodes.saturating_add(one.nodes),
                bytes: all.bytes.saturating_add(one.bytes).saturating_add(key),
                height: all.height.max(one.height),
            });
            Weight { height: all.height + 1, ..all }
        };
        let weight = match &data {
            Data::Null => Weight { nodes: 1, bytes: 0, height: 0 },
            Data::Bool(_, source) | Data::Number(_, source) => {
                Weight { nodes: 1, bytes: bytes(source), height: 0 }
            }
            Data::Text(text) => Weight { nodes: 1, bytes: bytes(text), height: 0 },
            Data::List(items) => sum(&mut items.iter().map(|item| (0, item.weight))),
            Data::Map(entries) => sum(&mut entries.iter().map(|e| (e.key.len(), e.value.weight))),
        };
        Self { line, data, weight }
    }

    /// The entry of a map with this key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key == key)
    }

    /// The value of a map at this key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        Some(&self.entry(key)?.value)
    }

    /// The entries of a map; empty for any other value.
    pub(super) fn entries(&self) -> &[Entry] {
        if let Data::Map(entries) = &self.data { entries } else { &[] }
    }

    /// The text, if the value is a text.
    pub(super) fn text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// The value as the JSON that is sent.
    pub(super) fn value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value, _) => Value::Bool(*value),
            Data::Number(value, _) => Value::Number(value.clone()),
            Data::Text(text) => Value::String(text.to_string()),
            Data::List(items) => items.iter().map(|item| item.value()).collect(),
            Data::Map(entries) => {
                let pair = |entry: &Entry| (entry.key.to_string(), entry.value.value());
                Value::Object(entries.iter().map(pair).collect::<Map<_, _>>())
            }
        }
    }

    /// The type of the value, in words.
    pub(super) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "empty",
            Data::Bool(..) => "a truth value",
            Data::Number(..) => "a number",
            Data::Text(text) if text.is_empty() => "an empty text",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "an object",
        }
    }
}
