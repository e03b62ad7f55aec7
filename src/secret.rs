//! Keeps secrets out of evidence. Secrets are recognised by the names of variables, fields and flags, by their shape in
//! text, and by the kind of object. A recognised value is removed everywhere from then on. docs/events.md lists what is
//! covered.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::sanitise;

mod command;
mod forms;
mod memory;
mod names;
mod object;
mod shapes;

use memory::Memory;
pub use shapes::hide as hide_shapes;
pub(crate) use shapes::{Key, key_line};

/// Whether a name, such as `DB_PASSWORD`, says that its value is secret.
pub(crate) fn is_name(name: &str) -> bool {
    names::is_secret(name)
}

/// The text that replaces a secret. In objects and records it has a number, `(left out 3)`: different values stay
/// different.
pub const LEFT_OUT: &str = "(left out)";

/// The values that were recognised as secret, in all forms in which they may be written. Clones share one memory: a
/// run, its event log, its bundles and the evidence of its clusters use the same.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Memory>>);

/// Maximum number of forms, after which secrets found in texts are no longer remembered: a program may print a new
/// token in each line. They are still removed from the text in which they were found.
const ENOUGH: usize = 5000;

/// The secrets found while one text or object is searched.
#[derive(Default)]
struct Found<'a> {
    values: BTreeSet<String>,
    /// If set, replacements are numbered by this memory.
    numbers: Option<&'a Secrets>,
    /// How deep the searched JSON is: JSON may contain strings that are JSON again.
    nested: usize,
}

impl Found<'_> {
    /// Returns the text that replaces a value.
    fn stand_in(&self, value: &str) -> String {
        self.numbers.map_or_else(|| LEFT_OUT.into(), |secrets| numbered(secrets.known().number(value)))
    }
}

fn numbered(number: usize) -> String {
    format!("(left out {number})")
}

/// As [`numbered`], at most `length` bytes long: a secret that is learnt late must not make a line of a log longer.
fn fitting(number: usize, length: usize) -> String {
    let text = numbered(number);
    match text.len() <= length {
        true => text,
        false => {
            let width = length.saturating_sub(1).min(9);
            format!("*{:0width$}", number % 10_usize.pow(u32::try_from(width).unwrap_or_default()))
        }
    }
}

impl Secrets {
    /// Remembers one value in all forms in which it may be written: base64, percent-encoded, as a JSON string. A short
    /// value, a public or ordinary word, a number, a version or a name is not remembered: it would be removed from
    /// texts in which it is no secret.
    pub fn learn(&self, value: &str) {
        self.known().learn(value);
    }

    /// Remembers the secrets in a variable's value, such as the password of a proxy.
    pub fn learn_variable(&self, name: &str, value: &str) {
        let mut variable = serde_json::json!({ "name": name, "value": value });
        self.take_in(&mut variable, false);
    }

    /// Remembers the secrets of an object and leaves the object unchanged, for instance of a manifest before it is
    /// applied.
    pub fn learn_from(&self, object: &Value) {
        self.take_in(&mut object.clone(), true);
    }

    /// Makes an object safe to store: removes and remembers its secrets, removes `metadata.managedFields` and the copy
    /// that kubectl leaves in an annotation.
    ///
    /// # Guarantees
    /// Names, references to Secrets, the keys of Secrets and the fields that identify an object stay, even if such a
    /// text equals a remembered value.
    pub fn clean(&self, object: &mut Value) {
        self.take_in(object, true);
        let groups = self.known().groups();
        object::each_text(object, &mut |text| {
            *text = sanitise::as_shown(text, |text| {
                hide_known(&groups, text, true).unwrap_or_else(|| text.into())
            });
        });
    }

    fn take_in(&self, object: &mut Value, named: bool) {
        let mut found = Found { numbers: Some(self), ..Found::default() };
        object::clean(object, &mut found);
        let known = &mut *self.known();
        if named {
            object::each_name(object, &mut |name| known.name(name));
        }
        found.values.iter().for_each(|secret| known.learn(secret));
    }

    /// Returns the text without the remembered secrets and without texts that have the shape of a secret. An escape
    /// sequence may split a secret that a terminal shows whole: the text is searched without escape sequences too.
    pub fn hide(&self, text: &str) -> String {
        self.hide_all(text, false)
    }

    /// As [`Secrets::hide`], for a text of a record: different secrets get different numbers, and the replacement of a
    /// remembered value is never longer than the value.
    pub(crate) fn hide_in_record(&self, text: &str) -> String {
        self.hide_all(text, true)
    }

    fn hide_all(&self, text: &str, record: bool) -> String {
        sanitise::as_shown(text, |text| self.hide_once(text, record))
    }

    fn hide_once(&self, text: &str, record: bool) -> String {
        let mut found = Found { numbers: record.then_some(self), ..Found::default() };
        let shaped = shapes::hide_and_tell(text, &mut found);
        let mut known = self.known();
        for secret in &found.values {
            if known.len() < ENOUGH {
                known.learn(secret);
            }
        }
        let groups = known.groups();
        drop(known);
        hide_known(&groups, &shaped, record).unwrap_or(shaped)
    }

    /// Overwrites remembered values with `x`, for files whose length must not change.
    pub fn blank(&self, bytes: &mut [u8]) {
        let groups = self.known().groups();
        for (range, _) in memory::find(&groups, bytes) {
            bytes[range].fill(b'x');
        }
    }

    /// How many forms were ever remembered. A higher number than before means that something was learnt since.
    pub(crate) fn learnt(&self) -> usize {
        self.known().learnt
    }

    fn known(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns none if the text contains no remembered value.
fn hide_known(groups: &[Arc<memory::Group>], text: &str, record: bool) -> Option<String> {
    let found = memory::find(groups, text.as_bytes());
    if found.is_empty() {
        return None;
    }
    let (mut hidden, mut at) = (String::new(), 0);
    for (range, number) in found {
        hidden.push_str(&text[at..range.start]);
        match record {
            true => hidden.push_str(&fitting(number, range.len())),
            false => hidden.push_str(LEFT_OUT),
        }
        at = range.end;
    }
    hidden.push_str(&text[at..]);
    Some(hidden)
}

/// Shows how many forms are remembered, never the forms.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} forms)", self.known().len())
    }
}

/// Equal if both share one memory; the content is not compared.
impl PartialEq for Secrets {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Secrets {}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(values: &[&str]) -> Secrets {
        let secrets = Secrets::default();
        values.iter().for_each(|value| secrets.learn(value));
        secrets
    }

    #[test]
    fn overlapping_values_are_removed_completely() {
        let secrets = known(&["hunter22", "hunter22-the-longer", "the-long"]);
        assert_eq!(secrets.hide("x hunter22-the-longer y hunter22"), "x (left out) y (left out)");
    }

    #[test]
    fn a_short_value_is_removed_only_as_a_word_and_a_public_word_stays() {
        let secrets = known(&["hunter2", "pw1", "password", "yes", "33060"]);
        let text = "root:hunter2@db, hunter23, xhunter2, pw1, the password, yes, port 33060";
        assert_eq!(secrets.hide(text), text.replace(":hunter2@", ":(left out)@"));
    }

    #[test]
    fn every_form_of_a_value_is_removed() {
        let secrets = known(&["pa/ss w\"ord+77"]);
        use base64::Engine as _;
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        for text in [
            "pa/ss w\"ord+77".to_owned(),
            "pa%2Fss%20w%22ord%2B77".into(),
            r#"{"x": "pa/ss w\"ord+77"}"#.into(),
            base64("pa/ss w\"ord+77"),
            base64("pa/ss w\"ord+77\n"),
            base64("u:pa/ss w\"ord+77"),
            base64("us:pa/ss w\"ord+77"),
            base64("use:pa/ss w\"ord+77."),
        ] {
            let hidden = secrets.hide(&text);
            assert!(hidden.contains(LEFT_OUT), "{text}: {hidden}");
        }
    }

    #[test]
    fn a_binary_keeps_its_length() {
        let mut bytes = b"\0\x01hunter22\xff hunter2".to_vec();
        known(&["hunter22", "hunter2"]).blank(&mut bytes);
        assert_eq!(bytes, b"\0\x01xxxxxxxx\xff xxxxxxx");
    }

    #[test]
    fn nothing_that_is_remembered_is_shown_by_debug() {
        assert_eq!(format!("{:?}", known(&["hunter22"])).find("hunter"), None);
    }

    #[test]
    fn a_short_value_inside_a_word_does_not_protect_another_secret() {
        let secrets = known(&["app1", "1-long-secret"]);
        let hidden = secrets.hide("connect myapp1-long-secret now");
        assert!(!hidden.contains("long-secret"), "{hidden}");
    }
}
