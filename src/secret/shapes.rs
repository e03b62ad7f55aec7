//! Recognises secrets by their shape in any text: a log line, an error, a command.

use std::ops::Range;

use regex::{Captures, Regex};

use super::Found;
use super::names::{is_plain, is_secret, is_variable, looks_random};
use crate::sanitise;

mod blocks;
pub(super) mod hints;
mod json;
mod keys;
mod maps;
mod table;

pub(crate) use keys::{Key, key_line};

/// One shape. The secret is in group `s`, `q`, `b` or `l` of the regular expression. If the optional group `k` matches,
/// its text must be a secret name.
struct Shape {
    /// A quick test: a text that contains none of these does not have the shape.
    needs: &'static [&'static str],
    regex: Regex,
    /// Matches the value after the name. It is applied only if the name is secret.
    value: Option<Regex>,
    how: How,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    /// Nothing but a secret has this shape.
    Sure,
    /// The name marks the value as secret.
    Named,
    /// The name marks the value as secret, but the value may be prose: it must look generated.
    NamedAndRandom,
    /// Pairs whose values are all secret.
    Cookies,
}

/// Returns the text without texts that have the shape of a secret.
pub fn hide(text: &str) -> String {
    hide_and_tell(text, &mut Found::default())
}

/// As [`hide`], and adds to `found` what was found. If only a name in free text marks it, it must look generated.
pub(super) fn hide_and_tell(text: &str, found: &mut Found<'_>) -> String {
    let found = std::cell::RefCell::new(found);
    sanitise::as_shown(text, |text| in_plain(text, &mut found.borrow_mut()))
}

fn in_plain(text: &str, found: &mut Found<'_>) -> String {
    if !hints::any(text) {
        return text.to_owned();
    }
    let read = json::hide(&blocks::hide(&keys::hide(text, found), found), found);
    let mut hidden = maps::hide(&read, found);
    let may = hints::shapes(&hidden);
    for (shape, _) in table::SHAPES.iter().zip(may).filter(|(_, may)| *may) {
        let places = places(shape, &hidden);
        if places.is_empty() {
            continue;
        }
        let (mut without, mut at) = (String::with_capacity(hidden.len()), 0);
        for place in places {
            let value = &hidden[place.clone()];
            without.push_str(&hidden[at..place.start]);
            without.push_str(&found.stand_in(value));
            at = place.end;
            if shape.how == How::Cookies {
                let pairs = value.split(';').filter_map(|pair| pair.split_once('='));
                pairs.for_each(|(_, value)| remember(value, shape.how, found));
            }
            // Of a URL, only the password is remembered: user and password together are longer than what other texts
            // contain.
            let secret = if shape.needs == ["://"] {
                value.split_once(':').map_or(value, |pair| pair.1)
            } else {
                value
            };
            remember(secret, shape.how, found);
        }
        without.push_str(&hidden[at..]);
        hidden = without;
    }
    hidden
}

fn remember(secret: &str, how: How, found: &mut Found<'_>) {
    if looks_random(secret) || how == How::Sure && secret.len() >= 8 {
        // Elsewhere the value may appear without percent-encoding.
        let decoded = percent_encoding::percent_decode_str(secret).decode_utf8_lossy();
        found.values.insert(decoded.into_owned());
        found.values.insert(secret.trim().to_owned());
    }
}

/// Returns the places of secrets of this shape. If a name is not secret, its value is searched for further names. No
/// value is searched twice, so the cost grows with the length of the text only.
fn places(shape: &Shape, text: &str) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(captures) = shape.regex.captures_at(text, at) {
        let end = captures.get_match().end();
        let name = captures.name("k");
        let named = name.is_none_or(|name| is_secret(name.as_str()));
        let value = match &shape.value {
            Some(value) => {
                let captures = named.then(|| value.captures(&text[end..])).flatten();
                captures.and_then(|captures| value_of(&captures)).map(|v| end + v.start..end + v.end)
            }
            None => value_of(&captures),
        };
        // After a name without a value, the search continues right behind the name.
        at = match (&value, name) {
            (Some(value), _) => value.end.max(end),
            (None, Some(name)) => name.end(),
            (None, None) => end,
        };
        found.extend(value.filter(|value| named && is_meant(shape.how, &text[value.clone()])));
    }
    found
}

fn value_of(captures: &Captures<'_>) -> Option<Range<usize>> {
    ["s", "q", "b", "l"].into_iter().find_map(|group| captures.name(group)).map(|value| value.range())
}

fn is_meant(how: How, value: &str) -> bool {
    match how {
        // A part of a replacement, `(left out)`.
        _ if value.starts_with("(left") => false,
        // A variable that a shell replaces.
        How::Sure => !is_variable(value),
        How::Cookies => true,
        How::Named => !is_plain(value),
        How::NamedAndRandom => looks_random(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::LEFT_OUT;

    #[test]
    fn texts_with_the_shape_of_a_secret_are_removed() {
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
    fn texts_without_secrets_stay() {
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
    fn hiding_twice_changes_nothing() {
        let once =
            hide("a://b:c0ffee@d token=abc123 password: s3cr3t-value\nmysql -ps3cr3t {\"auth\": \"x1y2z3\"}");
        assert_eq!(hide(&once), once);
    }
}
