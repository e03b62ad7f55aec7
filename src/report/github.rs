//! Shows what did not pass as annotations of GitHub Actions.

use super::{Format, Look, ReportError, RunReport, advice};
use crate::judge::Conclusion;

/// One workflow command for each claim that did not pass: an error if it failed, a warning if it is inconclusive. A run
/// in which all is well gives no line. Failed claims come first, because GitHub shows ten errors and ten warnings of a
/// step.
#[derive(Debug)]
pub struct GitHub;

impl Format for GitHub {
    fn name(&self) -> &'static str {
        "github"
    }

    fn about(&self) -> &'static str {
        "a GitHub annotation for each claim that did not pass"
    }

    fn file(&self) -> Option<&'static str> {
        None
    }

    fn render(&self, report: &RunReport, _look: Look) -> Result<String, ReportError> {
        let mut lines = Vec::new();
        for (verdict, level) in [(Conclusion::Failed, "error"), (Conclusion::Inconclusive, "warning")] {
            for claim in report.claims.iter().filter(|c| c.verdict == verdict) {
                let title = format!("{} {verdict} ({})", claim.id, claim.suite);
                let hint =
                    advice::hint(report, claim).map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                lines.push(command(level, &title, &format!("{}{hint}", advice::message(claim))));
            }
        }
        for suite in &report.suites {
            let broke = suite.error.iter();
            lines.extend(broke.map(|error| command("error", &format!("{} broke", suite.name), error)));
            let left = suite.left.iter();
            lines.extend(
                left.map(|left| command("warning", &format!("{} left something behind", suite.name), left)),
            );
        }
        lines.extend(report.defects.iter().map(|defect| command("warning", "records", defect)));
        Ok(lines.concat())
    }
}

/// Returns a workflow command. The escapes are those of GitHub's toolkit (`command.ts`): the runner undoes them, and
/// takes what follows the first `::` after the title for data.
fn command(level: &str, title: &str, message: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let title = data(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}\n", data(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_neither_title_nor_line() {
        assert_eq!(
            command("error", "a,b::c%3A\r\n", "50%: x,\r\n::error::y"),
            "::error title=a%2Cb%3A%3Ac%253A%0D%0A::50%25: x,%0D%0A::error::y\n"
        );
    }
}
