//! Keeps secrets out of evidence. They are recognised by the names of variables, fields and flags, by
//! their shape, and by the kind of object. A value that was recognised once is removed wherever it is found
//! from then on. docs/events.md lists what is covered.

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

/// Whether a name says that what it names is secret, such as `DB_PASSWORD`.
pub(crate) fn is_name(name: &str) -> bool {
    names::is_secret(name)
}

/// Stands where a value was. In objects and in records it is numbered, `(left out 3)`: what differed differs.
pub const LEFT_OUT: &str = "(left out)";

/// The values that were recognised as secret, and the forms that they are written in. Clones share one
/// memory: a run, its event log, its bundles and the evidence of its clusters have the same.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Memory>>);

/// Forms from which on what a text teaches is not remembered: a program may print a new token in each line.
/// It is left out where it stands all the same.
const ENOUGH: usize = 5000;

/// What is found while something is searched.
#[derive(Default)]
struct Found<'a> {
    values: BTreeSet<String>,
    /// Numbers what it leaves out.
    numbers: Option<&'a Secrets>,
    /// In how many strings of JSON we are.
    nested: usize,
}

impl Found<'_> {
    /// What stands for a value.
    fn stand_in(&self, value: &str) -> String {
        self.numbers.map_or_else(|| LEFT_OUT.into(), |secrets| numbered(secrets.known().number(value)))
    }
}

fn numbered(number: usize) -> String {
    format!("(left out {number})")
}

/// As [`numbered`], no longer than this: a line of a log keeps its length when something is left out late.
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
    /// Remembers one value, with the forms that it is written in elsewhere: base64, percent-encoded, as a
    /// JSON string. A value that is short, a public or an ordinary word, a number, a version or a name is
    /// not remembered: it would be removed from texts that do not mean it.
    pub fn learn(&self, value: &str) {
        self.known().learn(value);
    }

    /// Remembers the secrets in the values of variables, such as the password of a proxy.
    pub fn learn_variable(&self, name: &str, value: &str) {
        let mut variable = serde_json::json!({ "name": name, "value": value });
        self.take_in(&mut variable, false);
    }

    /// Remembers the secrets of an object without a change to it, for instance of a manifest that is
    /// going to be applied.
    pub fn learn_from(&self, object: &Value) {
        self.take_in(&mut object.clone(), true);
    }

    /// Makes an object fit to be kept: without secrets, `metadata.managedFields`, and the copy that kubectl
    /// leaves in an annotation. Secrets that are found are remembered.
    ///
    /// # Guarantees
    /// Names, references to Secrets and the keys of Secrets stay, and so do the fields that identify an
    /// object, whatever is remembered.
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

    /// The text without secrets: those that are remembered, and those that have the shape of one. What
    /// escape sequences part is whole to who reads it, so it is looked for without them too.
    pub fn hide(&self, text: &str) -> String {
        self.hide_all(text, false)
    }

    /// As [`Secrets::hide`], for a text of a record: what differed differs, and what is remembered leaves
    /// nothing that is longer.
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

    /// Overwrites what is remembered with `x`, for files whose length must not change.
    pub fn blank(&self, bytes: &mut [u8]) {
        let groups = self.known().groups();
        for (range, _) in memory::find(&groups, bytes) {
            bytes[range].fill(b'x');
        }
    }

    /// How often something was remembered: whether something was learnt since.
    pub(crate) fn learnt(&self) -> usize {
        self.known().learnt
    }

    fn known(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// None where there is nothing to hide.
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

/// Says how many forms are remembered, never which.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} forms)", self.known().len())
    }
}

/// The same memory, not the same content.
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
    fn a_value_that_is_a_part_of_another_leaves_nothing_of_it() {
        let secrets = known(&["hunter22", "hunter22-the-longer", "the-long"]);
        assert_eq!(secrets.hide("x hunter22-the-longer y hunter22"), "x (left out) y (left out)");
    }

    #[test]
    fn a_short_value_goes_only_as_a_word_and_a_public_word_stays() {
        let secrets = known(&["hunter2", "pw1", "password", "yes", "33060"]);
        let text = "root:hunter2@db, hunter23, xhunter2, pw1, the password, yes, port 33060";
        assert_eq!(secrets.hide(text), text.replace(":hunter2@", ":(left out)@"));
    }

    #[test]
    fn every_form_of_a_value_goes() {
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
    fn a_short_value_that_is_no_word_hides_no_other_secret_behind_it() {
        let secrets = known(&["app1", "1-long-secret"]);
        let hidden = secrets.hide("connect myapp1-long-secret now");
        assert!(!hidden.contains("long-secret"), "{hidden}");
    }
}
