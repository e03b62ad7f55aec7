//! JSON as trees of nodes: a stream of documents, read as kubectl reads it.

use std::collections::HashMap;
use std::rc::Rc;

use super::budget::Budget;
use super::json_token::Rest;
use super::split::Chunk;
use super::{Data, Document, Entry, Flaw, Node, build};

/// Why reading ends: a fault of the text, or a limit of the file.
enum Stop {
    Text(Flaw),
    Budget(Flaw),
}

/// The documents of a part that is JSON; none if the part is YAML.
pub(super) fn documents<'t>(
    chunk: &Chunk<'t>,
    budget: &mut Budget,
) -> Result<Option<Vec<Document<'t>>>, Flaw> {
    let mut stream =
        Stream { rest: Rest { text: chunk.text, line: chunk.line }, flaws: Vec::new(), depth: 0 };
    if stream.rest.peek() != Some('{') {
        return Ok(None);
    }
    let mut documents = Vec::new();
    while let Some(first) = stream.rest.after_comments() {
        let line = stream.rest.line;
        // If JSON ends after the first document, kubectl reads the rest as YAML.
        if first != '{' && documents.len() == 1 {
            let rest = Chunk { text: stream.rest.text, line, after: "" };
            documents.extend(build::documents(&rest, budget)?);
            break;
        }
        let (root, stop) = match stream.value(budget) {
            Ok(root) => (Some(root), None),
            Err(Stop::Budget(flaw)) => return Err(flaw),
            Err(Stop::Text(flaw)) => (None, Some(flaw)),
        };
        // A YAML map in braces begins like JSON.
        if stop.is_some() && documents.is_empty() {
            let yaml = build::documents(chunk, budget)?;
            let is_quoted = chunk.text.trim_start()[1..].trim_start().starts_with('"');
            if yaml.iter().all(|document| document.root.is_some()) || !is_quoted {
                return Ok(Some(yaml));
            }
        }
        let is_over = stop.is_some();
        let flaws = std::mem::take(&mut stream.flaws).into_iter().chain(stop).collect();
        documents.push(Document { line, root, flaws, text: chunk.text, first_line: chunk.line });
        if is_over {
            break;
        }
    }
    Ok(Some(documents))
}

struct Stream<'t> {
    rest: Rest<'t>,
    flaws: Vec<Flaw>,
    depth: usize,
}

impl Stream<'_> {
    fn value(&mut self, budget: &mut Budget) -> Result<Rc<Node>, Stop> {
        let first = self.rest.peek();
        let line = self.rest.line;
        budget.node(line).map_err(Stop::Budget)?;
        let data = match first {
            Some(bracket @ ('{' | '[')) => {
                Budget::depth(line, self.depth, 1).map_err(Stop::Budget)?;
                self.depth += 1;
                let data = if bracket == '{' { self.map(budget)? } else { self.list(budget)? };
                self.depth -= 1;
                data
            }
            Some('"') => Data::Text(self.rest.string().map_err(|why| self.stop(why))?.into()),
            Some('0'..='9' | '-') => {
                let (number, source) = self.rest.number().map_err(|why| self.stop(why))?;
                Data::Number(number, source.into())
            }
            Some(_) if self.rest.word("null") => Data::Null,
            Some(_) if self.rest.word("true") => Data::Bool(true, "true".into()),
            Some(_) if self.rest.word("false") => Data::Bool(false, "false".into()),
            Some(_) => return Err(self.stop("no JSON value begins like this")),
            None => return Err(self.stop("the text ends too early")),
        };
        Ok(Rc::new(Node::new(line, data)))
    }

    fn list(&mut self, budget: &mut Budget) -> Result<Data, Stop> {
        let mut items = Vec::new();
        self.rest.takes('[');
        if self.rest.takes(']') {
            return Ok(Data::List(items));
        }
        loop {
            items.push(self.value(budget)?);
            if self.rest.takes(']') {
                return Ok(Data::List(items));
            }
            if !self.rest.takes(',') {
                return Err(self.stop("`,` or `]` is missing"));
            }
        }
    }

    fn map(&mut self, budget: &mut Budget) -> Result<Data, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: HashMap<Box<str>, u64> = HashMap::new();
        self.rest.takes('{');
        if self.rest.takes('}') {
            return Ok(Data::Map(entries));
        }
        loop {
            if self.rest.peek() != Some('"') {
                return Err(self.stop("a key in quotes is missing"));
            }
            let line = self.rest.line;
            let key: Box<str> = self.rest.string().map_err(|why| self.stop(why))?.into();
            if !self.rest.takes(':') {
                return Err(self.stop("`:` is missing after a key"));
            }
            let value = self.value(budget)?;
            match lines.get(&key) {
                Some(first) => {
                    let why = format!("the key `{key}` is a duplicate of that in line {first}");
                    self.flaws.push(Flaw { line, why });
                }
                None => {
                    lines.insert(key.clone(), line);
                    entries.push(Entry { key, line, value });
                }
            }
            if self.rest.takes('}') {
                return Ok(Data::Map(entries));
            }
            if !self.rest.takes(',') {
                return Err(self.stop("`,` or `}` is missing"));
            }
        }
    }

    fn stop(&self, why: &str) -> Stop {
        Stop::Text(Flaw { line: self.rest.line, why: why.to_owned() })
    }
}
