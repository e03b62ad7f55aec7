//! The lines of a trial file, for errors that are found after it was read.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use super::TrialError;

/// Where the entries of the lists of a trial file are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    path: PathBuf,
    text: String,
    steps: Vec<u64>,
    expect: Vec<u64>,
}

#[derive(Default, Deserialize)]
struct Lists {
    #[serde(default)]
    steps: Vec<Spanned<IgnoredAny>>,
    #[serde(default)]
    expect: Vec<Spanned<IgnoredAny>>,
}

impl Places {
    /// Reads the lines of a text that is a trial file.
    pub(super) fn read(path: &Path, text: &str) -> Self {
        let lists = serde_saphyr::from_str::<Lists>(text).ok();
        let lists = lists.unwrap_or_default();
        let lines = |all: Vec<Spanned<IgnoredAny>>| all.iter().map(|one| one.referenced.line()).collect();
        Self { path: path.into(), text: text.into(), steps: lines(lists.steps), expect: lines(lists.expect) }
    }

    /// Returns the error of a step by its number from 0. Its line is that of the word in the step, or where the step begins.
    pub(in crate::trial) fn step(&self, at: usize, word: &str, why: String) -> TrialError {
        self.wrong(&self.steps, at, word, why)
    }

    /// As [`Places::step`], for an expectation.
    pub(in crate::trial) fn expectation(&self, at: usize, word: &str, why: String) -> TrialError {
        self.wrong(&self.expect, at, word, why)
    }

    /// Returns the error of a section. Its line is that of the word in the section, or where the section begins.
    pub(in crate::trial) fn in_section(&self, section: &str, word: &str, why: String) -> TrialError {
        let starts =
            |line: &str| line.strip_prefix(section).is_some_and(|rest| rest.trim_start().starts_with(':'));
        let from = self.text.lines().position(starts).unwrap_or_default();
        let mut lines = self.text.lines().enumerate().skip(from);
        let line = lines.find(|(_, line)| line.contains(word)).map_or(from, |(at, _)| at) as u64 + 1;
        TrialError::File { path: self.path.clone(), line, why }
    }

    /// Returns the error of an entry of a section, by its name. Its line is that of the word in the entry, or where the entry begins.
    pub(in crate::trial) fn in_entry(
        &self,
        (section, name): (&str, &str),
        word: &str,
        why: String,
    ) -> TrialError {
        let lines: Vec<&str> = self.text.lines().collect();
        let indent = |line: &str| line.len() - line.trim_start().len();
        let is_key = |line: &str, key: &str| {
            let rest = line.trim_start().trim_start_matches(['"', '\'']).strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        };
        let section_at = lines.iter().position(|line| indent(line) == 0 && is_key(line, section));
        let entry =
            section_at.and_then(|at| Some(at + 1 + lines[at + 1..].iter().position(|l| is_key(l, name))?));
        let Some(from) = entry else { return self.in_section(section, word, why) };
        let is_next = |line: &&str| !line.trim().is_empty() && indent(line) <= indent(lines[from]);
        let to = lines[from + 1..].iter().position(is_next).map_or(lines.len(), |n| from + 1 + n);
        let found = lines[from..to].iter().position(|line| line.contains(word));
        TrialError::File { path: self.path.clone(), line: (from + found.unwrap_or_default()) as u64 + 1, why }
    }

    fn wrong(&self, lines: &[u64], at: usize, word: &str, why: String) -> TrialError {
        let from = lines.get(at).copied().unwrap_or(1);
        let to = lines.get(at + 1).copied().unwrap_or(u64::MAX);
        let own = self.text.lines().enumerate().map(|(at, line)| (at as u64 + 1, line));
        let mut own =
            own.skip_while(|(line, _)| *line < from).take_while(|(line, _)| *line < to.max(from + 1));
        let line =
            own.find(|(_, line)| !word.is_empty() && line.contains(word)).map_or(from, |(line, _)| line);
        TrialError::File { path: self.path.clone(), line, why }
    }
}
