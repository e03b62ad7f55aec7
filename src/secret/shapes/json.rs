//! JSON in a text, on one or several lines: it is parsed, and its secrets are removed by the rules for objects. If JSON
//! is cut off or turns into something else, the part before is still read.

use std::ops::Range;

use serde_json::{Map, Value};

use super::hints;
use crate::secret::{Found, object};

/// Maximum number of levels of one value. A deeper list or map is read as a value of its own.
const DEEPEST: usize = 48;
/// Maximum number of times that JSON is nested in strings of JSON. Deeper secrets are found only by their shape.
const NESTED: usize = 3;

/// Maximum number of words before JSON on a line of a log.
const MOST: usize = 8;

/// A value, with the place of each of its strings in the text.
enum Node {
    /// The place between the quotes.
    Text(Range<usize>),
    /// A number or a word.
    Other(Range<usize>),
    List(Vec<Node>),
    /// The places of the keys are those between their quotes.
    Map(Vec<(Range<usize>, Node)>),
}

/// A list or a map whose end has not been read yet.
enum Open {
    List(Vec<Node>),
    Map(Vec<(Range<usize>, Node)>, Option<Range<usize>>),
}

/// Removes the secrets of the objects and lists in a text.
pub(super) fn hide(text: &str, found: &mut Found<'_>) -> String {
    if found.nested >= NESTED {
        return text.to_owned();
    }
    found.nested += 1;
    let (mut hidden, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(begin) = text[at..].find(['{', '[']).map(|next| at + next) {
        let (root, end) = Reader { text, at: begin, begin, open: Vec::new(), before: None }.root();
        at = end;
        if !hints::any(&text[begin..end]) || !root.may_hold(text) {
            continue;
        }
        let before = root.value(text);
        let mut after = before.clone();
        object::clean_in_text(&mut after, found);
        if before != after {
            root.each_change(text, &before, &after, &mut |place, new| {
                hidden.push_str(&text[copied..place.start]);
                hidden.push_str(new);
                copied = place.end;
            });
        }
    }
    found.nested -= 1;
    hidden.push_str(&text[copied..]);
    hidden
}

impl Node {
    /// Whether the value may contain a secret: one of its strings hints at one, or a field has a secret name. Names
    /// such as `secretName`, which say only where a secret is, do not count.
    fn may_hold(&self, text: &str) -> bool {
        let names = |key: &Range<usize>| {
            let key = &text[key.clone()];
            hints::any(key) && (key.contains('\\') || object::is_reason(key))
        };
        match self {
            Self::Text(place) => hints::any(&text[place.start - 1..place.end]),
            Self::Other(_) => false,
            Self::List(items) => items.iter().any(|item| item.may_hold(text)),
            Self::Map(fields) => fields.iter().any(|(key, field)| names(key) || field.may_hold(text)),
        }
    }

    fn value(&self, text: &str) -> Value {
        match self {
            Self::Text(place) => meaning(text, place).into(),
            Self::Other(place) => {
                let word = &text[place.clone()];
                serde_json::from_str(word).unwrap_or_else(|_| word.into())
            }
            Self::List(items) => items.iter().map(|item| item.value(text)).collect(),
            Self::Map(fields) => {
                let fields = fields.iter().map(|(key, field)| (meaning(text, key), field.value(text)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// Calls `change` for each changed value, in order, with its place and the new text.
    fn each_change(
        &self,
        text: &str,
        before: &Value,
        after: &Value,
        change: &mut impl FnMut(Range<usize>, &str),
    ) {
        match (self, before, after) {
            (Self::Text(place), before, Value::String(new)) if before != after => {
                let new = Value::from(new.as_str()).to_string();
                change(place.clone(), &new[1..new.len() - 1]);
            }
            (Self::Other(place), before, after) if before != after => {
                change(place.clone(), &after.to_string());
            }
            (Self::List(items), Value::Array(before), Value::Array(after)) => {
                for ((item, before), after) in items.iter().zip(before).zip(after) {
                    item.each_change(text, before, after, change);
                }
            }
            (Self::Map(fields), Value::Object(before), Value::Object(after)) => {
                for (key, field) in fields {
                    // Of a key that appears twice the last value counts; its replacement is used for both.
                    let key = meaning(text, key);
                    if let (Some(before), Some(after)) = (before.get(&key), after.get(&key)) {
                        field.each_change(text, before, after, change);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Resolves the escapes of a string. A string that is cut off or is not valid JSON is taken as is.
fn meaning(text: &str, place: &Range<usize>) -> String {
    let raw = &text[place.clone()];
    match raw.contains('\\') {
        true => serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_else(|_| raw.to_owned()),
        false => raw.to_owned(),
    }
}

/// Reads one list or map and stops where the text is no longer JSON. No part of the text is read twice.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    begin: usize,
    open: Vec<Open>,
    /// How many words precede the JSON on its line; counted once.
    before: Option<usize>,
}

impl Reader<'_> {
    /// Returns the value that begins here, and where it ends.
    fn root(mut self) -> (Node, usize) {
        let mut root = None;
        while root.is_none() {
            self.blanks();
            let Some(byte) = self.byte() else { break };
            let goes_on = match byte {
                // A bracket in place of a key begins another value.
                b'{' | b'[' if self.open.len() < DEEPEST && !self.wants_key() => {
                    self.at += 1;
                    let list = byte == b'[';
                    self.open.push(if list { Open::List(Vec::new()) } else { Open::Map(Vec::new(), None) });
                    true
                }
                b'}' | b']' => match self.open.pop() {
                    Some(open) if matches!(open, Open::List(_)) == (byte == b']') => {
                        self.at += 1;
                        root = self.put(open.ended());
                        true
                    }
                    other => {
                        self.open.extend(other);
                        false
                    }
                },
                b',' => {
                    self.at += 1;
                    true
                }
                b'"' => self.string(),
                _ => self.word(),
            };
            if !goes_on {
                break;
            }
        }
        // The text is cut off: open lists and maps end here.
        while root.is_none() {
            let Some(open) = self.open.pop() else { break };
            root = self.put(open.ended());
        }
        (root.unwrap_or(Node::List(Vec::new())), self.at.max(self.begin + 1))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Adds a value to the innermost open list or map. Returns the value if nothing is open.
    fn put(&mut self, node: Node) -> Option<Node> {
        match self.open.last_mut() {
            None => return Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map(fields, key)) => fields.extend(key.take().map(|key| (key, node))),
        }
        None
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map(_, None)))
    }

    /// Reads a key or a string.
    fn string(&mut self) -> bool {
        let from = self.at + 1;
        let (mut until, mut escaped) = (from, false);
        let bytes = self.text.as_bytes();
        let ended = loop {
            match bytes.get(until) {
                None | Some(b'\n') => break false,
                Some(_) if escaped => escaped = false,
                Some(b'\\') => escaped = true,
                Some(b'"') => break true,
                Some(_) => {}
            }
            until += 1;
        };
        let place = from..until;
        if let Some(Open::Map(_, key @ None)) = self.open.last_mut() {
            // A quote without a partner on its line begins no string: the line is not read again.
            self.at = if ended { until + 1 } else { from };
            *key = Some(place);
            self.blanks();
            let follows = ended && self.byte() == Some(b':');
            self.at += usize::from(follows);
            return follows;
        }
        self.at = until + usize::from(ended);
        self.put(Node::Text(place));
        ended
    }

    /// Reads a number, or `true`, `false` or `null`.
    fn word(&mut self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let number = rest.iter().take_while(|b| b.is_ascii_digit() || b"+-.eE".contains(b)).count();
        let word = ["true", "false", "null"].iter().find(|word| rest.starts_with(word.as_bytes()));
        let length = word.map_or(number, |word| word.len());
        let place = self.at..self.at + length;
        let begins = rest.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-');
        if word.is_none() && !begins || self.wants_key() || self.open.is_empty() {
            return false;
        }
        self.at = place.end;
        self.put(Node::Other(place));
        true
    }

    /// Skips blanks, and what a log writes before each line.
    fn blanks(&mut self) {
        while let Some(byte) = self.byte().filter(u8::is_ascii_whitespace) {
            self.at += 1;
            if byte == b'\n' {
                self.at += self.before_line();
            }
        }
    }

    /// Returns the length of what a log writes before a line: a time and perhaps a stream, or as many words as before
    /// the first line.
    fn before_line(&mut self) -> usize {
        let line = &self.text[self.at..];
        let time = line
            .as_bytes()
            .first_chunk::<5>()
            .is_some_and(|begin| begin[..4].iter().all(u8::is_ascii_digit) && begin[4] == b'-');
        if time {
            let length = line.bytes().take(48).position(|b| b == b' ').map_or(0, |blank| blank + 1);
            let stream = ["stdout F ", "stderr F ", "stdout P ", "stderr P "]
                .iter()
                .find(|s| line[length..].starts_with(**s));
            return length + stream.map_or(0, |stream| stream.len());
        }
        let begun = line.trim_start_matches([' ', '\t']);
        let json = begun.starts_with(|c: char| "\"{}[],:-\r\n".contains(c) || c.is_ascii_digit());
        if json || ["true", "false", "null"].iter().any(|word| begun.starts_with(word)) {
            return 0;
        }
        let before = *self.before.get_or_insert_with(|| {
            let first = self.text[..self.begin].rfind('\n').map_or(0, |end| end + 1);
            self.text[first..self.begin].split_whitespace().take(MOST + 1).count()
        });
        let mut rest = begun;
        if before > MOST {
            return 0;
        }
        for _ in 0..before {
            let word = rest.find([' ', '\t', '\n']).unwrap_or(rest.len());
            rest = rest[word..].trim_start_matches([' ', '\t']);
        }
        line.len() - rest.len()
    }
}

impl Open {
    fn ended(self) -> Node {
        match self {
            Self::List(items) => Node::List(items),
            Self::Map(fields, _) => Node::Map(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> String {
        hide(text, &mut Found::default())
    }

    /// Each text has the value `c2Vj`, which has no secret name.
    #[test]
    fn a_secret_object_is_recognised_however_its_lines_are_split() {
        for text in [
            "{\n  \"data\": {\n    \"a\": \"c2Vj\"\n  },\n  \"kind\": \"Secret\"\n}\n",
            "got {\"kind\": \"Secret\",\n\"data\": {\"a\":\n\"c2Vj\"}} and {\"b\": 1}",
            "{\n \"kind\": \"Secret\",\n \"data\": {\n  \"a\": \"c2Vj",
            "{\n \"kind\": \"Secret\",\n \"data\": {\n  \"a\": \"c2Vj\"\npanic: gone\n",
            "2026-11-30T10:00:00Z {\n2026-11-30T10:00:00Z  \"kind\": \"Secret\",\n2026-11-30T10:00:00Z  \"data\": {\"a\": \"c2Vj\"}\n",
            "2026-11-30T10:00:00.1+01:00 stdout F {\n2026-11-30T10:00:00.1+01:00 stdout F  \"kind\": \"Secret\", \"data\": {\"a\": \"c2Vj\"}\n",
            "2026-11-30T10:00:00.1+01:00 stdout F {\n2026-11-30T10:00:00.1+01:00 stdout P  \"data\": {\"a\": \"c2Vj\"},\n2026-11-30T10:00:00.1+01:00 stdout F  \"kind\": \"Secret\"}\n",
            "Nov 30 10:00:00 w1 app[7]: {\nNov 30 10:00:00 w1 app[7]:   \"kind\": \"Secret\",\nNov 30 10:00:00 w1 app[7]:   \"stringData\": {\"a\": \"c2Vj\"}}\n",
            "{\"items\": [{\"data\": {\"a\": \"c2Vj\"}}],\n\"kind\": \"SecretList\"}",
            "[main] {x} [{\"type\": \"ADDED\", \"object\": {\"kind\": \"Secret\", \"data\": {\"a\": \"c2Vj\"}}}",
            r#"{"m": "{\n \"kind\": \"Secret\",\n \"data\": {\n  \"a\": \"c2Vj\"}}"}"#,
            r#"{"kind": "Secret", "stringData": {"a": {"b": ["x", "c2Vj"]}, "c": 1}}"#,
            r#"{"image": "mysql:8", "note": "[\"-pc2Vj\"]"}"#,
        ] {
            let hidden = hidden(text);
            assert!(!hidden.contains("c2Vj") && hidden.contains("(left out)"), "{text}: {hidden}");
        }
    }

    #[test]
    fn text_without_secrets_stays_unchanged() {
        for text in [
            "{\n  \"data\": {\n    \"a\": \"c2Vj\"\n  },\n  \"kind\": \"ConfigMap\"\n}\n{\"kind\": \"Secret\"}\n",
            "{\"items\": [{\"kind\": \"ConfigMap\", \"data\": {\"a\": \"c2Vj\"}}, {\"kind\": \"Secret\"}], \"kind\": \"List\"}",
            "[10:00:00] [info] {x: \"y} [\"a\",, 1.50, -2e3, true] \\ \"{\" ]}",
            "{\"a\" : 1,  \"a\": \"\\u0061\\n\\\"b\\\"\", \"metadata\": {\"managedFields\": [{\"a\": {}}]}}",
            "{\"args\": [\"--port\", \"8080\", \"--password-file\", \"/run/x\"], \"a\": null}",
        ] {
            assert_eq!(hidden(text), text);
        }
    }

    #[test]
    fn text_next_to_a_secret_stays() {
        let text = "a {\"k\" : [1 , \"x\\ty\"], \"env\": [{\"Value\": \"c2Vj\",\n\"Name\": \"DB_PASS\"}], \"z\": 1e2} b";
        assert_eq!(hidden(text), text.replace("c2Vj", "(left out)"));
    }
}
