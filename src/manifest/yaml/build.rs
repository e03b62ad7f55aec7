//! Builds documents from the events of the YAML parser.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use super::again::{self, Edit};
use super::budget::{Budget, DEPTH};
use super::key::key;
use super::said::{flaw, line_of};
use super::scalar::meaning;
use super::split::Chunk;
use super::{Data, Document, Entry, Flaw, Node};

/// The documents of a part. A document that cannot be read has no root and is the last of the part.
pub(super) fn documents<'t>(chunk: &Chunk<'t>, budget: &mut Budget) -> Result<Vec<Document<'t>>, Flaw> {
    match edited(chunk, budget, true)? {
        Some(documents) => Ok(documents),
        None => Ok(edited(chunk, budget, false)?.unwrap_or_default()),
    }
}

/// The documents, read with the edits that the text needs; edits of tabs only if `tabs`. None if an edited tab turns
/// out not to be within brackets: kubectl accepts no tabs elsewhere.
fn edited<'t>(chunk: &Chunk<'t>, budget: &mut Budget, tabs: bool) -> Result<Option<Vec<Document<'t>>>, Flaw> {
    let mut text = Cow::Borrowed(chunk.text);
    let mut untabbed = false;
    loop {
        let (before, mut seen) = (*budget, Seen::default());
        let documents = read(chunk, &text, budget, &mut seen)?;
        seen.edits.retain(|edit| tabs || !edit.tabs);
        let Some(first) = seen.edits.first() else {
            let right = !untabbed || again::within(&text, &seen.brackets);
            return Ok(right.then_some(documents));
        };
        untabbed |= seen.edits.iter().any(|edit| edit.tabs);
        *budget = before;
        budget.again(line_of(first.line, chunk.line), text.len())?;
        text = Cow::Owned(again::changed(&text, &seen.edits));
    }
}

/// What a read finds in a text in addition to its documents.
#[derive(Default)]
struct Seen {
    /// The edits that the text needs.
    edits: Vec<Edit>,
    /// The byte ranges of closed brackets.
    brackets: Vec<Range<usize>>,
    /// The first byte of each open list and map; None for one without brackets.
    open: Vec<Option<usize>>,
}

impl Seen {
    fn take(&mut self, event: &Event<'_>, span: &Span, text: &str) {
        let place = span.byte_range().unwrap_or_default();
        match event {
            Event::Scalar(_, style, ..) => self.edits.extend(again::of_text(*style, span, text)),
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                self.open.push((*style == StructureStyle::Flow).then_some(place.start));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.brackets.extend(self.open.pop().flatten().map(|from| from..place.end));
            }
            _ => {}
        }
    }
}

/// The documents of `text`, which is the part's text or an edited copy.
fn read<'t>(
    chunk: &Chunk<'t>,
    text: &str,
    budget: &mut Budget,
    seen: &mut Seen,
) -> Result<Vec<Document<'t>>, Flaw> {
    let mut options = granit_parser::options! {
        // The depth limit of `budget` applies before this one.
        flow_nesting_limit: DEPTH + 8,
        block_nesting_limit: DEPTH + 8,
    };
    options.set_emit_comments(false);
    let mut documents = Vec::new();
    let mut open = Open::new(chunk, text);
    for event in Parser::new_from_str_with_options(text, options) {
        if let Ok((event, span)) = &event {
            seen.take(event, span, text);
        }
        let step = match event {
            Ok((Event::DocumentStart(..), _)) => {
                open = Open::new(chunk, text);
                Ok(())
            }
            Ok((Event::DocumentEnd, _)) => {
                documents.extend(open.document());
                Ok(())
            }
            Ok((event, span)) => open.take(event, &span, budget)?,
            Err(error) => {
                seen.edits.extend(again::of_error(&error, text));
                Err(flaw(&error, chunk.line))
            }
        };
        if let Err(flaw) = step {
            documents.push(open.broken(flaw));
            break;
        }
    }
    Ok(documents)
}

/// A document that is being read.
struct Open<'c, 't> {
    chunk: &'c Chunk<'t>,
    /// The text that is read.
    text: &'c str,
    /// The open lists and maps, the outermost first.
    frames: Vec<Frame>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    flaws: Vec<Flaw>,
}

struct Frame {
    line: u64,
    anchor: usize,
    data: Held,
}

enum Held {
    List(Vec<Rc<Node>>),
    Map(Entries),
}

/// The entries of a map so far.
#[derive(Default)]
struct Entries {
    entries: Vec<Entry>,
    /// The index of each key in `entries`, and whether a merge added the entry.
    places: HashMap<Box<str>, (usize, bool)>,
    key: Option<Key>,
}

enum Key {
    Text(Box<str>, u64),
    /// `<<`
    Merge,
}

/// The result of one event: the inner error ends the document, the outer error (a limit) ends the file.
type Step = Result<Result<(), Flaw>, Flaw>;

impl<'c, 't> Open<'c, 't> {
    fn new(chunk: &'c Chunk<'t>, text: &'c str) -> Self {
        Self { chunk, text, frames: Vec::new(), anchors: HashMap::new(), root: None, flaws: Vec::new() }
    }

    fn take(&mut self, event: Event<'_>, span: &Span, budget: &mut Budget) -> Step {
        let line = line_of(span.start.line(), self.chunk.line);
        let source = span.slice(self.text).unwrap_or_default();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                budget.node(line)?;
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                if is_merge
                    && let Some(Held::Map(map)) = self.frames.last_mut().map(|f| &mut f.data)
                    && map.key.is_none()
                {
                    map.key = Some(Key::Merge);
                    return Ok(Ok(()));
                }
                let data = meaning(text, style, tag.as_deref(), source).unwrap_or_else(|error| {
                    self.flaws.push(Flaw { line, why: error.to_string() });
                    Data::Text(source.into())
                });
                Ok(self.add(Rc::new(Node::new(line, data)), anchor))
            }
            Event::SequenceStart(_, anchor, _) => self.open(line, anchor, Held::List(Vec::new()), budget),
            Event::MappingStart(_, anchor, _) => {
                self.open(line, anchor, Held::Map(Entries::default()), budget)
            }
            Event::SequenceEnd | Event::MappingEnd => Ok(self.close()),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    let why = format!("the value of the anchor contains itself by {source}");
                    return Ok(Err(Flaw { line, why }));
                };
                Budget::depth(line, self.frames.len(), node.weight.height)?;
                budget.alias(line, source, &node)?;
                Ok(self.add(node, 0))
            }
            _ => Ok(Ok(())),
        }
    }

    fn open(&mut self, line: u64, anchor: usize, data: Held, budget: &mut Budget) -> Step {
        budget.node(line)?;
        Budget::depth(line, self.frames.len(), 1)?;
        self.frames.push(Frame { line, anchor, data });
        Ok(Ok(()))
    }

    fn close(&mut self) -> Result<(), Flaw> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let data = match frame.data {
            Held::List(items) => Data::List(items),
            Held::Map(map) => Data::Map(map.entries),
        };
        self.add(Rc::new(Node::new(frame.line, data)), frame.anchor)
    }

    /// Adds a value to the innermost open list or map, or as the root.
    fn add(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), Flaw> {
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.frames.last_mut().map(|frame| &mut frame.data) {
            None => self.root = Some(node),
            Some(Held::List(items)) => items.push(node),
            Some(Held::Map(map)) => match map.key.take() {
                None => {
                    let (text, why) = key(&node);
                    self.flaws.extend(why.map(|why| Flaw { line: node.line, why }));
                    map.key = Some(Key::Text(text, node.line));
                }
                Some(Key::Text(key, line)) => self.flaws.extend(map.insert(key, line, node)),
                Some(Key::Merge) => return map.merge(&node),
            },
        }
        Ok(())
    }

    fn document(&mut self) -> Option<Document<'t>> {
        let root = self.root.take()?;
        let (text, first_line) = (self.chunk.text, self.chunk.line);
        let flaws = std::mem::take(&mut self.flaws);
        Some(Document { line: root.line, root: Some(root), flaws, text, first_line })
    }

    fn broken(self, flaw: Flaw) -> Document<'t> {
        let (text, first_line) = (self.chunk.text, self.chunk.line);
        let line = self.frames.first().map_or(flaw.line, |frame| frame.line);
        let flaws = self.flaws.into_iter().chain([flaw]).collect();
        Document { line, root: None, flaws, text, first_line }
    }
}

impl Entries {
    fn insert(&mut self, key: Box<str>, line: u64, value: Rc<Node>) -> Option<Flaw> {
        match self.places.get_mut(&key) {
            None => {
                self.places.insert(key.clone(), (self.entries.len(), false));
                self.entries.push(Entry { key, line, value });
                None
            }
            Some((at, merged)) if *merged => {
                *merged = false;
                self.entries[*at] = Entry { key, line, value };
                None
            }
            Some((at, _)) => {
                let first = self.entries[*at].line;
                Some(Flaw { line, why: format!("the key `{key}` is a duplicate of that in line {first}") })
            }
        }
    }

    /// Merges another map as go-yaml does: its entries replace earlier ones, and later entries replace them.
    fn merge(&mut self, node: &Node) -> Result<(), Flaw> {
        let wrong = |node: &Node| {
            Err(Flaw {
                line: node.line,
                why: format!("`<<` takes a map or a list of maps, not {}", node.kind()),
            })
        };
        let maps: Vec<&Node> = match &node.data {
            Data::Map(_) => vec![node],
            // Of several maps, the first takes precedence.
            Data::List(items) => items.iter().rev().map(|item| &**item).collect(),
            _ => return wrong(node),
        };
        for map in maps {
            let Data::Map(entries) = &map.data else { return wrong(map) };
            for entry in entries {
                let (key, line, value) = (entry.key.clone(), entry.line, Rc::clone(&entry.value));
                match self.places.get_mut(&key) {
                    Some((at, _)) => self.entries[*at] = Entry { key, line, value },
                    None => {
                        self.places.insert(key.clone(), (self.entries.len(), true));
                        self.entries.push(Entry { key, line, value });
                    }
                }
            }
        }
        Ok(())
    }
}
