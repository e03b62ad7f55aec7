//! Runs a command of the trial file.

use std::time::Instant;

use super::super::file::RunPart;
use super::super::ground::Ground;
use crate::chain::chain;
use crate::exec::{Exec, ExecError};
use crate::judge::trial::facts::{COMMANDS, RunCommand};
use crate::scenario::Failure;

/// Most bytes of a command's output that are recorded: the last ones.
const TAIL: usize = 4096;

/// Runs the command and records how it ended. An exit code other than 0 is the judge's, not the story's.
pub async fn run(ground: &Ground<'_>, part: &RunPart) -> Result<(), Failure> {
    let (s, budget) = (ground.s, part.timeout());
    let shell = Exec::tied(part.command())
        .cwd(&ground.trial.folder)
        .env("KUBECONFIG", &s.cluster.kubeconfig)
        .env("SEATRIAL_NAMESPACE", &s.namespace);
    let began = Instant::now();
    let ended = shell.run(s.deadline().at_most(budget)).await;
    let took = began.elapsed().as_secs_f64();
    let (code, output) = match &ended {
        Ok(output) => (Some(0), [output.stdout.as_str(), &output.stderr].concat()),
        Err(ExecError::Failed { status, stdout, stderr, .. }) => {
            (status.code(), [stdout.as_str(), stderr].concat())
        }
        Err(error) => (None, chain(error)),
    };
    let (command, budget) = (part.command().to_owned(), budget.as_secs_f64());
    s.observe(&COMMANDS, &RunCommand { command, code, took, budget, output: end_of(&output).to_owned() });
    Ok(())
}

/// Returns the end of a text, from the beginning of a line.
fn end_of(text: &str) -> &str {
    let text = text.trim_end();
    if text.len() <= TAIL {
        return text;
    }
    let from = text.len() - TAIL;
    let start = text.bytes().skip(from).position(|byte| byte == b'\n');
    start.map_or("", |at| &text[from + at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_is_cut_at_a_line() {
        assert_eq!(end_of("short\n"), "short");
        let long = format!("{}\nlast é\n", "x".repeat(2 * TAIL));
        assert_eq!(end_of(&long), "last é");
        let one = "é".repeat(TAIL);
        assert_eq!(end_of(&one), "");
    }
}
