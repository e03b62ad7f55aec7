//! What the types of a trial file do not say.

use std::path::Path;

use super::super::Images;
use super::{RunPart, Step, TrialError, TrialFile};
use crate::config;

/// Checks a trial file. An error names the line of the first place where the wrong text is.
pub(super) fn check(path: &Path, text: &str, file: &TrialFile) -> Result<(), TrialError> {
    let wrong = |word: &str, why: String| {
        let line = text.lines().position(|line| line.contains(word)).map_or(1, |at| at as u64 + 1);
        Err(TrialError::File { path: path.into(), line, why })
    };
    if file.manifests.is_empty() {
        return wrong("manifests", "`manifests` is empty: nothing is on trial".into());
    }
    if let Err(error) = Images::read(&file.images) {
        return wrong("images", error.to_string());
    }
    let known = |name: &String| name == "*" || file.probes.contains_key(name);
    if let Some(name) = file.budgets.keys().find(|name| !known(name)) {
        let why = format!("a budget is for probe {name}, and `probes` has none of that name");
        return wrong(name, why);
    }
    for (name, budget) in &file.budgets {
        if budget.longest.is_none() && budget.failed.is_none() {
            return wrong(name, format!("the budget of {name} has neither `longest` nor `failed`"));
        }
        if let Some(time) = budget.longest.as_ref().filter(|time| config::duration(time).is_err()) {
            return wrong(time, format!("{time} is not a duration such as 2s"));
        }
        if let Some(share) = budget.failed.as_ref().filter(|share| portion(share).is_none()) {
            return wrong(share, format!("{share} is not a share such as 0.5%"));
        }
    }
    check_steps(&file.steps).or_else(|(word, why)| wrong(word, why))
}

fn check_steps(steps: &[Step]) -> Result<(), (&'static str, String)> {
    let frame = [(Step::Apply, 0, "first"), (Step::Clean, steps.len().saturating_sub(1), "last")];
    for (step, place, word) in frame {
        if steps.iter().enumerate().any(|(at, one)| *one == step && at != place) {
            return Err((name(&step), format!("step {} is always the {word} one", name(&step))));
        }
    }
    for (at, step) in steps.iter().enumerate() {
        let is_run = matches!(step, Step::Run(_));
        if !is_run && steps[..at].contains(step) {
            return Err((name(step), format!("step {} is there twice", name(step))));
        }
        if let Step::Run(RunPart::Timed(timed)) = step
            && config::duration(&timed.timeout).is_err()
        {
            return Err(("timeout", format!("{} is not a duration such as 60s", timed.timeout)));
        }
    }
    Ok(())
}

/// Returns the name of a step in the file.
pub fn name(step: &Step) -> &'static str {
    match step {
        Step::Apply => "apply",
        Step::Rollout => "rollout",
        Step::PodLoss => "pod-loss",
        Step::NodeLoss => "node-loss",
        Step::Drain => "drain",
        Step::Run(_) => "run",
        Step::Clean => "clean",
    }
}

/// Reads a share such as `0.5%`, as a part of 1.
pub fn portion(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number / 100.0)
}
