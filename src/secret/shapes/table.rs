//! The shapes, each a regular expression.

use std::sync::LazyLock;

use regex::Regex;

use super::{How, Shape};

/// What a log may write before its lines: the time and, in files of the container runtime, the stream.
pub(super) const BEFORE: &str = r"(?:\d{4}-\S+(?:Z|[+-]\d\d:\d\d) (?:std(?:out|err) [FP] )?)?";

/// A shape that one expression matches as a whole.
fn whole(needs: &'static [&'static str], how: How, regex: &str) -> Shape {
    Shape { needs, regex: Regex::new(regex).expect("it is a regex"), value: None, how }
}

/// A shape of a name with its separator, and of the value after it. The value is matched only if the name is secret;
/// otherwise the search continues with the next name.
fn pair(needs: &'static [&'static str], how: How, name: &str, value: &str) -> Shape {
    let value = Regex::new(&format!("^(?:{value})")).expect("it is a regex");
    Shape { value: Some(value), ..whole(needs, how, name) }
}

/// A word of a shell: in quotes, also in a string of JSON or of another shell, or matched by `plain`.
fn word(plain: &str) -> String {
    format!(r#"(?:\\*"(?P<s>(?:[^"\\\n]|\\+[^"\\\n])+)|'(?P<q>[^'\n]+)|(?P<b>{plain}))"#)
}

/// The rest of a word without quotes, up to the quote that ends the surrounding string.
const REST: &str = r#"(?:[^\s'"\\]|\\+[^\s'"\\])"#;

pub(super) static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    use How::{Cookies, Named, NamedAndRandom, Sure};
    vec![
        // User and password of a URL; an @ in the password may be escaped or not.
        whole(&["://"], Sure, r#"(?i)\b[a-z][a-z0-9+.-]*://(?P<s>[^\s/?#@:'"<>\\]*:[^\s/?#'"<>\\]+)@"#),
        // The same with a password that contains a character that ends a host. Only digits before that character are a
        // port.
        whole(
            &["://"],
            Sure,
            r#"(?i)\b[a-z][a-z0-9+.-]*://(?P<s>[^\s/?#@:'"<>\\\[\]]*:[0-9]*[^\s/?#@'"<>\\0-9][^\s@'"<>\\]*)@"#,
        ),
        // A token alone before the host, as git uses it.
        whole(&["://"], NamedAndRandom, r#"(?i)\bhttps?://(?P<s>[^\s/?#@:'"<>\\]{8,})@"#),
        // go-sql-driver: user:password@tcp(host:port)/database.
        whole(&["@tcp", "@unix"], Sure, r#"[\w.%+-]*:(?P<s>[^\s'"]+?)@(?:tcp|tcp6|unix)\("#),
        whole(
            &["PRIVATE KEY"],
            Sure,
            // A key on one line, as in JSON. `keys` finds keys of several lines.
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?P<s>(?:[A-Za-z0-9+/=\s]|\\+[nr])+)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
        ),
        whole(
            &["LS0tLS1CRUdJTi"],
            Sure,
            r"(?P<s>LS0tLS1CRUdJTi(?:BQUklWQVRF|BSU0EgUFJJVkFUR|BFQyBQUklWQVRF|BPUEVOU1NIIFBSSVZBVEUg|BFTkNSWVBURUQgUFJJVkFUR)[A-Za-z0-9+/=]+)",
        ),
        whole(&["eyJ"], Sure, r"\b(?P<s>eyJ[\w-]{5,}\.eyJ[\w-]{5,}\.[\w-]*)"),
        whole(&["AKIA", "ASIA"], Sure, r"\b(?P<s>(?:AKIA|ASIA)[A-Z0-9]{16})\b"),
        whole(
            &[
                "ghp_",
                "gho_",
                "ghu_",
                "ghs_",
                "ghr_",
                "github_pat_",
                "glpat-",
                "xox",
                "sk_live_",
                "hvs.",
                "AIza",
                "dckr_pat_",
                "npm_",
                "sk-",
            ],
            Sure,
            r"\b(?P<s>gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|sk_live_\w{16,}|hvs\.[\w-]{20,}|AIza[\w-]{35}|dckr_pat_[\w-]{20,}|sk-[\w-]{32,}|npm_[A-Za-z0-9]{36})",
        ),
        whole(&["earer ", "EARER "], Sure, r"(?i)\bbearer +(?P<s>[A-Za-z0-9._~+/-]{12,}=*)"),
        whole(
            &["uthorization", "UTHORIZATION"],
            Sure,
            r#"(?i)authorization\\?["']?\s*[:=]\s*\\?["']?(?:basic|digest|token) +(?P<s>[A-Za-z0-9+/=._-]{6,})"#,
        ),
        // Any other scheme, if the value looks generated.
        whole(
            &["uthorization", "UTHORIZATION"],
            NamedAndRandom,
            r#"(?i:authorization)\\*["']?\s*[:=]\s*\\*["']?[A-Z][\w-]* +(?P<s>[^\s'",;\\()\[\]{}]{6,})"#,
        ),
        whole(
            &["mysql", "mariadb", "sshpass"],
            Sure,
            &format!(
                r#"\b(?:mysql|mariadb|sshpass)[\w-]*\b[^\n|;&]*?\s\\*['"]?-p{}"#,
                word(r#"[^\s'",\]\\][^\s'",\]]{2,}"#)
            ),
        ),
        whole(
            &["sshpass", "mongo"],
            Sure,
            &format!(r#"\b(?:sshpass|mongo[a-z]*)\b[^\n|;&]*?\s-p +{}"#, word(&format!("{REST}+"))),
        ),
        whole(
            &["--user", "--proxy-user"],
            Sure,
            &format!(r#"--(?:proxy-)?user[= ] *\\*['"]?[^\s:'"\\]+:(?P<s>{REST}+)"#),
        ),
        whole(&["pass:"], NamedAndRandom, r#"\bpass:(?P<s>[^\s'"]+)"#),
        whole(&["login "], Sure, r"\blogin\s+\S+\s+password\s+(?P<s>\S+)"),
        whole(&["assword '", "ASSWORD '"], Named, r"(?i)\b(?P<k>password)\s+'(?P<s>[^']+)'"),
        // MySQL up to 5.7: `SET PASSWORD FOR a = PASSWORD('x')`, `= 'x'`, and the function anywhere else.
        whole(
            &["assword", "ASSWORD"],
            Named,
            r#"(?i)\bset\s+(?P<k>password)\b[^=;\n]*=\s*\\*['"](?P<s>[^'"\\\n]+)"#,
        ),
        whole(
            &["assword", "ASSWORD"],
            Named,
            r#"(?i)\b(?P<k>(?:old_)?password)\s?\(\s*\\*['"](?P<s>[^'"\\\n]+)"#,
        ),
        whole(&["ookie:"], Sure, r"(?i)\bset-cookie:\s*[^=\s;]+=(?P<s>[^;\s]+)"),
        // All cookies of a request: only the server knows which of them is the session's.
        whole(&["ookie:", "OOKIE:"], Cookies, r#"(?i)(?:^|[^\w-])cookie: *(?P<s>[^\s=;"'(]+=[^\n\r"']+)"#),
        whole(
            &["ig=", "IG=", "ignature=", "IGNATURE=", "oken=", "OKEN="],
            Sure,
            r#"(?i)[?&](?:sig|signature|x-(?:amz|goog)-signature|x-amz-security-token)=(?P<s>[^\s&'"]+)"#,
        ),
        whole(&["hooks.slack.com"], Sure, r#"hooks\.slack\.com/services/(?P<s>[^\s'"]+)"#),
        whole(
            &["redis-cli"],
            Sure,
            &format!(r#"\bredis-cli\b[^\n|;&]*?\s-a +{}"#, word(&format!("{REST}+"))),
        ),
        whole(
            &["curl"],
            Sure,
            &format!(
                r#"\bcurl\b[^\n|;&]*?\s(?:-[sSkfiILvgNOjlnqaGB0#]*[uU] *|--(?:proxy-)?user[ =])\\*['"]?(?P<s>[^\s:'"\\]+:{REST}+)"#
            ),
        ),
        whole(
            &["dentified", "DENTIFIED"],
            Sure,
            r#"(?i)identified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?['"](?P<s>[^'"]+)['"]"#,
        ),
        // The images of MySQL and MariaDB print this once.
        whole(
            &["ROOT PASSWORD: ", "password is generated"],
            Sure,
            r"(?:GENERATED ROOT PASSWORD: |password is generated for \S+: )(?P<s>\S+)",
        ),
        // A variable in JSON, also if the JSON is inside a string of JSON; name and value in either order.
        pair(
            &["alue"],
            Named,
            r#"\\*"(?:[Nn]ame|[Kk]ey)\\*"\s*:\s*\\*"(?P<k>[\w.-]+)\\*"\s*,\s*\\*"[Vv]alue\\*"\s*:\s*\\*""#,
            r#"(?P<s>(?:[^"\\]|\\\\[^"])+)"#,
        ),
        whole(
            &["alue"],
            Named,
            r#"(?:^|[^\\])"[Vv]alue"\s*:\s*"(?P<s>(?:[^"\\]|\\.)+)"\s*,\s*"(?:[Nn]ame|[Kk]ey)"\s*:\s*"(?P<k>[\w.-]+)""#,
        ),
        whole(
            &["alue"],
            Named,
            r#"\\+"[Vv]alue\\+"\s*:\s*\\+"(?P<s>(?:[^"\\]|\\\\[^"])+)\\+"\s*,\s*\\+"(?:[Nn]ame|[Kk]ey)\\+"\s*:\s*\\+"(?P<k>[\w.-]+)\\"#,
        ),
        // The same as Go, Python and Rust print it, and in YAML.
        pair(
            &["alue"],
            Named,
            &format!(
                r#"\b[Nn]ame['"]?(?: ?=> ?|: *|=)['"]?(?P<k>[\w.-]+)['"]?(?:, ?| |\r?\n{BEFORE}[ \t]+)['"]?[Vv]alue['"]?(?: ?=> ?|: *|=)(?:Some\()?"#
            ),
            r#""(?P<s>(?:[^"\\\n]|\\.)+)"|'(?P<q>[^'\n]+)'|(?P<b>(?:[^,}\s"']|,[^V\s])(?:[^,}\s]|,[^V\s])*)"#,
        ),
        whole(
            &["value: "],
            Named,
            &format!(r#"\bvalue: +"?(?P<s>[^\s"'\n]+)"?\r?\n{BEFORE}[ \t]+name: +"?(?P<k>[\w.-]+)"#),
        ),
        // XML: an element, and a name next to its value.
        pair(
            &["</"],
            Named,
            r"<(?P<k>[A-Za-z][\w.:-]*)(?:\s[^<>]*)?>",
            r"<!\[CDATA\[(?P<q>[^\]\s]+)|\s*(?P<s>[^<>\s](?:[^<>]*[^<>\s])?)\s*</",
        ),
        pair(
            &["<"],
            Named,
            r#"<(?:name|key)>\s*(?P<k>[\w.-]+)\s*</(?:name|key)>\s*<(?:value|string)>"#,
            r"\s*(?P<s>[^<>\s](?:[^<>]*[^<>\s])?)\s*</",
        ),
        pair(
            &["<"],
            Named,
            r#"\s(?:name|key)="(?P<k>[\w.-]+)"(?:\s+value=|[^<>"]*>)"#,
            r#""(?P<q>[^"]+)"|\s*(?P<s>[^<>\s"](?:[^<>"]*[^<>\s"])?)\s*</"#,
        ),
        pair(
            &["\":", "\" :"],
            Named,
            r#"(?:^|[^\\])"(?P<k>[\w./-]+)"\s*:\s*""#,
            r#"(?P<s>(?:[^"\\]|\\.)+)""#,
        ),
        pair(&["\":", "\" :"], Named, r#""(?P<k>[\w./-]+)"\s*:\s*"#, "(?P<s>[0-9]{6,})"),
        pair(&["\":", "\" :"], Named, r#""(?P<k>[\w./-]+)"\s*:\s*\["#, r"(?P<s>[^\[\]{}]+)\]"),
        pair(&["\":", "\" :"], Named, r#"\\*"(?P<k>[\w./-]+)\\*"\s*:\s*\\*""#, r#"(?P<s>[^"\\]+)"#),
        // A variable on a line of its own, as in an env file: the value is the rest of the line.
        pair(
            &["="],
            Named,
            &format!(r"(?m)^{BEFORE}\s*(?:export +)?(?P<k>[A-Z][A-Z0-9_]*)="),
            r#"(?P<s>[^\s"'$()][^\s"'()]*)"#,
        ),
        // A variable, a flag, a parameter of a URL, a part of a connection string.
        pair(
            &["="],
            Named,
            r"(?P<k>[A-Za-z][\w.-]*) {0,4}= {0,4}",
            r#"(?:[A-Z]\w*\()?(?:\\*"(?P<s>[^"\\]+)|'(?P<q>[^']+)')|(?P<b>\$\([^()\n]*\)|\$\{[^{}\n]*\}|[^\s"'&;,|<>(){}\[\]\\]+)"#,
        ),
        pair(
            &["-"],
            NamedAndRandom,
            // A flag in a shell, or in a list of words.
            r#"(?:^|[\s'"\[,`])--?(?P<k>[A-Za-z][A-Za-z0-9-]*)(?:\\*['",]* +\\*['"]?|\\*['"],\s*\\*['"])"#,
            &format!(r#"(?P<s>(?:[^\s'"\\-]|\\+[^\s'"\\]){REST}*)"#),
        ),
        // A line of YAML, or of a properties file.
        pair(
            &[": "],
            Named,
            &format!(r"(?m)^{BEFORE}[\s-]*(?P<k>[\w.-]+) {{0,4}}: +"),
            r#""(?P<s>[^"\n]+)"|'(?P<q>[^'\n]+)'"#,
        ),
        pair(&[": "], NamedAndRandom, r#"["'](?P<k>[\w-]+): +"#, r#"(?P<s>[^\s"']+)["']"#),
        pair(
            &[": "],
            NamedAndRandom,
            &format!(r"(?m)^{BEFORE}[\s><-]*(?P<k>[\w.-]+) {{0,4}}: +"),
            r#"(?P<s>[^\s"'{}\[\],]+) *\r?(?:\n|$)"#,
        ),
        // In the middle of a line, as Go, Python, Ruby and Rust print values, or as prose.
        pair(
            &[":", "=>"],
            NamedAndRandom,
            r#"(?:^|[\s'"{(\[,:])(?P<k>[A-Za-z][\w.-]*)['"]?(?: ?=> ?| {0,4}: {0,4})"#,
            r#"(?:[A-Z]\w*\()*(?:"(?P<s>[^"\n]+)"|'(?P<q>[^'\n]+)')|\[(?P<l>[^\[\]\n]+)\]|(?:(?:Some|Just|Optional)[(\[])?(?P<b>[^\s"'{}\[\](),;]+)"#,
        ),
        whole(&["requirepass "], Sure, r"\brequirepass (?P<s>[^\s']+)"),
    ]
});
