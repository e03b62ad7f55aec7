//! What the types of a trial file do not say.

use std::path::Path;

use super::super::Images;
use super::{BudgetPart, Port, ProbePart, RunPart, Step, TrialError, TrialFile};
use crate::config;
use crate::kubernetes::version::Version;

/// Checks a trial file. An error names the line of the wrong text: its first place in the section, or its `nth` one.
pub(super) fn check(path: &Path, text: &str, file: &TrialFile) -> Result<(), TrialError> {
    let nth = |section: &str, word: &str, nth: usize, why: String| {
        let starts =
            |line: &str| line.strip_prefix(section).is_some_and(|rest| rest.trim_start().starts_with(':'));
        let from = text.lines().position(starts).unwrap_or_default();
        let lines = text.lines().enumerate().skip(from).filter(|(_, line)| line.contains(word));
        let line = lines.map(|(at, _)| at as u64 + 1).nth(nth).unwrap_or(from as u64 + 1);
        Err(TrialError::File { path: path.into(), line, why })
    };
    let wrong = |section: &str, word: &str, why: String| nth(section, word, 0, why);
    if file.manifests.is_empty() {
        return wrong("manifests", "manifests", "`manifests` is empty: nothing is on trial".into());
    }
    if file.cluster.topology.is_some() && file.cluster.kind_config.is_some() {
        let why =
            "`topology` and `kindConfig` are both there: the file for kind has the shape of the cluster";
        return wrong("cluster", "kindConfig", why.into());
    }
    if let Err(error) = Images::read(&file.images) {
        return wrong("images", "images", error.to_string());
    }
    let known = |name: &String| name == "*" || file.probes.contains_key(name);
    if let Some(name) = file.budgets.keys().find(|name| !known(name)) {
        let why = format!("a budget is for probe {name}, and `probes` has none of that name");
        return wrong("budgets", name, why);
    }
    for (name, budget) in &file.budgets {
        if let Some((word, why)) = budget.flaw() {
            return match word {
                Some(word) => wrong("budgets", word, why),
                None => wrong("budgets", name, format!("the budget of {name} has {why}")),
            };
        }
    }
    for (name, part) in &file.probes {
        let path = match part {
            ProbePart::Http(http) => http.path.as_str(),
            ProbePart::Tcp(_) => "/",
        };
        if !path.starts_with('/') {
            return wrong("probes", path, format!("the path of {name} is {path}, and does not begin with /"));
        }
        if *part.address().2 == Port::Number(0) {
            return wrong("probes", name, format!("the port of {name} is 0"));
        }
    }
    check_steps(&file.steps).or_else(|(word, at, why)| nth("steps", word, at, why))
}

impl BudgetPart {
    /// Returns what is wrong with the budget, with the wrong text if there is one.
    pub(in crate::trial) fn flaw(&self) -> Option<(Option<&str>, String)> {
        let longest = self.longest.as_deref().filter(|time| config::duration(time).is_err());
        let failed = self.failed.as_deref().filter(|share| portion(share).is_none());
        match (longest, failed) {
            (Some(time), _) => Some((Some(time), format!("{time} is not a duration such as 2s"))),
            (None, Some(share)) => Some((Some(share), format!("{share} is not a share such as 0.5%"))),
            _ if self.longest.is_none() && self.failed.is_none() => {
                Some((None, "neither `longest` nor `failed`".into()))
            }
            _ => None,
        }
    }
}

/// Returns the wrong word, which of its places it is, and what is wrong.
fn check_steps(steps: &[Step]) -> Result<(), (&'static str, usize, String)> {
    let frame = [(Step::Apply, 0, "first"), (Step::Clean, steps.len().saturating_sub(1), "last")];
    for (step, place, word) in frame {
        if steps.iter().enumerate().any(|(at, one)| *one == step && at != place) {
            return Err((name(&step), 0, format!("step {} is always the {word} one", name(&step))));
        }
    }
    let mut timeouts = 0;
    for (at, step) in steps.iter().enumerate() {
        let is_run = matches!(step, Step::Run(_));
        if let Step::Upgrade(to) = step
            && !is_version(to)
        {
            let why = format!("{to} is not a version such as 1.35.4 or 1.35, and not `next`");
            return Err(("upgrade:", 0, why));
        }
        let is_same = |one: &Step| one == step || name(one) == "upgrade" && name(step) == "upgrade";
        if !is_run && steps[..at].iter().any(is_same) {
            return Err((name(step), 1, format!("step {} is there twice", name(step))));
        }
        if let Step::Run(RunPart::Timed(timed)) = step {
            if config::duration(&timed.timeout).is_err() {
                let why = format!("{} is not a duration such as 60s", timed.timeout);
                return Err(("timeout:", timeouts, why));
            }
            timeouts += 1;
        }
    }
    Ok(())
}

/// Whether a text names a version that a cluster can be upgraded to.
pub fn is_version(text: &str) -> bool {
    text == "next" || text.parse::<Version>().is_ok()
}

/// Returns the name of a step in the file.
pub fn name(step: &Step) -> &'static str {
    match step {
        Step::Apply => "apply",
        Step::Rollout => "rollout",
        Step::PodLoss => "pod-loss",
        Step::NodeLoss => "node-loss",
        Step::Drain => "drain",
        Step::Upgrade(_) => "upgrade",
        Step::Run(_) => "run",
        Step::Clean => "clean",
    }
}

/// Reads a share such as `0.5%`, as a part of 1.
pub fn portion(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number / 100.0)
}
