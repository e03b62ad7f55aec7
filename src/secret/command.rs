//! Secrets in the words of a command: values of flags, `NAME=value` pairs, and what follows a flag of known programs.

use serde_json::{Map, Value};

use super::names::{is_secret, is_some_key, looks_random};

/// Splits an argument or a variable into the part before a secret value and the value. The value of a flag may be such
/// a pair again: `--from-literal=password=x`.
pub(super) fn secret_pair(text: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let mut begins = 0;
    // A text with more `=` than this is not a pair.
    for (at, _) in text.match_indices('=').take(16) {
        let (name, value) = (&text[begins..at], &text[at + 1..]);
        if !name.contains(char::is_whitespace) && holds(name, value) && (begins == 0 || is_name(name)) {
            return Some((&text[..at], value));
        }
        if !text.starts_with('-') || !is_name(name) {
            return None;
        }
        begins = at + 1;
    }
    None
}

/// Pairs of fields: the first holds the beginning of a command, the second the rest.
pub(super) const COMMANDS: &[(&str, &str)] = &[
    ("command", "args"),
    ("Entrypoint", "Cmd"),
    ("entrypoint", "command"),
    ("entrypoint", "cmd"),
    ("Path", "Args"),
];

/// A program with flags that are followed by a secret, or by `user:secret`.
pub(super) struct Tool {
    name: &'static str,
    flags: &'static [&'static str],
    /// Flags without a value. They may precede a flag with a value in one word: `-sSu`.
    switches: &'static str,
}

const fn tool(name: &'static str, flags: &'static [&'static str]) -> Tool {
    Tool { name, flags, switches: "" }
}

const CURL: Tool =
    Tool { switches: "sSkfiILvgNOjlnqaGB0#", ..tool("curl", &["-u", "--user", "-U", "--proxy-user"]) };
static TOOLS: [Tool; 5] = [
    CURL,
    tool("etcdctl", &["--user"]),
    tool("mongo", &["-p"]),
    tool("redis-cli", &["-a"]),
    tool("sshpass", &["-p"]),
];
/// The names of MySQL's programs and images each contain one of these.
const CLIENTS: [&str; 3] = ["mysql", "mariadb", "percona"];
/// Any client of MySQL.
pub(super) static MYSQL: Tool = tool("mysql", &["-p"]);

/// The names of all programs that have such flags.
pub(super) fn programs() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|tool| tool.name).chain(CLIENTS)
}

/// A subset of [`TOOLS`], one bit for each.
#[derive(Clone, Copy, Default)]
pub(super) struct Tools(u8);

impl Tools {
    /// Returns the tools that the words name, with or without a path.
    pub(super) fn of<'w>(words: impl Iterator<Item = &'w str>) -> Self {
        let names =
            |word: &str, tool: &Tool| word.rsplit('/').next().is_some_and(|n| n.starts_with(tool.name));
        let bits =
            |word: &str| (0..TOOLS.len()).filter(|n| names(word, &TOOLS[*n])).fold(0, |all, n| all | 1 << n);
        Self(words.fold(0, |all, word| all | bits(word)))
    }

    pub(super) fn each(self) -> impl Iterator<Item = &'static Tool> {
        TOOLS.iter().enumerate().filter(move |(n, _)| self.0 >> n & 1 == 1).map(|(_, tool)| tool)
    }
}

impl std::ops::BitOr for Tools {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Tool {
    /// Returns what follows one of the tool's flags in the same word: an empty text if the word is only the flag.
    fn behind_flag<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.flags.iter().find_map(|flag| match flag.strip_prefix("--") {
            Some(_) => text.strip_prefix(flag).filter(|rest| rest.is_empty() || rest.starts_with('=')),
            None => {
                let letters = text.strip_prefix('-')?;
                letters.trim_start_matches(|c| self.switches.contains(c)).strip_prefix(&flag[1..])
            }
        })
    }
}

/// The words of a container's command, and its image.
pub(super) fn words_of(fields: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let parts = COMMANDS.iter().flat_map(|(first, then)| [*first, *then]).chain(["image", "Image"]);
    parts.filter_map(move |part| fields.get(part)).flat_map(|field| {
        let list = field.as_array().into_iter().flatten().filter_map(Value::as_str);
        field.as_str().into_iter().chain(list)
    })
}

/// Whether the word after this one is a secret.
pub(super) fn asks_for_secret(text: &str, tools: Tools) -> bool {
    tools.each().any(|tool| tool.behind_flag(text) == Some(""))
        || text.starts_with('-') && text.len() > 2 && !text.contains('=') && is_secret(text)
}

/// Whether the word after the last word of a list is a secret.
pub(super) fn asks(words: Option<&Value>, tools: Tools) -> bool {
    let last = words.and_then(Value::as_array).and_then(|words| words.last()).and_then(Value::as_str);
    last.is_some_and(|last| asks_for_secret(last, tools))
}

/// Splits a word into a flag and its value: `-uapp:x`, `--user=app:x`.
pub(super) fn glued(text: &str, tools: impl IntoIterator<Item = &'static Tool>) -> Option<(&str, &str)> {
    tools.into_iter().find_map(|tool| {
        let rest = tool.behind_flag(text)?;
        let value = rest.strip_prefix('=').unwrap_or(rest);
        let meant = value.len() > 2 && !value.contains(char::is_whitespace);
        meant.then(|| text.split_at(text.len() - value.len()))
    })
}

/// Whether a variable holds a secret: its name says so, or its name contains some key and its value looks generated.
pub(super) fn holds(name: &str, value: &str) -> bool {
    is_secret(name) || is_some_key(name) && looks_random(value)
}

/// Whether the words of a container's command, or its image, name a program of MySQL.
pub(super) fn names_mysql(fields: &Map<String, Value>) -> bool {
    words_of(fields).any(is_mysql)
}

/// Whether a word names a program of MySQL.
pub(super) fn is_mysql(text: &str) -> bool {
    CLIENTS.iter().any(|name| text.contains(name))
}
