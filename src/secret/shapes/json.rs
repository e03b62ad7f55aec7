//! JSON in a text, on one line or on several: read as what it means, and its secrets left out by the rules of objects.
//! What is cut, or goes on as something else, is read as far as it goes.

use std::ops::Range;

use serde_json::{Map, Value};

use super::hints;
use crate::secret::{Found, object};

/// Levels of one value at most; what is deeper is read as a value of its own.
const DEEPEST: usize = 48;
/// JSON in a string of JSON is read so often. What is deeper shows by its shape alone.
const NESTED: usize = 3;

/// Words that a log puts before a line at most.
const MOST: usize = 8;

/// A value, and where each of its strings stands.
enum Node {
    /// What is between the quotes.
    Text(Range<usize>),
    /// A number or a word.
    Other(Range<usize>),
    List(Vec<Node>),
    /// The keys as between their quotes.
    Map(Vec<(Range<usize>, Node)>),
}

/// A list or a map that is not at its end.
enum Open {
    List(Vec<Node>),
    Map(Vec<(Range<usize>, Node)>, Option<Range<usize>>),
}

/// Without the secrets of the objects and lists that stand in a text.
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
    /// Whether there is a secret in it by what its texts hint at, or by the name of a field. Most names that speak of a
    /// secret say where it is: `secretName`.
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

    /// Hands each place whose value is another one afterwards to `change`, in order, with what is to stand there.
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
                    // Of a key that is there twice the last value is meant, and what is said of it holds for both.
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

/// What a string means; one that is cut, or has what JSON does not allow, is taken as it stands.
fn meaning(text: &str, place: &Range<usize>) -> String {
    let raw = &text[place.clone()];
    match raw.contains('\\') {
        true => serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_else(|_| raw.to_owned()),
        false => raw.to_owned(),
    }
}

/// Reads one list or map. It looks at nothing twice: where what follows is no JSON, it ends.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    begin: usize,
    open: Vec<Open>,
    /// How many words stand before it on its line, once that was counted.
    before: Option<usize>,
}

impl Reader<'_> {
    /// What begins here, and where it ends.
    fn root(mut self) -> (Node, usize) {
        let mut root = None;
        while root.is_none() {
            self.blanks();
            let Some(byte) = self.byte() else { break };
            let goes_on = match byte {
                // Where a key should be, a bracket begins something else.
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
        // What is cut ends here.
        while root.is_none() {
            let Some(open) = self.open.pop() else { break };
            root = self.put(open.ended());
        }
        (root.unwrap_or(Node::List(Vec::new())), self.at.max(self.begin + 1))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Adds a value to what it stands in; gives it back where that is nothing.
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

    /// A key or a value.
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
            // Behind a quote that has no other one there is none that begins a string: the line is not gone over again.
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

    /// A number, or one of three words.
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

    /// Blanks, and what a log puts before each line.
    fn blanks(&mut self) {
        while let Some(byte) = self.byte().filter(u8::is_ascii_whitespace) {
            self.at += 1;
            if byte == b'\n' {
                self.at += self.before_line();
            }
        }
    }

    /// How much stands before a line: its time, also with its stream, or as many words as before the first line.
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

    /// Each has the value `c2Vj`, which no name calls secret.
    #[test]
    fn a_secret_is_known_by_its_object_wherever_its_lines_end() {
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
    fn what_is_no_secret_stays_as_it_was_written() {
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
    fn what_stands_beside_a_secret_stays() {
        let text = "a {\"k\" : [1 , \"x\\ty\"], \"env\": [{\"Value\": \"c2Vj\",\n\"Name\": \"DB_PASS\"}], \"z\": 1e2} b";
        assert_eq!(hidden(text), text.replace("c2Vj", "(left out)"));
    }
}
