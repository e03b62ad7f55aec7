//! Reads the text of a file into objects that can be applied.

use std::collections::HashMap;

use serde_json::Value;

use super::check::{Types, check};
use super::faults::Faults;
use super::kinds::group;
use super::yaml::{self, Data, Document, Flaw, Node};
use super::{ManifestError, Object, Place};

/// Reads every object of the text.
pub(super) fn objects(file: &str, text: &str) -> Result<Vec<Object>, ManifestError> {
    let documents = yaml::documents(text).map_err(|flaw| of_file(file, flaw))?;
    let mut read = Read::default();
    let mut number = 0;
    for document in documents {
        if document.flaws.is_empty() && document.root.as_ref().is_some_and(|r| matches!(r.data, Data::Null)) {
            continue;
        }
        number += 1;
        let place = Place {
            file: file.into(),
            line: document.line,
            document: number,
            item: None,
            kind: String::new(),
            name: String::new(),
        };
        read.document(place, document);
    }
    twice(&read.objects, &mut read.faults);
    read.faults.end()?;
    Ok(read.objects)
}

/// The text of a file's bytes.
pub(super) fn text_of<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, ManifestError> {
    yaml::text_of(bytes).map_err(|flaw| of_file(file, flaw))
}

/// A fault of the whole file.
fn of_file(file: &str, flaw: Flaw) -> ManifestError {
    let (kind, name) = (String::new(), String::new());
    let place = Place { file: file.into(), line: flaw.line, document: 0, item: None, kind, name };
    ManifestError::Yaml { place: Box::new(place), why: flaw.why }
}

/// Finds objects that the manifest defines twice, by group, kind, namespace and name.
pub(super) fn twice(objects: &[Object], faults: &mut Faults) {
    let mut first: HashMap<[&str; 4], &Place> = HashMap::new();
    for object in objects.iter().filter(|object| !object.name().is_empty()) {
        let key = [
            group(object.api_version()),
            object.kind(),
            object.namespace().unwrap_or_default(),
            object.name(),
        ];
        match first.get(&key) {
            Some(place) => {
                let why = format!(
                    "it is defined twice: at {}:{} too (document {})",
                    place.file, place.line, place.document
                );
                faults.wrong(&object.place, object.place.line, why);
            }
            None => {
                first.insert(key, &object.place);
            }
        }
    }
}

#[derive(Default)]
struct Read {
    objects: Vec<Object>,
    faults: Faults,
}

impl Read {
    fn document(&mut self, place: Place, document: Document<'_>) {
        let (kind, name) = match &document.root {
            Some(root) => named(root),
            None => named_around(&document),
        };
        let of_text = Place { kind, name, ..place.clone() };
        for flaw in document.flaws {
            self.faults.text(&of_text, flaw);
        }
        if let Some(root) = document.root {
            self.add(place, &root, &Types { api_version: "", kind: "" });
        }
    }

    /// Adds an object, or the items of a list. `inherited` is the type of the items of a typed list.
    fn add(&mut self, place: Place, node: &Node, inherited: &Types<'_>) {
        let (kind, name) = named(node);
        let place = Place { kind, name, ..place };
        if !matches!(node.data, Data::Map(_)) {
            self.faults.wrong(&place, node.line, format!("it is {}, not an object", node.kind()));
            return;
        }
        let text = |field: &str| node.get(field).and_then(Node::text).unwrap_or_default();
        let mut types = Types { api_version: text("apiVersion"), kind: text("kind") };
        if let (Some(of), Some(items)) = (types.kind.strip_suffix("List"), node.entry("items")) {
            let inherited = Types { kind: of, ..types };
            match &items.value.data {
                Data::Null => {}
                Data::List(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let place = Place { item: Some(index + 1), line: item.line, ..place.clone() };
                        self.add(place, item, &inherited);
                    }
                }
                _ => self.faults.wrong(
                    &place,
                    items.line,
                    format!("`items` is {}, not a list", items.value.kind()),
                ),
            }
            return;
        }
        let is_bare = ["apiVersion", "kind"].iter().all(|field| node.get(field).is_none());
        let inherits = is_bare && !inherited.kind.is_empty();
        if inherits {
            types = Types { ..*inherited };
        }
        let place = if inherits { Place { kind: types.kind.into(), ..place } } else { place };
        check(node, &types, &place, &mut self.faults);
        let mut body = node.value();
        if inherits {
            body["apiVersion"] = types.api_version.into();
            body["kind"] = types.kind.into();
        }
        strip_what_the_server_sets(&mut body);
        self.objects.push(Object { place, body });
    }
}

/// Removes fields that only the server may write: objects that were exported from a cluster have them.
fn strip_what_the_server_sets(body: &mut Value) {
    if let Some(map) = body.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"] {
            metadata.remove(field);
        }
    }
}

/// Kind and name of an object, as far as it has them.
fn named(node: &Node) -> (String, String) {
    let metadata = node.get("metadata");
    let of = |field: &str| {
        metadata.and_then(|m| m.get(field)).and_then(Node::text).filter(|text| !text.is_empty())
    };
    let name =
        of("name").map(str::to_owned).or_else(|| of("generateName").map(|prefix| format!("{prefix}*")));
    (node.get("kind").and_then(Node::text).unwrap_or_default().to_owned(), name.unwrap_or_default())
}

/// Kind and name of a document that cannot be parsed, found by a search of its lines.
fn named_around(document: &Document<'_>) -> (String, String) {
    let skipped = usize::try_from(document.line.saturating_sub(document.first_line)).unwrap_or_default();
    let lines = document.text.lines().skip(skipped);
    let bare = |value: &str| value.trim().trim_matches(['"', '\'']).to_owned();
    let kind = lines.clone().find_map(|l| l.strip_prefix("kind:")).map(bare);
    let metadata = lines.skip_while(|l| !l.starts_with("metadata:")).skip(1);
    let mut inside = metadata.take_while(|l| l.starts_with(' ') || l.trim().is_empty());
    let name = inside.find_map(|l| l.trim_start().strip_prefix("name:")).map(bare);
    (kind.unwrap_or_default(), name.unwrap_or_default())
}
