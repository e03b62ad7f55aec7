//! Remembers the forms of secret values, and finds them in a text.

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

/// Forms that are searched in one pass. There are several groups, each at least twice as large as the next: new forms
/// rebuild only the small groups.
pub(super) struct Group {
    finder: AhoCorasick,
    forms: Vec<(String, Form)>,
}

#[derive(Default)]
pub(super) struct Memory {
    /// Names of objects and labels: they appear in many texts and are no secrets there.
    names: BTreeSet<String>,
    forms: BTreeMap<String, Form>,
    groups: Vec<Arc<Group>>,
    /// Forms learnt since the groups were built.
    fresh: Vec<(String, Form)>,
    /// The number of each value, by the value's hash: a value that only has a number is not kept in memory.
    numbers: HashMap<u64, usize>,
    /// How many forms were ever learnt.
    pub(super) learnt: usize,
}

/// Separators after which a name may go on: `web` is the beginning of `web-0`.
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

    /// Returns the number of a value. Values are numbered from 1, in the order in which they were first seen.
    pub(super) fn number(&mut self, value: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        value.trim().hash(&mut hasher);
        let next = self.numbers.len() + 1;
        *self.numbers.entry(hasher.finish()).or_insert(next)
    }

    /// Remembers a name and forgets it as a secret: hiding names in messages would mislead judges.
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

    /// Returns the groups to search with, and first builds those that are outdated.
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

/// Finds the forms in a text, in order, each with the number of its value. Overlapping places are merged, which leaves
/// no rest of either value.
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
