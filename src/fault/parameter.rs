//! The parameters of faults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Fault, FaultError};
use crate::config;

/// A parameter of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its description.
    pub about: &'static str,
    /// Its default, in words.
    pub default: &'static str,
}

/// Given parameters by name, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given(BTreeMap<String, String>);

impl Given {
    /// Reads `name=value` words for a fault.
    ///
    /// # Errors
    /// [`FaultError::Parameter`] for a word of another form, or for a name that the fault does not know.
    pub fn read(fault: &dyn Fault, words: &[String]) -> Result<Self, FaultError> {
        let mut given = BTreeMap::new();
        for word in words {
            let known: Vec<&str> = fault.parameters().iter().map(|p| p.name).collect();
            let pair = word.split_once('=').filter(|(name, _)| known.contains(name));
            let (name, value) = pair.ok_or_else(|| FaultError::Parameter {
                fault: fault.name(),
                given: word.clone(),
                wanted: match known.as_slice() {
                    [] => "nothing: it has no parameters".into(),
                    known => format!("{}=VALUE", known.join("=VALUE or ")),
                },
            })?;
            given.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self(given))
    }

    pub(super) fn duration(
        &self,
        fault: &'static str,
        name: &str,
        default: Duration,
    ) -> Result<Duration, FaultError> {
        let given = self.parsed(fault, name, "a duration such as 10s", |v| config::duration(v).ok())?;
        Ok(given.unwrap_or(default))
    }

    pub(super) fn number(
        &self,
        fault: &'static str,
        name: &str,
        least: f64,
        default: f64,
    ) -> Result<f64, FaultError> {
        let read = |v: &str| v.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= least);
        let given = self.parsed(fault, name, &format!("a number of at least {least}"), read)?;
        Ok(given.unwrap_or(default))
    }

    pub(super) fn bytes(&self, fault: &'static str, name: &str, default: u64) -> Result<u64, FaultError> {
        Ok(self.parsed(fault, name, "a size such as 512MiB or 2GiB", bytes)?.unwrap_or(default))
    }

    fn parsed<T>(
        &self,
        fault: &'static str,
        name: &str,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, FaultError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let wrong =
            || FaultError::Parameter { fault, given: format!("{name}={value}"), wanted: wanted.to_owned() };
        read(value).map(Some).ok_or_else(wrong)
    }
}

/// Parses `512MiB`, `2GiB`, or a plain number of bytes; None for zero.
fn bytes(text: &str) -> Option<u64> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];
    let (number, unit) = units.iter().find_map(|(u, size)| Some((text.strip_suffix(u)?, *size)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(unit).filter(|b| *b > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{KillNode, StopNode};

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_known_ones() {
        let error = |fault: &dyn Fault, text| Given::read(fault, &words(text)).unwrap_err().to_string();
        assert_eq!(error(&StopNode::DEFAULT, "speed=1"), "`stop` cannot take speed=1: it takes grace=VALUE");
        assert_eq!(error(&KillNode, "x"), "`kill` cannot take x: it takes nothing: it has no parameters");
        let given = Given::read(&StopNode::DEFAULT, &words("grace=soon")).unwrap();
        let error = StopNode::DEFAULT.with(&given).unwrap_err().to_string();
        assert_eq!(error, "`stop` cannot take grace=soon: it takes a duration such as 10s");
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(bytes("2GiB"), Some(2 << 30));
        assert_eq!(bytes("512 MiB"), Some(512 << 20));
        assert_eq!(bytes("77"), Some(77));
        for wrong in ["", "0", "-1", "1GB", "9999999999999999GiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
