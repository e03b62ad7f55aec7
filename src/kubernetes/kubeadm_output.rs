//! Finds the whole error in kubeadm's output: kubeadm prints each failed check on a line of its own, and its last line
//! only says that checks failed.

/// Maximum number of lines of an error. Of a longer error, lines in the middle are left out and counted.
const LINES: usize = 40;

/// Returns the lines of kubeadm's error, from its first line to the end of the output, without advice, Go stack and log
/// lines. Returns no lines if the output has no error.
pub(crate) fn errors(output: &str) -> Vec<&str> {
    said(output).skip_while(|line| !is_error(line)).collect()
}

/// Returns the output of kubeadm, or of a program that calls kubeadm, without advice, Go stack and log lines.
pub(crate) fn said(output: &str) -> impl Iterator<Item = &str> {
    let lines = output.lines().map(str::trim_end).filter(|l| !l.trim().is_empty());
    lines
        .take_while(|l| !l.starts_with("To see the stack trace") && *l != "Stack Trace:")
        .filter(|l| {
            !is_of_stack(l) && !is_log(l) && !l.starts_with("[preflight] If you know what you are doing")
        })
        .map(str::trim)
}

/// Joins the lines into one; of more than [`LINES`] only the first and the last ones.
pub(crate) fn joined(lines: &[&str]) -> String {
    match lines.len() {
        0..=LINES => lines.join(" | "),
        all => {
            let (first, last) = (&lines[..LINES / 2], &lines[all - LINES / 2..]);
            format!("{} | ({} lines left out) | {}", first.join(" | "), all - LINES, last.join(" | "))
        }
    }
}

/// Whether this is kubeadm's final error or a failed check: `[ERROR CreateJob]: ...`.
fn is_error(line: &str) -> bool {
    line.starts_with("error:") || line.starts_with("error execution phase") || line.contains("[ERROR ")
}

/// Whether klog wrote this line as information or as a warning: `I1124 10:00:00.000000 ...`.
fn is_log(line: &str) -> bool {
    let mut chars = line.chars();
    matches!(chars.next(), Some('I' | 'W'))
        && chars.by_ref().take(4).filter(char::is_ascii_digit).count() == 4
        && chars.next() == Some(' ')
}

/// Whether this line of a Go stack names a function or a position in a file.
fn is_of_stack(line: &str) -> bool {
    let word = line.trim();
    if word.contains(char::is_whitespace) {
        return false;
    }
    let place = word.rsplit_once(".go:").is_some_and(|(_, number)| number.parse::<u32>().is_ok());
    let function = !word.starts_with('/') && !word.contains(':') && word.contains('/') && word.contains('.');
    place || function || word.starts_with("runtime.") || word == "main.main"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_that_failed_is_said() {
        let output = "\
[upgrade/preflight] Running preflight checks
	[WARNING Swap]: swap is on
W1124 10:00:00.000000       1 checks.go:10] a warning
error: error execution phase preflight: [preflight] Some fatal errors occurred:
	[ERROR CreateJob]: Job \"upgrade-health-check\" did not complete in 15s:
client rate limiter Wait returned an error
	[ERROR ControlPlaneNodesReady]: there are NotReady control-planes: [cp2]
[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
	k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow/runner.go:262
runtime.goexit
To see the stack trace of this error execute with --v=5 or higher
";
        let wanted = [
            "error: error execution phase preflight: [preflight] Some fatal errors occurred:",
            "[ERROR CreateJob]: Job \"upgrade-health-check\" did not complete in 15s:",
            "client rate limiter Wait returned an error",
            "[ERROR ControlPlaneNodesReady]: there are NotReady control-planes: [cp2]",
        ];
        assert_eq!(errors(output), wanted);
        // Newer versions of kubeadm print the checks first.
        let newer = "\t[ERROR A]: a\n\t[ERROR B]: b\nerror: error execution phase preflight: preflight checks failed\n";
        let wanted = [
            "[ERROR A]: a",
            "[ERROR B]: b",
            "error: error execution phase preflight: preflight checks failed",
        ];
        assert_eq!(errors(newer), wanted);
        assert_eq!(errors("[upgrade] fine\n"), Vec::<&str>::new());
    }

    #[test]
    fn many_lines_are_cut_in_the_middle_and_counted() {
        let lines: Vec<String> = (0..LINES + 3).map(|i| format!("line {i}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let text = joined(&lines);
        assert!(text.starts_with("line 0 | ") && text.ends_with(" | line 42"), "{text}");
        assert!(text.contains("line 19 | (3 lines left out) | line 23"), "{text}");
        assert_eq!(joined(&lines[..2]), "line 0 | line 1");
    }
}
