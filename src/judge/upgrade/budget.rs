//! Budgets of an upgrade: how long each step and its outages may last.

use crate::hint::{FailureKind, Hint};
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Budgets by step; the comments of the file explain each part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// For every step without its own budget.
    default: Allowed,
    /// By name of the step.
    #[serde(default)]
    step: BTreeMap<String, Allowed>,
    /// For the upgrade as a whole.
    #[serde(default)]
    whole: Whole,
}

/// Budgets for all steps of an upgrade together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    /// The share of requests that may fail, from 0 to 1, by probe. Missing values, as in runs of earlier versions, are
    /// those of [`Budgets::defaults`].
    #[serde(default)]
    pub failed: BTreeMap<String, f64>,
}

/// Budgets of one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Seconds that the step may take.
    pub took: Option<f64>,
    /// Seconds of the longest outage, by probe.
    #[serde(default)]
    pub outage: BTreeMap<String, f64>,
    /// Seconds of all outages together, by probe. A missing value, as in runs of earlier versions, is twice the longest
    /// outage.
    #[serde(default)]
    pub away: BTreeMap<String, f64>,
}

/// A budget file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// The file cannot be parsed; the source names line and field.
    #[error("failed to read the budgets of {file}")]
    Syntax {
        /// The file.
        file: String,
        /// Line, field and reason.
        #[source]
        source: toml::de::Error,
    },
    /// A number of seconds is not valid.
    #[error("budgets of {file}: {field} is {value}, not a number of seconds")]
    Figure {
        /// The file.
        file: String,
        /// The field, such as `step.drain.outage.http`.
        field: String,
        /// Value of the field.
        value: f64,
    },
    /// A share is not valid.
    #[error("budgets of {file}: {field} is {value}, not a share from 0 to 1")]
    Share {
        /// The file.
        file: String,
        /// The field, such as `whole.failed.http`.
        field: String,
        /// Value of the field.
        value: f64,
    },
    /// A step that does not exist.
    #[error("budgets of {file}: there is no step {step}; there are {known}")]
    NoStep {
        /// The file.
        file: String,
        /// Name of the step.
        step: String,
        /// The names of existing steps.
        known: String,
    },
}

const DEFAULTS: &str = include_str!("budget.toml");
const SEVERAL: &str = include_str!("budget-ha.toml");

impl Budgets {
    /// Returns the budgets that come with seatrial.
    pub fn defaults() -> Self {
        toml::from_str(DEFAULTS).expect("the file is tested")
    }

    /// Returns the budgets that come with seatrial for this number of control planes: those for several are stricter.
    pub fn of_control_planes(control_planes: usize) -> Self {
        match control_planes {
            ..=1 => Self::defaults(),
            _ => toml::from_str(SEVERAL).expect("the file is tested"),
        }
    }

    /// Reads budgets; `file` is named in errors, `steps` are the names of existing steps.
    ///
    /// # Errors
    /// [`BudgetError`].
    pub fn parse(file: &str, text: &str, steps: &[&str]) -> Result<Self, BudgetError> {
        let file = || file.to_owned();
        let read: Self =
            toml::from_str(text).map_err(|source| BudgetError::Syntax { file: file(), source })?;
        if let Some(step) = read.step.keys().find(|s| !steps.contains(&s.as_str())) {
            return Err(BudgetError::NoStep { file: file(), step: step.clone(), known: steps.join(", ") });
        }
        let named = read.step.iter().map(|(name, a)| (format!("step.{name}"), a));
        for (name, allowed) in std::iter::once(("default".to_owned(), &read.default)).chain(named) {
            let took = allowed.took.map(|t| (format!("{name}.took"), t));
            let outages = allowed.outage.iter().map(|(p, o)| (format!("{name}.outage.{p}"), *o));
            let away = allowed.away.iter().map(|(p, a)| (format!("{name}.away.{p}"), *a));
            if let Some((field, value)) =
                took.into_iter().chain(outages).chain(away).find(|(_, v)| !v.is_finite() || *v < 0.0)
            {
                return Err(BudgetError::Figure { file: file(), field, value });
            }
        }
        if let Some((probe, value)) = read.whole.failed.iter().find(|(_, v)| !(0.0..=1.0).contains(*v)) {
            let field = format!("whole.failed.{probe}");
            return Err(BudgetError::Share { file: file(), field, value: *value });
        }
        Ok(read)
    }

    /// Returns the seconds that a step may take; none without a budget.
    pub fn took(&self, step: &str) -> Option<f64> {
        self.step.get(step).and_then(|a| a.took).or(self.default.took)
    }

    /// Returns the seconds that the longest outage of a probe may last in a step; none without a budget.
    pub fn outage(&self, step: &str, probe: &str) -> Option<f64> {
        let own = self.step.get(step).and_then(|a| a.outage.get(probe));
        own.or_else(|| self.default.outage.get(probe)).copied()
    }

    /// Returns the seconds that all outages of a probe may last together in a step; none without a budget.
    pub fn away(&self, step: &str, probe: &str) -> Option<f64> {
        let of = |allowed: &Allowed| {
            let twice = || allowed.outage.get(probe).map(|longest| 2.0 * longest);
            allowed.away.get(probe).copied().or_else(twice)
        };
        self.step.get(step).and_then(of).or_else(|| of(&self.default))
    }

    /// Returns the share of a probe's requests that may fail in the whole upgrade; none without a budget.
    pub fn failed(&self, probe: &str) -> Option<f64> {
        let own = self.whole.failed.get(probe).copied();
        own.or_else(|| Self::defaults().whole.failed.get(probe).copied())
    }
}

impl Hint for BudgetError {
    fn failure(&self) -> Option<FailureKind> {
        Some(FailureKind::Input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_a_figure_for_every_probe() {
        let budgets =
            Budgets::parse("budget.toml", DEFAULTS, &["preload", "apply", "kubelet", "drain"]).unwrap();
        assert_eq!(budgets, Budgets::defaults());
        for probe in ["api", "dns", "http", "ledger"] {
            assert!(budgets.outage("settle", probe).is_some(), "{probe}");
        }
        assert_eq!(budgets.outage("apply", "api"), Some(240.0));
        assert_eq!(budgets.outage("apply", "else"), None);
        assert_eq!((budgets.away("apply", "api"), budgets.away("settle", "http")), (Some(300.0), Some(4.0)));
        assert_eq!((budgets.away("apply", "else"), budgets.failed("else")), (None, None));
        assert_eq!((budgets.took("drain"), budgets.took("preload")), (Some(300.0), Some(900.0)));
    }

    #[test]
    fn several_control_planes_are_held_to_more() {
        let steps = ["preload", "apply", "configure", "kubelet", "drain"];
        let several = Budgets::parse("budget-ha.toml", SEVERAL, &steps).unwrap();
        assert_eq!(several, Budgets::of_control_planes(3));
        assert_eq!(Budgets::of_control_planes(1), Budgets::defaults());
        for step in steps.iter().chain(&["settle", "uncordon"]) {
            for probe in ["api", "dns", "http", "ledger"] {
                let (one, more) = (Budgets::defaults().outage(step, probe), several.outage(step, probe));
                // Only a cluster with several control planes has a further one to configure.
                assert!(more.is_some() && (more <= one || *step == "configure"), "{step} {probe}");
                assert!(
                    several.away(step, probe) >= more && several.failed(probe).is_some(),
                    "{step} {probe}"
                );
            }
        }
        assert_eq!(several.outage("apply", "api"), Some(16.0));
        assert_eq!(several.outage("settle", "api"), Some(8.0));
    }

    #[test]
    fn a_wrong_file_is_told_by_its_field() {
        let parse = |text: &str| Budgets::parse("b.toml", text, &["drain"]).unwrap_err().to_string();
        assert_eq!(
            parse("[default]\ntook = -1"),
            "budgets of b.toml: default.took is -1, not a number of seconds"
        );
        let wrong = "[default]\n[step.drain]\noutage = { http = nan }";
        assert!(parse(wrong).contains("step.drain.outage.http is NaN"));
        assert_eq!(
            parse("[default]\n[step.drown]"),
            "budgets of b.toml: there is no step drown; there are drain"
        );
        assert_eq!(parse("[default]\nlonger = 3"), "failed to read the budgets of b.toml");
        assert!(parse("[default]\naway = { http = -1 }").contains("default.away.http is -1"));
        for (share, wrong) in [("1.5", "1.5"), ("-0.1", "-0.1"), ("nan", "NaN")] {
            assert_eq!(
                parse(&format!("[default]\n[whole]\nfailed = {{ http = {share} }}")),
                format!("budgets of b.toml: whole.failed.http is {wrong}, not a share from 0 to 1")
            );
        }
        assert!(Budgets::parse("b.toml", "[default]\ntook = 0", &[]).is_ok(), "no time at all is a figure");
    }

    /// A file or a run that is older than these budgets.
    #[test]
    fn what_a_file_does_not_say_follows_from_the_longest_outage_and_the_defaults() {
        let text = "[default.outage]\nhttp = 3\n[default.away]\nhttp = 4\n[step.drain.outage]\nhttp = 50";
        let budgets = Budgets::parse("b.toml", text, &["drain"]).unwrap();
        assert_eq!((budgets.away("settle", "http"), budgets.away("drain", "http")), (Some(4.0), Some(100.0)));
        assert_eq!(budgets.failed("http"), Budgets::defaults().failed("http"));
    }
}
