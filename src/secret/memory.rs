//! The forms of values that are remembered, and where they stand in a text.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::AhoCorasick;

use super::forms;

/// One form of a value.
#[derive(Clone, Copy)]
struct Form {
    /// Removed only where it is a word of its own.
    alone: bool,
    /// The value's number.
    number: usize,
}

/// Forms that are looked for at once. There are several, each much larger than the next: what is learnt makes
/// the small ones anew.
pub(super) struct Group {
    finder: AhoCorasick,
    forms: Vec<(String, Form)>,
}

#[derive(Default)]
pub(super) struct Memory {
    /// Names of objects and labels: they stand everywhere, and are no secret there.
    names: BTreeSet<String>,
    forms: BTreeMap<String, Form>,
    groups: Vec<Arc<Group>>,
    /// Learnt since the groups were made.
    fresh: Vec<(String, Form)>,
    /// By hash of a value, so that no value that is only numbered is kept.
    numbers: HashMap<u64, usize>,
    /// How often something was learnt.
    pub(super) learnt: usize,
}

/// What ends a name that is the beginning of a longer one: `web` of `web-0`.
const ENDS: [&str; 5] = ["-", ".", "/", ":", "@"];

impl Memory {
    pub(super) fn len(&self) -> usize {
        self.forms.len()
    }

    pub(super) fn learn(&mut self, value: &str) {
        let forms = forms::forms(value);
        if forms.is_empty() {
            return;
        }
        let number = self.number(value);
        for (text, alone) in forms {
            if self.is_name(&text) || self.forms.contains_key(&text) {
                continue;
            }
            let form = Form { alone, number };
            self.forms.insert(text.clone(), form);
            self.fresh.push((text, form));
            self.learnt += 1;
        }
    }

    /// Tells values apart: from 1, in the order that they were met.
    pub(super) fn number(&mut self, value: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        value.trim().hash(&mut hasher);
        let next = self.numbers.len() + 1;
        *self.numbers.entry(hasher.finish()).or_insert(next)
    }

    /// Takes in what something is called: hidden in messages it would lead judges astray.
    pub(super) fn name(&mut self, name: &str) {
        if name.len() < 4 || name.len() > 300 || self.names.len() >= 50_000 || !self.names.insert(name.into())
        {
            return;
        }
        let ends = name.char_indices().filter(|(_, c)| "-./:@".contains(*c)).map(|(at, _)| at);
        let mut forgot = false;
        for end in ends.chain([name.len()]) {
            forgot |= self.forms.remove(&name[..end]).is_some();
        }
        if forgot {
            self.groups.clear();
            self.fresh = self.forms.iter().map(|(text, form)| (text.clone(), *form)).collect();
        }
    }

    fn is_name(&self, text: &str) -> bool {
        let begins = |end: &&str| {
            let begin = format!("{text}{end}");
            self.names.range(begin.clone()..).next().is_some_and(|name| name.starts_with(&begin))
        };
        self.names.contains(text) || ENDS.iter().any(begins)
    }

    /// What to look with.
    pub(super) fn groups(&mut self) -> Vec<Arc<Group>> {
        if !self.fresh.is_empty() {
            let mut forms = std::mem::take(&mut self.fresh);
            while let Some(last) = self.groups.pop_if(|last| last.forms.len() < 2 * forms.len()) {
                forms.extend(last.forms.iter().cloned());
            }
            let texts = forms.iter().map(|(text, _)| text);
            let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(texts);
            self.groups.push(Arc::new(Group { finder: finder.expect("the forms fit a finder"), forms }));
        }
        self.groups.to_vec()
    }
}

/// Where forms stand in a text, in order, with the number of the value. Those that overlap are one, so
/// that nothing of either stays.
pub(super) fn find(groups: &[Arc<Group>], text: &[u8]) -> Vec<(Range<usize>, usize)> {
    let mut found = Vec::new();
    for group in groups.iter() {
        for at in group.finder.find_overlapping_iter(text) {
            let form = group.forms[at.pattern().as_usize()].1;
            if !form.alone || is_word(text, &at.range()) {
                found.push((at.range(), form.number));
            }
        }
    }
    found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut apart: Vec<(Range<usize>, usize)> = Vec::new();
    for (range, number) in found {
        match apart.last_mut() {
            Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push((range, number)),
        }
    }
    apart
}

fn is_word(text: &[u8], range: &Range<usize>) -> bool {
    let inside = |at: Option<&u8>| at.is_some_and(|b| b.is_ascii_alphanumeric() || *b >= 0x80);
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    !inside(before) && !inside(text.get(range.end))
}
