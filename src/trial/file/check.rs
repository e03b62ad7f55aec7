//! What the types of a trial file do not say.

use super::super::Images;
use super::{BudgetPart, FaultPartError, Port, ProbePart, RunPart, Step, TrialError, TrialFile};
use crate::config;
use crate::kubernetes::version::Version;
use crate::probe::get::Url;

/// Checks a trial file. An error names the line of the wrong text: its first place in the section.
pub(super) fn check(file: &TrialFile) -> Result<(), TrialError> {
    let wrong = |section: &str, word: &str, why: String| Err(file.places.in_section(section, word, why));
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
            let wrong = |word: &str, why| Err(file.places.in_entry(("budgets", name), word, why));
            return match word {
                Some(word) => wrong(word, why),
                None => wrong(name, format!("the budget of {name} has {why}")),
            };
        }
    }
    for (name, part) in &file.probes {
        let wrong = |word: &str, why| Err(file.places.in_entry(("probes", name), word, why));
        let path = match part {
            ProbePart::Http(http) => http.path.as_str(),
            ProbePart::Tcp(_) => "/",
            ProbePart::Url(url) => match Url::parse(url) {
                Ok(_) => "/",
                Err(error) => return wrong(url, format!("the url of {name}: {error}")),
            },
        };
        if !path.starts_with('/') {
            return wrong(path, format!("the path of {name} is {path}, and does not begin with /"));
        }
        if part.address().is_some_and(|(_, _, port)| *port == Port::Number(0)) {
            return wrong(name, format!("the port of {name} is 0"));
        }
    }
    for (name, part) in &file.ledgers {
        part.check(name).map_err(|flaw| file.places.in_entry(("ledgers", name), &flaw.word, flaw.why))?;
    }
    check_steps(&file.steps).map_err(|(at, word, why)| file.places.step(at, &word, why))?;
    file.check_expectations()
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

/// A step by its number from 0, the wrong word in it, and what is wrong.
type Flaw = (usize, String, String);

fn check_steps(steps: &[Step]) -> Result<(), Flaw> {
    let frame = [(Step::Apply, 0, "first"), (Step::Clean, steps.len().saturating_sub(1), "last")];
    for (step, place, word) in frame {
        if let Some((at, _)) = steps.iter().enumerate().find(|(at, one)| **one == step && *at != place) {
            return Err((at, name(&step).into(), format!("step {} is always the {word} one", name(&step))));
        }
    }
    for (at, step) in steps.iter().enumerate() {
        let is_run = matches!(step, Step::Run(_));
        let is_same = |one: &Step| one == step || name(one) == "upgrade" && name(step) == "upgrade";
        if !is_run && steps[..at].iter().any(is_same) {
            return Err((at, name(step).into(), format!("step {} is there twice", name(step))));
        }
        check_step(step).map_err(|(word, why)| (at, word, why))?;
    }
    Ok(())
}

/// Whether a text names a version that a cluster can be upgraded to.
pub fn is_version(text: &str) -> bool {
    text == "next" || text.parse::<Version>().is_ok()
}

/// Returns the wrong word, and what is wrong.
fn check_step(step: &Step) -> Result<(), (String, String)> {
    match step {
        Step::Run(RunPart::Timed(timed)) if config::duration(&timed.timeout).is_err() => {
            Err(("timeout:".into(), format!("{} is not a duration such as 60s", timed.timeout)))
        }
        Step::Upgrade(to) if !is_version(to) => {
            let why = format!("{to} is not a version such as 1.35.4 or 1.35, and not `next`");
            Err(("upgrade".into(), why))
        }
        Step::RolloutOf(part) if part.workload.is_none() && part.image.is_none() => {
            let why = "`rollout` needs `workload`, `image` or both; alone it restarts every workload";
            Err(("rollout".into(), why.into()))
        }
        Step::RolloutOf(part) if !part.is_readable() => {
            let image = part.image.clone().unwrap_or_default();
            Err((image.clone(), format!("{image} is neither TO nor FROM=TO")))
        }
        Step::Fault(part) => {
            let word = |error: &FaultPartError| match error {
                FaultPartError::Time { .. } | FaultPartError::Momentary { .. } => "for:".to_owned(),
                _ => part.fault.clone(),
            };
            part.check().map_err(|error| (word(&error), error.to_string()))
        }
        _ => Ok(()),
    }
}

/// Returns the name of a step in the file.
pub fn name(step: &Step) -> &'static str {
    match step {
        Step::Apply => "apply",
        Step::Rollout | Step::RolloutOf(_) => "rollout",
        Step::PodLoss => "pod-loss",
        Step::NodeLoss => "node-loss",
        Step::Drain => "drain",
        Step::Upgrade(_) => "upgrade",
        Step::Fault(_) => "fault",
        Step::Run(_) => "run",
        Step::Clean => "clean",
    }
}

/// Reads a share such as `0.5%`, as a part of 1.
pub fn portion(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number / 100.0)
}
