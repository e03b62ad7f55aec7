//! Secrets that show by their shape in any text: a log line, an error, a command.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::Found;
use super::names::{is_plain, is_secret, looks_random};
use crate::sanitise;

/// One shape. Group `s` is the secret; group `k`, where there is one, is a name that must be a secret's.
struct Shape {
    /// None of these in a text: the shape is not in it either.
    needs: &'static [&'static str],
    regex: Regex,
    how: How,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    /// Nothing else has this shape.
    Sure,
    /// A name says it.
    Named,
    /// A name says it, but what follows may be prose.
    NamedAndRandom,
}

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let shape =
        |needs, how, regex: &str| Shape { needs, regex: Regex::new(regex).expect("it is a regex"), how };
    use How::{Named, NamedAndRandom, Sure};
    vec![
        // User and password of a URL, the password with or without its @ escaped.
        shape(&["://"], Sure, r#"(?i)\b[a-z][a-z0-9+.-]*://(?P<s>[^\s/?#@:'"<>\\]*:[^\s/?#'"<>\\]+)@"#),
        // The same with a password that has what ends a host. Digits alone before it are a port.
        shape(
            &["://"],
            Sure,
            r#"(?i)\b[a-z][a-z0-9+.-]*://(?P<s>[^\s/?#@:'"<>\\\[\]]*:[0-9]*[^\s/?#@'"<>\\0-9][^\s@'"<>\\]*)@"#,
        ),
        // A token alone before the host, as of git.
        shape(&["://"], NamedAndRandom, r#"(?i)\bhttps?://(?P<s>[^\s/?#@:'"<>\\]{8,})@"#),
        // go-sql-driver: user:password@tcp(host:port)/database.
        shape(&["@tcp", "@unix"], Sure, r#"[\w.%+-]*:(?P<s>[^\s'"]+?)@(?:tcp|tcp6|unix)\("#),
        shape(
            &["PRIVATE KEY"],
            Sure,
            // On one line, as in JSON; `keys` sees to those of several.
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?P<s>(?:[A-Za-z0-9+/=\s]|\\+[nr])+)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
        ),
        shape(
            &["LS0tLS1CRUdJTi"],
            Sure,
            r"(?P<s>LS0tLS1CRUdJTi(?:BQUklWQVRF|BSU0EgUFJJVkFUR|BFQyBQUklWQVRF|BPUEVOU1NIIFBSSVZBVEUg|BFTkNSWVBURUQgUFJJVkFUR)[A-Za-z0-9+/=]+)",
        ),
        shape(&["eyJ"], Sure, r"\b(?P<s>eyJ[\w-]{5,}\.eyJ[\w-]{5,}\.[\w-]*)"),
        shape(&["AKIA", "ASIA"], Sure, r"\b(?P<s>(?:AKIA|ASIA)[A-Z0-9]{16})\b"),
        shape(
            &["gh", "github_pat_", "glpat-", "xox", "sk_live_", "hvs.", "AIza", "dckr_pat_", "npm_", "sk-"],
            Sure,
            r"\b(?P<s>gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|sk_live_\w{16,}|hvs\.[\w-]{20,}|AIza[\w-]{35}|dckr_pat_[\w-]{20,}|sk-[\w-]{32,}|npm_[A-Za-z0-9]{36})",
        ),
        shape(&["earer ", "EARER "], Sure, r"(?i)\bbearer +(?P<s>[A-Za-z0-9._~+/-]{12,}=*)"),
        shape(
            &["uthorization", "UTHORIZATION"],
            Sure,
            r#"(?i)authorization\\?["']?\s*[:=]\s*\\?["']?(?:basic|digest|token) +(?P<s>[A-Za-z0-9+/=._-]{6,})"#,
        ),
        shape(
            &["mysql", "mariadb", "sshpass"],
            Sure,
            r#"\b(?:mysql|mariadb|sshpass)[\w-]*\b[^\n|;&]*?\s['"]?-p(?P<s>[^\s'",\]]{3,})"#,
        ),
        shape(
            &["sshpass", "mongo"],
            Sure,
            r#"\b(?:sshpass|mongo[a-z]*)\b[^\n|;&]*?\s-p +['"]?(?P<s>[^\s'"]+)"#,
        ),
        shape(&["--user"], Sure, r#"--(?:proxy-)?user[= ] *['"]?[^\s:'"]+:(?P<s>[^\s'"]+)"#),
        shape(&["pass:"], NamedAndRandom, r#"\bpass:(?P<s>[^\s'"]+)"#),
        shape(&["login "], Sure, r"\blogin\s+\S+\s+password\s+(?P<s>\S+)"),
        shape(&["assword '", "ASSWORD '"], Named, r"(?i)\b(?P<k>password)\s+'(?P<s>[^']+)'"),
        shape(&["ookie:"], Sure, r"(?i)\bset-cookie:\s*[^=\s;]+=(?P<s>[^;\s]+)"),
        shape(
            &["ig", "oken"],
            Sure,
            r#"(?i)[?&](?:sig|signature|x-(?:amz|goog)-signature|x-amz-security-token)=(?P<s>[^\s&'"]+)"#,
        ),
        shape(&["hooks.slack.com"], Sure, r#"hooks\.slack\.com/services/(?P<s>[^\s'"]+)"#),
        shape(&["redis-cli"], Sure, r#"\bredis-cli\b[^\n|;&]*?\s-a +['"]?(?P<s>[^\s'"]+)"#),
        shape(&["curl"], Sure, r#"\bcurl\b[^\n|;&]*?\s(?:-u *|--user[ =])['"]?(?P<s>[^\s:'"]+:[^\s'"]+)"#),
        shape(
            &["dentified", "DENTIFIED"],
            Sure,
            r#"(?i)identified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?['"](?P<s>[^'"]+)['"]"#,
        ),
        // What the images of MySQL and MariaDB print once.
        shape(
            &["ROOT PASSWORD: ", "password is generated"],
            Sure,
            r"(?:GENERATED ROOT PASSWORD: |password is generated for \S+: )(?P<s>\S+)",
        ),
        // A variable in JSON, also where the JSON is a string of another one.
        shape(
            &["value"],
            Named,
            r#"\\*"name\\*"\s*:\s*\\*"(?P<k>[\w.-]+)\\*"\s*,\s*\\*"value\\*"\s*:\s*\\*"(?P<s>(?:[^"\\]|\\\\[^"])+)"#,
        ),
        shape(&["\":", "\" :"], Named, r#"(?:^|[^\\])"(?P<k>[\w./-]+)"\s*:\s*"(?P<s>(?:[^"\\]|\\.)+)""#),
        shape(&["\":", "\" :"], Named, r#""(?P<k>[\w./-]+)"\s*:\s*(?P<s>[0-9]{6,})"#),
        shape(&["\":", "\" :"], Named, r#""(?P<k>[\w./-]+)"\s*:\s*\[(?P<s>[^\[\]{}]+)\]"#),
        shape(&["\":", "\" :"], Named, r#"\\*"(?P<k>[\w./-]+)\\*"\s*:\s*\\*"(?P<s>[^"\\]+)"#),
        // A variable on a line of its own, as in a file of them: all that follows belongs to it.
        shape(
            &["="],
            Named,
            r#"(?m)^(?:\d{4}-\S+Z )?\s*(?:export +)?(?P<k>[A-Z][A-Z0-9_]*)=(?P<s>[^\s"'$()][^\s"'()]*)"#,
        ),
        // A variable, a flag, a parameter of a URL, a part of a connection string.
        shape(
            &["="],
            Named,
            r#"(?P<k>[A-Za-z][\w.-]*) {0,4}= {0,4}(?:\\*"(?P<s>[^"\\]+)|'(?P<q>[^']+)'|(?P<b>\$\([^)]*\)|\$\{[^}]*\}|[^\s"'&;,|<>(){}\[\]\\]+))"#,
        ),
        shape(
            &["-"],
            NamedAndRandom,
            r#"(?:^|[\s'"\[,`])--?(?P<k>[A-Za-z][A-Za-z0-9-]*)['",]* +['"]?(?P<s>[^\s'"-][^\s'"]*)"#,
        ),
        // A line of YAML, or of a file of properties.
        shape(
            &[": "],
            Named,
            r#"(?m)^(?:\d{4}-\S+Z )?[\s-]*(?P<k>[\w.-]+): +(?:"(?P<s>[^"\n]+)"|'(?P<q>[^'\n]+)')"#,
        ),
        shape(&[": "], NamedAndRandom, r#"["'](?P<k>[\w-]+): +(?P<s>[^\s"']+)["']"#),
        shape(
            &[": "],
            NamedAndRandom,
            r#"(?m)^(?:\d{4}-\S+Z )?[\s><-]*(?P<k>[\w.-]+): +(?P<s>[^\s"'{}\[\],]+) *\r?$"#,
        ),
        // The first line of a block of YAML.
        shape(
            &[": |", ": >"],
            Named,
            r"(?m)^[\s-]*(?P<k>[\w.-]+): +[|>][+-]?\d?[ \t]*\r?\n[ \t]+(?P<s>\S[^\n]*)",
        ),
        // In the middle of a line, as programs print what they were given: Go, Python, Ruby, Rust, words.
        shape(
            &[":", "=>"],
            NamedAndRandom,
            r#"(?:^|[\s'"{(,:])(?P<k>[A-Za-z][\w.-]*)['"]?(?: ?=> ?|: ?)(?:"(?P<s>[^"\n]+)"|'(?P<q>[^'\n]+)'|(?P<b>[^\s"'{}\[\](),;]+))"#,
        ),
        shape(&["requirepass "], Sure, r"\brequirepass (?P<s>[^\s']+)"),
    ]
});

/// The text without what has the shape of a secret.
pub fn hide(text: &str) -> String {
    hide_and_tell(text, &mut Found::default())
}

/// As [`hide`], with what was found. Of what only a name in free text calls secret, what looks made up.
pub(super) fn hide_and_tell(text: &str, found: &mut Found<'_>) -> String {
    let found = std::cell::RefCell::new(found);
    sanitise::as_shown(text, |text| in_plain(text, &mut found.borrow_mut()))
}

fn in_plain(text: &str, found: &mut Found<'_>) -> String {
    let mut hidden = keys(text, found);
    for shape in SHAPES.iter() {
        if !shape.needs.iter().any(|need| hidden.contains(need)) {
            continue;
        }
        let mut places = shape.regex.captures_iter(&hidden).filter_map(|c| place(shape.how, &c)).peekable();
        if places.peek().is_none() {
            continue;
        }
        let (mut without, mut at) = (String::with_capacity(hidden.len()), 0);
        for place in places {
            let value = &hidden[place.clone()];
            // Of a URL, the password alone; both together are longer than what stands elsewhere.
            let secret = if shape.needs == ["://"] {
                value.split_once(':').map_or(value, |pair| pair.1)
            } else {
                value
            };
            without.push_str(&hidden[at..place.start]);
            without.push_str(&found.stand_in(value));
            at = place.end;
            if looks_random(secret) || shape.how == How::Sure && secret.len() >= 8 {
                // As it is meant where it stands alone.
                let decoded = percent_encoding::percent_decode_str(secret).decode_utf8_lossy();
                found.values.insert(decoded.into_owned());
                found.values.insert(secret.trim().to_owned());
            }
        }
        without.push_str(&hidden[at..]);
        hidden = without;
    }
    hidden
}

/// Where a line stands to the lines of a private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Key {
    /// In none.
    #[default]
    Outside,
    /// Below the line that begins one, which has so many words before it: a time, a stream.
    Inside(usize),
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
/// The ends of the first and the last line of a key: PEM, and PGP's.
const PRIVATE: [&str; 2] = ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"];

fn is_private(line: &str) -> bool {
    PRIVATE.iter().any(|end| line.ends_with(end))
}

/// Takes a line, and says whether it is one of a key's, to be left out. Most that speaks of a key is none:
/// an error that quotes its first line.
pub(crate) fn key_line(line: &str, at: Key) -> (Key, bool) {
    let line = line.trim_end();
    let begins = line.find(BEGIN).filter(|_| is_private(line) && !line.contains(END));
    match (begins, at) {
        (Some(begins), _) => (Key::Inside(line[..begins].split_whitespace().count()), false),
        (None, Key::Inside(before)) if !line.contains(END) && is_body(line, before) => (at, true),
        _ => (Key::Outside, false),
    }
}

fn is_body(line: &str, before: usize) -> bool {
    let mut words = line.split_whitespace().skip(before);
    match (words.next(), words.next()) {
        (None, _) => true,
        (Some(word), None) => word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b)),
        (Some(word), _) => ["Proc-Type:", "DEK-Info:", "Version:", "Comment:"].contains(&word),
    }
}

/// Without the lines of private keys, those of which the first line is lost included.
fn keys(text: &str, found: &mut Found<'_>) -> String {
    if !text.contains("PRIVATE KEY") {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (mut at, mut body) = (Key::Outside, vec![false; lines.len()]);
    for (n, line) in lines.iter().enumerate() {
        let inside = at != Key::Outside;
        (at, body[n]) = key_line(line, at);
        if let Some(ends) = line.find(END).filter(|_| !inside && is_private(line.trim_end())) {
            let before = line[..ends].split_whitespace().count();
            let long = |line: &str| is_body(line, before) && line.trim().len() >= 16;
            let from = (0..n).rev().take_while(|n| !body[*n] && long(lines[*n])).last().unwrap_or(n);
            body[from..n].fill(true);
        }
    }
    let mut hidden = String::with_capacity(text.len());
    for (n, line) in lines.iter().enumerate() {
        match body[n] {
            false => hidden.push_str(line),
            true if n > 0 && body[n - 1] => {}
            true => {
                let all: String =
                    lines[n..].iter().zip(&body[n..]).take_while(|l| *l.1).map(|l| *l.0).collect();
                hidden.push_str(&found.stand_in(&all));
                hidden.push('\n');
                found.values.insert(all);
            }
        }
    }
    hidden
}

fn place(how: How, captures: &Captures<'_>) -> Option<Range<usize>> {
    let value = ["s", "q", "b"].into_iter().find_map(|group| captures.name(group))?;
    let named = captures.name("k").is_none_or(|name| is_secret(name.as_str()));
    let meant = match how {
        // A part of what stands where a value was.
        _ if value.as_str().starts_with("(left") => false,
        How::Sure => true,
        How::Named => named && !is_plain(value.as_str()),
        How::NamedAndRandom => named && looks_random(value.as_str()),
    };
    meant.then(|| value.range())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::LEFT_OUT;

    #[test]
    fn what_has_the_shape_of_a_secret_goes() {
        let cases = [
            "connect mysql://app:s3cr3t-value@db:3306/x",
            "redis://:s3cr3t-value@cache/0",
            "HTTP_PROXY=http://jane:s3cr3t-value@proxy:3128",
            "root:s3cr3t-value@tcp(127.0.0.1:3306)/qa",
            "host=db user=app password=s3cr3t-value dbname=x",
            "jdbc:mysql://db/x?user=app&password=s3cr3t-value&useSSL=false",
            "Server=db;Password=s3cr3t-value;",
            "mysqld --password=s3cr3t-value --port=3306",
            "app --password s3cr3t-value --verbose",
            "sh -c \"mysql -uroot -ps3cr3t-value -e 'select 1'\"",
            "redis-cli -a s3cr3t-value ping",
            "curl -s -u app:s3cr3t-value http://x",
            "Authorization: Bearer s3cr3t-value.abc",
            "{\"auth\": \"s3cr3t-value\"}",
            r#"{"body": "{\"password\":\"s3cr3t-value\"}"}"#,
            r#"env: {"name": "DB_PASS", "value": "s3cr3t-value"}"#,
            "CREATE USER 'a' IDENTIFIED BY 's3cr3t-value'",
            "[Entrypoint]: GENERATED ROOT PASSWORD: s3cr3t-value",
            "  password: s3cr3t-value",
            "mysql://app:s3cr3t/val?u#e@db:3306/x",
            "mysql://app:12s3cr3t/val@db",
            "DB_PASS=s3cr3t;rest",
            "2026-11-30T10:00:00Z export DB_PASS=s3cr3t&s3cr3t",
            "-----BEGIN RSA PRIVATE KEY-----\ns3cr3t-value\n-----END RSA PRIVATE KEY-----",
        ];
        for case in cases {
            let hidden = hide(case);
            assert!(!hidden.contains("s3cr3t") && hidden.contains(LEFT_OUT), "{case}: {hidden}");
        }
        let akia = hide("key AKIAIOSFODNN7EXAMPLE, jwt eyJhbGciOi.eyJzdWIiOiIx.c2ln");
        assert_eq!(akia, "key (left out), jwt (left out)");
    }

    #[test]
    fn evidence_stays() {
        let cases = [
            "Access denied for user 'root'@'10.244.1.3' (using password: YES)",
            "password: incorrect",
            "MYSQL_ALLOW_EMPTY_PASSWORD=yes",
            r#"{"secretKeyRef": {"name": "mysql", "key": "password"}}"#,
            r#"{"secretName": "mysql-credentials-7x"}"#,
            "--password is required",
            "GET http://10.0.0.1:8080/a@b",
            "GET http://[fd00::1]:8080/a@b",
            "GET http://web/a:b@c",
            "spec.containers[0].env[0].valueFrom.secretKeyRef: token missing",
            "image registry/mysql:5.6@sha256:abc",
            "mysqladmin -p is asked for",
            "key=value path=/x app=nginx pod-template-hash=5d59d67564",
            "topologyKey: kubernetes.io/hostname",
            "password=$(MYSQL_ROOT_PASSWORD)",
        ];
        for case in cases {
            assert_eq!(hide(case), case);
        }
    }

    #[test]
    fn what_was_hidden_once_is_not_hidden_again() {
        let once =
            hide("a://b:c0ffee@d token=abc123 password: s3cr3t-value\nmysql -ps3cr3t {\"auth\": \"x1y2z3\"}");
        assert_eq!(hide(&once), once);
    }
}
