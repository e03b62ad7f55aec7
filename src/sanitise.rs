//! Makes text from a cluster harmless for terminals, CI logs and reports: the text moves no cursor, hides nothing, and
//! is no command to a CI system.
//!
//! CI systems obey these texts in the output of a job. GitHub Actions: `::command::` at the start of a line or after
//! blanks there, and `##[command]` anywhere. Azure Pipelines: `##vso[...]` and `##[...]` anywhere. TeamCity:
//! `##teamcity[...]`. GitLab: `section_start:` between escape sequences.

/// Maximum number of characters of a line.
const LONGEST: usize = 4096;
/// Maximum number of characters of a line in a file: logs have longer lines than messages.
const LONGEST_IN_FILE: usize = 64 << 10;

/// Returns the text as one line: each run of line feeds and blanks becomes one blank. A long text is cut, with the
/// number of characters left out.
pub fn line(text: &str) -> String {
    if text.len() <= LONGEST && is_plain(text) && !text.contains("  ") && text.trim().len() == text.len() {
        return text.into();
    }
    let one: Vec<String> = harmless(text, |c| if c.is_whitespace() { ' ' } else { c })
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    shortened(&tame(&one.join(" ")), LONGEST)
}

/// Returns several lines, each harmless.
pub fn lines(text: &str) -> String {
    each_line(text, LONGEST)
}

/// Returns the lines of a file of evidence: as [`lines`], with room for the long lines of logs.
pub fn file(text: &str) -> String {
    each_line(text, LONGEST_IN_FILE)
}

/// Returns JSON of the same value, in which no string contains a command or an invisible character: they are escaped.
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        // Outside of a string, valid JSON contains none of these.
        if is_invisible(c) || ('\u{7f}'..='\u{9f}').contains(&c) || before == '#' && c == '#' {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
            before = ' ';
        } else {
            escaped.push(c);
            before = c;
        }
    }
    escaped
}

fn each_line(text: &str, longest: usize) -> String {
    let ends = text.ends_with('\n');
    let one = |line: &str| match line.len() <= longest && is_plain(line) {
        // A shortcut: most lines of most logs are plain.
        true => line.to_owned(),
        false => shortened(&tame(&harmless(line.trim_end_matches('\r'), |c| c)), longest),
    };
    let mut all = text.lines().map(one).collect::<Vec<_>>().join("\n");
    if ends {
        all.push('\n');
    }
    all
}

/// Whether a line contains nothing that must be changed.
fn is_plain(line: &str) -> bool {
    line.bytes().all(|b| (b' '..=b'~').contains(&b))
        && !["##", "::", "section_"].iter().any(|s| line.contains(s))
}

/// Returns the text without escape sequences, or none if it has no escape sequences.
fn without_sequences(text: &str) -> Option<String> {
    let escapes = |c: char| matches!(c, '\u{1b}' | '\u{80}'..='\u{9f}');
    text.contains(escapes).then(|| {
        let whole = text.split('\n').map(|line| harmless(line.trim_end_matches('\r'), |c| c));
        whole.collect::<Vec<_>>().join("\n")
    })
}

/// Applies `hide` to a text as a terminal shows it. An escape sequence may split a secret or separate it from its name,
/// but a reader sees neither. If `hide` finds a secret without the sequences, the result has no sequences.
pub(crate) fn as_shown(text: &str, hide: impl Fn(&str) -> String) -> String {
    if let Some(whole) = without_sequences(text) {
        let hidden = hide(&whole);
        if hidden != whole {
            return hidden;
        }
    }
    hide(text)
}

/// Removes escape sequences. Other control characters become blanks, and invisible characters show their number.
fn harmless(text: &str, blank: impl Fn(char) -> char) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut at = Cursor { text, at: 0, endless: 0 };
    while let Some(c) = at.next_if(|_| true) {
        match c {
            '\u{1b}' => at.sequence(),
            '\u{9b}' => at.control_sequence(),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => at.string(),
            '\t' => kept.push(blank(c)),
            c if c.is_control() => kept.push(' '),
            c if is_invisible(c) => kept.push_str(&format!("<U+{:04X}>", u32::from(c))),
            c => kept.push(blank(c)),
        }
    }
    kept
}

/// A position in a text.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// No string sequence ends before this position, so it need not be searched again.
    endless: usize,
}

impl Cursor<'_> {
    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let next = self.text[self.at..].chars().next().filter(|c| wanted(*c))?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Skips what follows ESC (ECMA-48): a control sequence, a string up to its end, or one character.
    fn sequence(&mut self) {
        if self.next_if(|c| c == '[').is_some() {
            self.control_sequence();
        } else if self.next_if(|c| "]PX^_".contains(c)).is_some() {
            self.string();
        } else if self.next_if(|c| (' '..='/').contains(&c)).is_some() {
            while self.next_if(|c| (' '..='/').contains(&c)).is_some() {}
            self.next_if(|c| ('0'..='~').contains(&c));
        } else {
            self.next_if(|c| ('0'..='~').contains(&c));
        }
    }

    /// Skips parameters, intermediates and one final character. A character that breaks the sequence off stays.
    fn control_sequence(&mut self) {
        while self.next_if(|c| (' '..='?').contains(&c)).is_some() {}
        self.next_if(|c| ('@'..='~').contains(&c));
    }

    /// Skips a string up to BEL or ST. A string without an end is skipped only as far as a usual title or link is long.
    fn string(&mut self) {
        let bytes = self.text.as_bytes();
        let until = bytes.len().min(self.at + LONGEST);
        for at in self.at.max(self.endless)..until {
            let length = match (bytes[at], bytes.get(at + 1)) {
                (7, _) => 1,
                (0x1b, Some(b'\\')) | (0xc2, Some(0x9c)) => 2,
                (b'\n', _) => return,
                _ => continue,
            };
            self.at = at + length;
            return;
        }
        self.endless = until;
    }
}

/// Whether a character is not shown or changes the direction of text: a reader would see another text than the real
/// one.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{fffe}' | '\u{ffff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Breaks up what CI systems take for commands. A line may be wrapped later, so each word is treated as the first of a
/// line.
fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    let mut rest = text;
    let mut begins = true;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        tamed.push(c);
        let hash = c == '#' && after.starts_with('#') && is_command(after.trim_start_matches('#'));
        let colons =
            begins && c == ':' && after.starts_with(':') && after.trim_start_matches(':').contains("::");
        let section =
            begins && c == 's' && ["ection_start:", "ection_end:"].iter().any(|s| after.starts_with(s));
        if hash || colons {
            tamed.push(' ');
        }
        if section {
            tamed.push('_');
        }
        // A run of colons is broken up completely.
        begins = c.is_whitespace() || colons;
        rest = after;
    }
    tamed
}

/// Whether a text after `##` is a command: `[group]`, `vso[...]`, `teamcity[...]`.
fn is_command(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_.".contains(c)).starts_with('[')
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.into(),
        Some((at, _)) => format!("{}... ({} characters left out)", &text[..at], text[at..].chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(line("a\n  b\u{1b}[2Jc\t"), "a bc");
        assert_eq!(
            line("\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{1b}\\ \u{9b}31mred\u{1b}(B\u{1b}7 \u{8}\u{0}x"),
            "link red x"
        );
        assert_eq!(line("\u{1b}]0;never ends"), "0;never ends");
        assert_eq!(lines("one\r\ntwo\rthree\u{1b}[K\n"), "one\ntwo three\n");
    }

    #[test]
    fn invisible_characters_are_made_visible() {
        assert_eq!(line("a\u{202e}b\u{200b}c\u{feff}"), "a<U+202E>b<U+200B>c<U+FEFF>");
        assert_eq!(line("tag\u{e0041} \u{2066}x\u{2069}"), "tag<U+E0041> <U+2066>x<U+2069>");
        assert_eq!(line("Grüße 漢字 → ok"), "Grüße 漢字 → ok");
    }

    #[test]
    fn no_ci_system_finds_a_command() {
        let cases = [
            ("::error::x", ": :error::x"),
            ("a ::set-output name=x::y", "a : :set-output name=x::y"),
            ("x\n::stop-commands::t", "x : :stop-commands::t"),
            ("a ##[group]b", "a # #[group]b"),
            ("##vso[task.complete result=Failed]", "# #vso[task.complete result=Failed]"),
            ("###teamcity[buildStop]", "# # #teamcity[buildStop]"),
            ("section_start:1:x\r\u{1b}[0Kx", "s_ection_start:1:x x"),
            ("##\u{1b}[1mvso[x]", "# #vso[x]"),
            (":\u{1b}[1m:error::x", ": :error::x"),
        ];
        for (text, tamed) in cases {
            assert_eq!(line(text), tamed);
            assert_eq!(lines(text).matches("##").count(), 0);
        }
        for stays in
            ["std::io::Error", "fe80::1", "listening on ::1", "## a heading", "issue #1", "C# #[derive]"]
        {
            assert_eq!(line(stays), stays);
        }
    }

    #[test]
    fn a_long_line_is_cut_with_a_count() {
        let text = line(&"x".repeat(LONGEST + 10));
        assert!(text.ends_with("xxx... (10 characters left out)"), "{}", text.len());
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({"a": "##vso[x] \u{202e}\u{e0041}", "b": "####[x]"});
        let text = json(&value.to_string());
        assert!(!text.contains("##") && !text.contains('\u{202e}'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
