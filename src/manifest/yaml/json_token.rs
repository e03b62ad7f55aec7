//! The texts and numbers of JSON.

use serde_json::Number;

use super::scalar::shortest;

/// The rest of a JSON text, and the line that it begins in.
pub(super) struct Rest<'t> {
    pub(super) text: &'t str,
    pub(super) line: u64,
}

impl<'t> Rest<'t> {
    /// The next character that is not white space.
    pub(super) fn peek(&mut self) -> Option<char> {
        let blank = self.text.find(|c| !matches!(c, ' ' | '\t' | '\r' | '\n'));
        let (blank, rest) = self.text.split_at(blank.unwrap_or(self.text.len()));
        self.line += blank.matches('\n').count() as u64;
        self.text = rest;
        rest.chars().next()
    }

    /// The next character that is neither white space nor part of a YAML comment.
    pub(super) fn after_comments(&mut self) -> Option<char> {
        while self.peek() == Some('#') {
            let end = self.text.find('\n').unwrap_or(self.text.len());
            self.text = &self.text[end..];
        }
        self.peek()
    }

    /// Consumes the next character if it is `wanted`.
    pub(super) fn takes(&mut self, wanted: char) -> bool {
        let is = self.peek() == Some(wanted);
        if is {
            self.text = &self.text[wanted.len_utf8()..];
        }
        is
    }

    /// Consumes a word.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let rest = self.text.strip_prefix(word);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    /// Reads a text, beginning with its quote.
    pub(super) fn string(&mut self) -> Result<String, &'static str> {
        const OPEN: &str = "a quoted text is not closed in its line";
        let mut found = String::new();
        let mut rest = self.text.strip_prefix('"').ok_or("a text begins without a quote")?;
        loop {
            let end = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or(OPEN)?;
            found.push_str(&rest[..end]);
            let (sign, after) = rest[end..].split_at(1);
            rest = match sign {
                "\"" => {
                    self.text = after;
                    return Ok(found);
                }
                "\\" => escaped(after, &mut found)?,
                _ => return Err(OPEN),
            };
        }
    }

    /// Reads a number; returns its source text, too.
    pub(super) fn number(&mut self) -> Result<(Number, &'t str), &'static str> {
        const WRONG: &str = "a number is written in a way that JSON does not have";
        let end = self.text.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        let (source, rest) = self.text.split_at(end.unwrap_or(self.text.len()));
        // serde_json checks the grammar.
        let number: Number = serde_json::from_str(source).map_err(|_| WRONG)?;
        self.text = rest;
        let whole = number.is_i64() || number.is_u64();
        let number = if whole { Some(number) } else { number.as_f64().and_then(shortest) };
        number.map(|number| (number, source)).ok_or(WRONG)
    }
}

/// Appends the character of an escape; returns the text after it. Half a surrogate pair becomes U+FFFD, as in Go.
fn escaped<'t>(text: &'t str, found: &mut String) -> Result<&'t str, &'static str> {
    const WRONG: &str = "JSON does not know the `\\` escape in this text";
    let sign = text.chars().next().ok_or(WRONG)?;
    let rest = &text[sign.len_utf8()..];
    found.push(match sign {
        '"' | '\\' | '/' => sign,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let (unit, rest) = unit(rest).ok_or(WRONG)?;
            let low = rest.strip_prefix("\\u").and_then(unit_of_pair);
            if let (0xD800..=0xDBFF, Some((low, rest))) = (unit, low) {
                let pair = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                found.push(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
                return Ok(rest);
            }
            found.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Ok(rest);
        }
        _ => return Err(WRONG),
    });
    Ok(rest)
}

fn unit(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(digits, 16).ok()?, &text[4..]))
}

fn unit_of_pair(text: &str) -> Option<(u32, &str)> {
    unit(text).filter(|(unit, _)| (0xDC00..=0xDFFF).contains(unit))
}
