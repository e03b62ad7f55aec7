//! `report.json`: the run for programs. docs/events.md describes its fields.

use crate::sanitise;

use super::{Format, Look, ReportError, RunReport};

/// The format for programs: the run as one JSON object.
#[derive(Debug)]
pub struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn about(&self) -> &'static str {
        "one object with everything but the timeline, for programs"
    }

    fn file(&self) -> Option<&'static str> {
        Some("report.json")
    }

    fn render(&self, report: &RunReport, _look: Look) -> Result<String, ReportError> {
        let text = serde_json::to_string_pretty(report);
        let text = text.map_err(|e| ReportError::Render { format: "json", source: e.into() })?;
        Ok(sanitise::json(&text) + "\n")
    }
}
