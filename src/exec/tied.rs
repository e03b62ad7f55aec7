//! A command of a shell that ends when seatrial ends, even if seatrial is killed.

use super::Exec;

/// Runs `$1`. Standard input comes from seatrial and ends with it: then the whole process group is killed.
const TIED: &str = r#"exec 3<&0 </dev/null
{ cat <&3; kill -9 0; } >/dev/null 2>&1 &
tie=$!
exec 3<&-
sh -c "$1"
code=$?
kill "$tie" 2>/dev/null
exit "$code""#;

impl Exec {
    /// Returns a command for `sh` that is killed with its process group when seatrial ends, for whatever reason.
    pub fn tied(command: &str) -> Self {
        Self { tied: true, ..Self::new("sh").args(["-c", TIED, "sh", command]) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::ExecError;
    use super::*;
    use crate::deadline::Deadline;

    fn within(seconds: u64) -> Deadline {
        Deadline::after(Duration::from_secs(seconds))
    }

    #[tokio::test]
    async fn a_tied_command_ends_as_it_likes() {
        let done = Exec::tied("echo out; echo err >&2; cat").run(within(20)).await.unwrap();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
        let error = Exec::tied("echo late; exit 3").run(within(20)).await.unwrap_err();
        assert!(
            matches!(&error, ExecError::Failed { status, stdout, .. } if status.code() == Some(3) && stdout == "late\n")
        );
    }

    #[tokio::test]
    async fn a_tied_command_is_killed_with_all_its_processes_when_its_input_ends() {
        let began = Instant::now();
        // Without the tie, the input is empty and ends at once, as it does when seatrial is killed.
        let cut = Exec { tied: false, ..Exec::tied("sleep 60 & sleep 60") }.stdin(Vec::new());
        let error = cut.run(within(30)).await.unwrap_err();
        assert!(matches!(&error, ExecError::Failed { status, .. } if status.code().is_none()), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
