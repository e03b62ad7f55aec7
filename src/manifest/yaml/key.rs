//! The keys of maps: JSON keys are texts, YAML keys can be any value.

use std::rc::Rc;

use serde_json::Number;

use super::scalar::is_whole;
use super::{Data, Node};

/// The text that kubectl makes of a key, and a fault if that text differs from the file.
pub(super) fn key(node: &Rc<Node>) -> (Box<str>, Option<String>) {
    let quote = |source: &str, read: &str| {
        let why = format!(
            "the key {source} is not text, `kubectl` reads it as \"{read}\": put {source} in quotes, \"{source}\""
        );
        Some(why).filter(|_| source != read)
    };
    match &node.data {
        Data::Text(text) => (text.clone(), None),
        Data::Bool(value, source) => (source.clone(), quote(source, if *value { "true" } else { "false" })),
        Data::Number(number, source) => (source.clone(), quote(source, &in_go(number, source))),
        Data::Null => {
            let why = "the key is empty (null), which `kubectl` refuses: put it in quotes, \"null\"";
            ("null".into(), Some(why.into()))
        }
        Data::List(_) | Data::Map(_) => {
            (Box::default(), Some(format!("a key is {}, and JSON has only texts for keys", node.kind())))
        }
    }
}

/// The key that sigs.k8s.io/yaml makes of a number: decimal digits for a whole number, otherwise Go's 32-bit `%g`.
fn in_go(number: &Number, source: &str) -> String {
    match number.as_f64() {
        Some(value) if !is_whole(source) => general(value as f32),
        _ => number.to_string(),
    }
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 32)`.
fn general(value: f32) -> String {
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        -4..=5 => format!("{value}"),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
    }
}
