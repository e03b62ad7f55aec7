//! Names that mark their value as secret, and values that are never secret.

/// Words that make a name secret, anywhere in the name.
const SECRET: &[&str] = &[
    "PASSWORD",
    "PASSWORDS",
    "PASSWD",
    "PASS",
    "PWD",
    "PW",
    "PASSPHRASE",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "TOKENS",
    "CREDENTIAL",
    "CREDENTIALS",
    "APIKEY",
    "AUTHORIZATION",
    "CREDS",
    "MNEMONIC",
    "PASSCODE",
    "SALT",
];
/// Words that make a key secret if they precede `KEY`: `SSH_KEY`, `AWS_ACCESS_KEY_ID`, `client-key-data`.
const KEYS: &[&str] = &[
    "API",
    "ACCESS",
    "ACCOUNT",
    "AES",
    "APP",
    "AUTH",
    "CERTIFICATE",
    "CLIENT",
    "COOKIE",
    "CRYPT",
    "DEPLOY",
    "ENCRYPT",
    "ENCRYPTION",
    "FERNET",
    "HMAC",
    "JWT",
    "LICENSE",
    "MASTER",
    "PRIVATE",
    "RSA",
    "SECRET",
    "SERVICE",
    "SESSION",
    "SIGNING",
    "SSH",
    "SSL",
    "STORAGE",
    "TLS",
    "UNSEAL",
];
/// Last words of names that describe a secret and do not hold it.
const ABOUT: &[&str] = &[
    "NAME",
    "NAMES",
    "NAMESPACE",
    "REF",
    "FILE",
    "PATH",
    "DIR",
    "URL",
    "URI",
    "HOST",
    "PORT",
    "USER",
    "USERNAME",
    "TYPE",
    "ENABLED",
    "DISABLED",
    "REQUIRED",
    "TTL",
    "LENGTH",
    "EXPIRY",
    "EXPIRATION",
    "EXPIRES",
    "SECONDS",
    "AGE",
    "POLICY",
    "PLUGIN",
    "METHOD",
    "MODE",
    "PROVIDER",
    "ISSUER",
    "AUDIENCE",
    "CLASS",
    "COUNT",
    "SIZE",
    "VERSION",
    "ENDPOINT",
    "SERVER",
    "ALGORITHM",
];
/// Values that are not treated as secret even where they are used as one: hiding them would blank half a log.
const PUBLIC: &[&str] = &[
    "password",
    "passwort",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "changeme",
    "change-me",
    "letmein",
    "admin",
    "administrator",
    "root",
    "rootpassword",
    "mysecretpassword",
    "test",
    "tests",
    "testing",
    "example",
    "sample",
    "default",
    "demo",
    "guest",
    "user",
    "username",
    "token",
    "credentials",
    "none",
    "null",
    "true",
    "false",
    "enabled",
    "disabled",
    "required",
    "optional",
    "localhost",
    "database",
    "server",
    "service",
    "production",
    "staging",
    "development",
    "kubernetes",
    "kube-system",
    "kubelet",
    "mysql",
    "mysqld",
    "mariadb",
    "postgres",
    "postgresql",
    "redis",
    "mongo",
    "mongodb",
    "rabbitmq",
    "nginx",
    "seatrial",
    "opaque",
    "wordpress",
    "drupal",
    "joomla",
    "ghost",
    "gitlab",
    "keycloak",
    "grafana",
    "minio",
    "minioadmin",
    "elastic",
    "elasticsearch",
    "cassandra",
    "airflow",
    "superuser",
    "nextcloud",
    "rootroot",
    "adminadmin",
    "passw0rd",
    "password1",
    "password123",
    "rootpass",
    "testpass",
    "mypassword",
    "welcome",
    "12345678",
    "123456789",
    "1234567890",
    "basic",
    "bearer",
    "string",
    "value",
    "unknown",
    "invalid",
    "incorrect",
    "missing",
    "empty",
    "using",
];

/// Each secret name contains one of these: a quick test that rules out most names.
const PARTS: &[&str] =
    &["PASS", "PW", "SECRET", "TOKEN", "CRED", "KEY", "AUTH", "COOKIE", "MNEMONIC", "SALT"];
/// Ends of joined words that make a name secret: `PGPASSWORD`, `userpwd`.
const ENDS: &[&str] = &[
    "PASSWORD",
    "PASSWORDS",
    "PASSWD",
    "PWD",
    "TOKEN",
    "TOKENS",
    "SECRET",
    "SECRETS",
    "APIKEY",
    "PASSPHRASE",
    "PASSCODE",
    "CREDENTIAL",
    "CREDENTIALS",
];
/// Words that make a joined word secret if they are inside of it: `DBPASSWORDPROD`.
const MIDDLES: &[&str] = &["PASSWORD", "PASSWD", "PASSPHRASE"];
/// Words of English that end in PASS.
const PASSES: &[&str] =
    &["BYPASS", "COMPASS", "ENCOMPASS", "TRESPASS", "SURPASS", "OVERPASS", "UNDERPASS", "MULTIPASS"];

/// A regular expression that matches each secret name, and each name for which [`is_some_key`] is true. `KEY` alone
/// does not match: the word before it decides.
pub(super) fn part() -> String {
    let parts: Vec<&str> = PARTS.iter().filter(|part| **part != "KEY").copied().collect();
    format!("{}|_KEY|PRIVATE KEY|(?:{})[^A-Za-z]*KEY", parts.join("|"), KEYS.join("|"))
}

/// Whether a variable, field, header or flag of this name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    // PWD and OLDPWD are folders of the shell.
    if !PARTS.iter().any(|part| upper.contains(part)) || matches!(name, "PWD" | "OLDPWD") {
        return false;
    }
    // `SSLPrivate` is two words, but `APIkey` must not be split before its I: the name is split in both ways.
    let both = [words(name), words_apart(name, true)];
    !both.iter().any(|words| ABOUT.contains(&last(words))) && both.iter().any(|words| say_secret(words))
}

fn last(words: &[String]) -> &str {
    words.last().map_or("", String::as_str)
}

fn say_secret(words: &[String]) -> bool {
    let holds = |word: &String| {
        let joined = |end: &str| word.len() > end.len() && word.ends_with(end);
        let within = |middle: &&str| {
            let rest = word.find(middle).map(|at| &word[at + middle.len()..]);
            rest.is_some_and(|rest| !rest.starts_with("LESS") && !ABOUT.contains(&rest))
        };
        SECRET.contains(&word.as_str())
            || ENDS.iter().any(|end| joined(end))
            || MIDDLES.iter().any(within)
            || joined("PASS") && !PASSES.contains(&word.as_str())
    };
    let key =
        |pair: &[String]| KEYS.contains(&pair[0].as_str()) && matches!(pair[1].as_str(), "KEY" | "KEYS");
    // Short words end other words too: `MAPPKEY` ends in APP and KEY.
    let of_key = |before: &str| KEYS.iter().any(|k| *k == before || k.len() >= 6 && before.ends_with(k));
    let last = last(words);
    words.iter().any(holds)
        || words.windows(2).any(key)
        || words.windows(2).any(|pair| pair[0] == "AUTH" && pair[1] == "STRING")
        || matches!(last, "AUTH" | "COOKIE")
        || last.strip_suffix("KEYS").or_else(|| last.strip_suffix("KEY")).is_some_and(of_key)
}

/// Whether a variable's name contains some key, such as `STRIPE_KEY`. Only its value can show whether it is secret.
pub(super) fn is_some_key(name: &str) -> bool {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_').ends_with("_KEY")
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether a list or map of this name holds secrets: `passwords` does. `auth` does not, because many files have a
/// section of settings of that name.
pub(super) fn holds_secrets(name: &str) -> bool {
    is_secret(name) && !matches!(last(&words(name)), "AUTH" | "COOKIE")
}

/// Whether a name describes a secret without holding it: `secretName`, `tokenPath`.
pub(super) fn is_about(name: &str) -> bool {
    ABOUT.contains(&last(&words(name)))
}

/// Splits a name into words, in capitals: at `_`, `-`, `.`, `/`, at blanks, and where camelCase begins a word. Digits
/// at the end of a word are removed.
fn words(name: &str) -> Vec<String> {
    words_apart(name, false)
}

/// As [`words`], but also splits a run of capitals before a word that begins with a capital.
fn words_apart(name: &str, capitals: bool) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut before, mut chars) = (' ', name.chars().peekable());
    while let Some(c) = chars.next() {
        let next = chars.peek().is_some_and(|next| next.is_lowercase());
        let begins = c.is_uppercase()
            && (before.is_lowercase()
                || before.is_ascii_digit()
                || capitals && before.is_uppercase() && next);
        if (begins || !c.is_alphanumeric()) && words.last().is_some_and(|w| !w.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("there is a word").extend(c.to_uppercase());
        }
        before = c;
    }
    for word in &mut words {
        word.truncate(word.trim_end_matches(|c: char| c.is_ascii_digit()).len());
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a value under a secret name is obviously no secret: a switch, a number of seconds, a reference.
pub(super) fn is_plain(value: &str) -> bool {
    let switch =
        ["yes", "no", "on", "off", "true", "false", "none", "null", "required", "disabled", "enabled"];
    let variable = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    let between =
        |open: &str, close: char| value.strip_prefix(open).and_then(|text| text.strip_suffix(close));
    let reference = between("$(", ')').or_else(|| between("${", '}')).is_some_and(variable);
    let number = value.len() <= 3 && value.bytes().all(|b| b.is_ascii_digit());
    let left_out = value.starts_with("(left out")
        || value.trim_start_matches(['*', 'x', '<', '>']).is_empty()
        // The replacement of a short value has few digits.
        || value.strip_prefix('*').is_some_and(|number| {
            number.len() <= 9 && number.parse::<u32>().is_ok_and(|number| number < 100_000)
        });
    reference || number || left_out || switch.contains(&value.to_lowercase().as_str())
}

/// Whether a shell replaces this value: `$DB_PASS`, `${DB_PASS}`, `$(cat`.
pub(super) fn is_variable(value: &str) -> bool {
    let Some(name) = value.strip_prefix('$') else { return false };
    let plain = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    plain(name)
        || name.starts_with('(')
        || name.strip_prefix('{').is_some_and(|name| plain(name.trim_end_matches('}')))
}

/// Whether a value names a file, as that of `GOOGLE_APPLICATION_CREDENTIALS` does: below a usual folder of the root, or
/// made of words only. The slash alone does not decide: a generated password may begin with one.
pub(super) fn is_path(value: &str) -> bool {
    const ROOTS: &[&str] = &[
        "app",
        "certs",
        "config",
        "credentials",
        "data",
        "dev",
        "etc",
        "home",
        "mnt",
        "opt",
        "proc",
        "root",
        "run",
        "secret",
        "secrets",
        "srv",
        "sys",
        "tmp",
        "usr",
        "var",
        "vault",
        "workspace",
    ];
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    let Some((first, rest)) = value.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return false;
    };
    let words = |text: &str| text.split(['/', '.', '-', '_']).all(|word| word.is_empty() || is_word(word));
    value.bytes().all(plain) && (ROOTS.contains(&first) || words(first) && words(rest))
}

/// Whether a value is so common in texts that it is never removed from them.
pub(super) fn is_public(value: &str) -> bool {
    let lower = value.to_lowercase();
    let number = value.len() < 8 && value.bytes().all(|b| b.is_ascii_digit());
    number || is_plain(value) || PUBLIC.contains(&lower.as_str())
}

/// Whether a value looks like ordinary text: one or two words, a number, a version, an address, a path of words. If such
/// values were removed everywhere, judges would read other facts.
pub(super) fn is_ordinary(value: &str) -> bool {
    let version = |text: &str| {
        let text = text.strip_prefix('v').unwrap_or(text);
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b".:-/".contains(&b))
    };
    let words = |text: &str| text.split([' ', '-', '_', '.', '/']).all(is_word);
    let few = value.split([' ', '-', '_', '.', '/']).count() <= 2;
    version(value)
        || few && words(value)
        || value.strip_prefix('/').is_some_and(words)
        || value.split_once('/').is_some_and(|(name, text)| {
            is_word(name) && version(text) || ["kubernetes.io", "k8s.io"].iter().any(|d| name.ends_with(d))
        })
}

/// Whether a text is made of letters that can be pronounced; each part of a camelCase word is checked.
fn is_word(text: &str) -> bool {
    let vowel = |c: char| "aeiouyAEIOUY".contains(c);
    let humps = 1 + text.chars().skip(1).filter(char::is_ascii_uppercase).count();
    let capitals = text.chars().all(|c| c.is_ascii_uppercase());
    (1..=24).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphabetic())
        && (capitals || text.len() >= 3 * humps || text.len() < 3)
        && (text.contains(vowel) || text.len() < 4)
        && text.split(vowel).all(|consonants| consonants.len() <= 4)
}

/// Whether a value in free text looks generated, not written by a person.
pub(super) fn looks_random(value: &str) -> bool {
    let any = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    let mixed = any(u8::is_ascii_digit) && any(u8::is_ascii_alphabetic);
    value.len() >= 6
        && !is_public(value)
        && (mixed || any(u8::is_ascii_punctuation) && any(u8::is_ascii_uppercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_recognised() {
        let secret = [
            "MYSQL_ROOT_PASSWORD",
            "DB_PASS",
            "MYSQL_PWD",
            "PGPASS",
            "PGPASSWORD",
            "APIKEY",
            "API_KEY",
            "apiKey",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "SSH_KEY",
            "REDIS_AUTH",
            "PASSPHRASE",
            "ENCRYPTION_KEY",
            "client-key-data",
            "clientSecret",
            "accessToken",
            "X-Api-Key",
            "Authorization",
            "GITHUB_TOKEN",
            "DBPASS",
            "tls.private_key",
            "password",
            "auth",
            "spring.datasource.password",
            "requirepass",
            "MYSQL_PASSWORD1",
            "DB_PASS2",
            "OLD_TOKEN1",
            "dbPassword2",
            "CLIENT_SECRET1",
            "API_KEY2",
            "DB_PASS_2",
            "ROOTPWD",
            "userpwd",
            "SSLPrivateKey",
            "sslprivatekey",
            "APIkey",
            "APIKeys",
            "DBPASSWORDPROD",
            "usercredentials",
        ];
        for name in secret {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn names_about_secrets_are_no_names_of_secrets() {
        let about = [
            "secretName",
            "MYSQL_ROOT_PASSWORD_FILE",
            "imagePullSecretName",
            "topologyKey",
            "key",
            "PWD",
            "OLDPWD",
            "PASSWORD_MIN_LENGTH",
            "TOKEN_URL",
            "tokenExpirationSeconds",
            "BYPASS",
            "AUTH_MODE",
            "author",
            "PARTITION_KEY",
            "secretRef",
            "credentialsPath",
            "compass",
            "kubernetes.io/hostname",
            "public_key",
            "passive",
            "passenger",
            "passage",
            "encompass",
            "compass2",
            "tokenizer",
            "tokenize",
            "keyboard",
            "keynote",
            "monkey",
            "turkeys",
            "secretary",
            "passwordless",
            "PASSWORDFILE",
            "PASSWORD_FILE_2",
            "TOKEN_URL2",
            "oauth2",
            "base64",
            "sha256",
            "node1",
            "password1Name",
        ];
        for name in about {
            assert!(!is_secret(name), "{name}");
        }
    }
}
