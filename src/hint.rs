//! What a person can do about an error, and what kind of failure the error is.

use std::error::Error;

/// Kinds of failures. The command line ends with a documented exit code for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// A wrong argument, setting or name.
    Usage,
    /// An input file is invalid.
    Input,
    /// An engine, tool, registry or cluster is unavailable.
    Unavailable,
    /// A file cannot be written.
    CannotWrite,
    /// The cluster was not free in time.
    Busy,
    /// The operation was refused: for example, the cluster belongs to somebody else.
    Refused,
    /// An interrupt ended the operation.
    Interrupted,
    /// Anything else.
    Internal,
}

/// An error that says what kind of failure it is, and what a person can do about it.
pub trait Hint: Error + 'static {
    /// The kind of failure. `None` if the error's source has a better answer.
    fn failure(&self) -> Option<FailureKind> {
        None
    }

    /// What to do: a command or a setting, without the word `hint`.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Returns a command as this process's user must type it: with `sudo`, unless the user is root.
pub fn as_root(command: &str) -> String {
    prefixed(command, rustix::process::geteuid().is_root())
}

/// Returns the command that sets limits of the kernel (`name=value`) now and after each boot.
pub fn lasting(limits: &[String]) -> String {
    let file = "/etc/sysctl.d/99-seatrial.conf";
    let write = as_root(&format!("tee -a {file}"));
    let load = as_root(&format!("sysctl -p {file}"));
    format!("printf '%s\\n' {} | {write} && {load}", limits.join(" "))
}

fn prefixed(command: &str, is_root: bool) -> String {
    if is_root { command.into() } else { format!("sudo {command}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_needs_sudo_unless_the_user_is_root() {
        assert_eq!(prefixed("systemctl start docker", false), "sudo systemctl start docker");
        assert_eq!(prefixed("systemctl start docker", true), "systemctl start docker");
    }

    #[test]
    fn a_limit_is_written_where_the_next_boot_reads_it() {
        let command = lasting(&["fs.inotify.max_user_instances=1024".into()]);
        let without = command.replace("sudo ", "");
        assert_eq!(
            without,
            "printf '%s\\n' fs.inotify.max_user_instances=1024 | tee -a /etc/sysctl.d/99-seatrial.conf && \
             sysctl -p /etc/sysctl.d/99-seatrial.conf"
        );
    }
}
