//! Times in reports.

/// Rounds to milliseconds, which gives the same text again after it is read back from a file.
pub(super) fn millis(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}
