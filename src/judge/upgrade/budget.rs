//! What a step of an upgrade may cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Budgets by step; the file's comments say what each part is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// For every step without its own.
    default: Allowed,
    /// By a step's name.
    #[serde(default)]
    step: BTreeMap<String, Allowed>,
}

/// What one step may cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Seconds.
    pub took: Option<f64>,
    /// Seconds without an answer, by probe.
    #[serde(default)]
    pub outage: BTreeMap<String, f64>,
}

/// A budget file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// It cannot be read; the source names line and field.
    #[error("failed to read the budgets of {file}")]
    Syntax {
        /// The file.
        file: String,
        /// Line, field and reason.
        #[source]
        source: toml::de::Error,
    },
    /// A figure that cannot be one.
    #[error("budgets of {file}: {field} is {value}, not a number of seconds")]
    Figure {
        /// The file.
        file: String,
        /// The field, such as `step.drain.outage.http`.
        field: String,
        /// Its value.
        value: f64,
    },
    /// A step that does not exist.
    #[error("budgets of {file}: there is no step {step}; there are {known}")]
    NoStep {
        /// The file.
        file: String,
        /// The name.
        step: String,
        /// The names that there are.
        known: String,
    },
}

const DEFAULTS: &str = include_str!("budget.toml");
const SEVERAL: &str = include_str!("budget-ha.toml");

impl Budgets {
    /// Those that come with seatrial.
    pub fn defaults() -> Self {
        toml::from_str(DEFAULTS).expect("the file is tested")
    }

    /// Those that come with seatrial for so many control planes: stricter ones for several.
    pub fn of_planes(planes: usize) -> Self {
        match planes {
            ..=1 => Self::defaults(),
            _ => toml::from_str(SEVERAL).expect("the file is tested"),
        }
    }

    /// Reads budgets; `file` is named in errors, `steps` are the names that there are.
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
            if let Some((field, value)) =
                took.into_iter().chain(outages).find(|(_, v)| !v.is_finite() || *v < 0.0)
            {
                return Err(BudgetError::Figure { file: file(), field, value });
            }
        }
        Ok(read)
    }

    /// Seconds that a step may take; none where no budget says so.
    pub fn took(&self, step: &str) -> Option<f64> {
        self.step.get(step).and_then(|a| a.took).or(self.default.took)
    }

    /// Seconds that a probe may be without an answer in a step; none where no budget says so.
    pub fn outage(&self, step: &str, probe: &str) -> Option<f64> {
        let own = self.step.get(step).and_then(|a| a.outage.get(probe));
        own.or_else(|| self.default.outage.get(probe)).copied()
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
        assert_eq!((budgets.took("drain"), budgets.took("preload")), (Some(300.0), Some(900.0)));
    }

    #[test]
    fn several_control_planes_are_held_to_more() {
        let steps = ["preload", "apply", "configure", "kubelet", "drain"];
        let several = Budgets::parse("budget-ha.toml", SEVERAL, &steps).unwrap();
        assert_eq!(several, Budgets::of_planes(3));
        assert_eq!(Budgets::of_planes(1), Budgets::defaults());
        for step in steps.iter().chain(&["settle", "uncordon"]) {
            for probe in ["api", "dns", "http", "ledger"] {
                let (one, more) = (Budgets::defaults().outage(step, probe), several.outage(step, probe));
                // A further control plane is configured, which a single one has not.
                assert!(more.is_some() && (more <= one || *step == "configure"), "{step} {probe}");
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
        assert!(Budgets::parse("b.toml", "[default]\ntook = 0", &[]).is_ok(), "no time at all is a figure");
    }
}
