//! What must not stand in evidence. Secrets are recognised by the names of variables, fields and flags, by
//! their shape, and by the kind of object. A value that was recognised once is removed wherever it is found
//! from then on. docs/events.md lists what is covered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

mod forms;
mod names;
mod object;
mod shapes;

pub use shapes::hide as hide_shapes;

/// Stands where a value was.
pub const LEFT_OUT: &str = "(left out)";

/// The values that were recognised as secret, and the forms that they are written in. Clones share one
/// memory: a run, its event log, its bundles and the evidence of its clusters have the same.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// Values that are the name of something: they stand everywhere, and are no secret.
    names: BTreeSet<String>,
    /// Each form of each value, and whether it is removed only where it is a word of its own.
    forms: BTreeMap<String, bool>,
    /// Finds all of them at once, with each one's second half above; made again after something was learnt.
    finder: Option<(AhoCorasick, Arc<[bool]>)>,
}

/// Forms from which on what a text teaches is not remembered: a program may print a new token in each line.
/// It is left out where it stands all the same.
const ENOUGH: usize = 5000;

impl Secrets {
    /// Remembers one value, with the forms that it is written in elsewhere: base64, percent-encoded, as a
    /// JSON string. A value that is too short or a public word is not remembered: it would be removed from
    /// texts that do not mean it.
    pub fn learn(&self, value: &str) {
        let mut known = self.known();
        for (form, alone) in forms::forms(value) {
            if !known.names.contains(&form) && known.forms.insert(form, alone).is_none() {
                known.finder = None;
            }
        }
    }

    /// Remembers the secrets in the values of variables, such as the password of a proxy.
    pub fn learn_variable(&self, name: &str, value: &str) {
        let mut variable = serde_json::json!({ "name": name, "value": value });
        object::clean(&mut variable).iter().for_each(|secret| self.learn(secret));
    }

    /// Remembers the secrets of an object without a change to it, for instance of a manifest that is
    /// going to be applied.
    pub fn learn_from(&self, object: &Value) {
        object::clean(&mut object.clone()).iter().for_each(|secret| self.learn(secret));
        self.forget_names(object);
    }

    /// Makes an object fit to be kept: without secrets, `metadata.managedFields`, and the copy that kubectl
    /// leaves in an annotation. Secrets that are found are remembered.
    ///
    /// # Guarantees
    /// Names, references to Secrets and the keys of Secrets stay, and so do the fields that identify an
    /// object, whatever is remembered.
    pub fn clean(&self, object: &mut Value) {
        object::clean(object).iter().for_each(|secret| self.learn(secret));
        self.forget_names(object);
        if !self.known().forms.is_empty() {
            object::each_text(object, &mut |text| *text = self.hide_known(text));
        }
    }

    /// Forgets what an object, or a part of it, is called: hidden in messages it would lead judges astray.
    fn forget_names(&self, object: &Value) {
        if self.len() == 0 {
            return;
        }
        let finder = self.finder().0;
        let mut names = BTreeSet::new();
        object::each_name(object, &mut |name| {
            // `nginx-deployment` names `nginx-deployment-5d59d67564` too.
            let ends = |at: usize| name.as_bytes().get(at).is_none_or(|b| b"-./:@".contains(b));
            let whole = finder.find(name).filter(|found| found.start() == 0 && ends(found.end()));
            names.extend(whole.map(|found| name[found.range()].to_owned()));
        });
        let known = &mut *self.known();
        for name in names {
            known.forms.remove(&name);
            known.names.insert(name);
            known.finder = None;
        }
    }

    /// The text without secrets: those that are remembered, and those that have the shape of one.
    pub fn hide(&self, text: &str) -> String {
        let mut found = BTreeSet::new();
        let shaped = shapes::hide_and_tell(text, &mut found);
        if self.len() < ENOUGH {
            found.iter().for_each(|secret| self.learn(secret));
        }
        self.hide_known(&shaped)
    }

    /// Overwrites what is remembered with `x`, for files whose length must not change.
    pub fn blank(&self, bytes: &mut [u8]) {
        let (finder, alone) = self.finder();
        let found: Vec<_> =
            finder.find_iter(&*bytes).map(|m| (m.range(), alone[m.pattern().as_usize()])).collect();
        for (range, alone) in found {
            if !alone || is_word(bytes, &range) {
                bytes[range].fill(b'x');
            }
        }
    }

    /// How many forms are remembered: whether something was learnt since.
    pub(crate) fn len(&self) -> usize {
        self.known().forms.len()
    }

    /// As [`Secrets::blank`], for a line of JSON: what identifies an object stays. Whether there was something.
    pub(crate) fn blank_json(&self, line: &mut [u8]) -> bool {
        let (finder, alone) = self.finder();
        let found: Vec<_> =
            finder.find_iter(&*line).map(|m| (m.range(), alone[m.pattern().as_usize()])).collect();
        let mut blanked = false;
        for (range, alone) in found {
            if (!alone || is_word(line, &range)) && !object::names_something(&line[..range.start]) {
                line[range].fill(b'x');
                blanked = true;
            }
        }
        blanked
    }

    fn hide_known(&self, text: &str) -> String {
        if self.len() == 0 {
            return text.into();
        }
        let (finder, alone) = self.finder();
        let mut hidden = String::new();
        let mut at = 0;
        for found in finder.find_iter(text) {
            if !alone[found.pattern().as_usize()] || is_word(text.as_bytes(), &found.range()) {
                hidden.push_str(&text[at..found.start()]);
                hidden.push_str(LEFT_OUT);
                at = found.end();
            }
        }
        hidden.push_str(&text[at..]);
        hidden
    }

    /// The finder, and for each of its patterns whether it must be a word of its own.
    fn finder(&self) -> (AhoCorasick, Arc<[bool]>) {
        let known = &mut *self.known();
        let make = || {
            // A value that is a part of another one leaves nothing of the other behind.
            let finder =
                AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(known.forms.keys());
            (finder.expect("the forms fit a finder"), known.forms.values().copied().collect())
        };
        known.finder.get_or_insert_with(make).clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_word(text: &[u8], range: &std::ops::Range<usize>) -> bool {
    let inside = |at: Option<&u8>| at.is_some_and(|b| b.is_ascii_alphanumeric() || *b >= 0x80);
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    !inside(before) && !inside(text.get(range.end))
}

/// Says how many forms are remembered, never which.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} forms)", self.known().forms.len())
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
    fn a_number_that_is_a_secret_leaves_a_line_of_json_readable() {
        let secrets = known(&["20263011"]);
        let mut line = br#"{"seq":4,"mono_us":120263011,"event":"noted","text":"x"}"#.to_vec();
        secrets.blank_json(&mut line);
        let text = String::from_utf8(line).unwrap();
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
    }

    #[test]
    fn a_late_secret_stays_in_no_label_key_or_value_that_tells_objects_apart() {
        let secrets = known(&["frontend-blue"]);
        let line = r#"{"event":"object-changed","object":{"metadata":{"labels":{"app":"frontend-blue"}}}}"#;
        let mut blanked = line.as_bytes().to_vec();
        secrets.blank_json(&mut blanked);
        // As `clean` does: labels are names.
        assert_eq!(String::from_utf8(blanked).unwrap(), line);
    }

    #[test]
    fn a_short_value_that_is_no_word_hides_no_other_secret_behind_it() {
        let secrets = known(&["app1", "1-long-secret"]);
        let hidden = secrets.hide("connect myapp1-long-secret now");
        assert!(!hidden.contains("long-secret"), "{hidden}");
    }
}
