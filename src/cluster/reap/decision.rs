//! Decides from facts alone what a reap does with a cluster.

use std::time::Duration;

use serde::Serialize;

use crate::cluster::state::ClusterState;
use crate::duration::age;

/// An action on a cluster, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do", content = "why")]
pub enum Action {
    /// Do nothing.
    Keep(String),
    /// Do nothing, because the cluster may belong to somebody else. The text ends with the command that removes it.
    Leave(String),
    /// Heal and remove the leftovers of dead processes; the cluster stays.
    Heal(String),
    /// Remove its files: it has no containers.
    Forget(String),
    /// Remove its containers, volumes and files.
    Remove(String),
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (verb, why) = match self {
            Self::Keep(why) => ("kept", why),
            Self::Leave(why) => ("left alone", why),
            Self::Heal(why) => ("healed", why),
            Self::Forget(why) => ("forgotten", why),
            Self::Remove(why) => ("removed", why),
        };
        write!(f, "{verb}: {why}")
    }
}

/// The facts that decide about one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub name: String,
    pub state: ClusterState,
    /// The holder that uses it or waits for it.
    pub held: Option<String>,
    /// kind is creating some cluster right now, and this one is not complete.
    pub creating: bool,
    /// Time since the last use; `None` if unknown.
    pub idle: Option<Duration>,
    pub open_faults: usize,
    /// Holders that died without a release.
    pub unclean: Vec<String>,
    /// Whether `seatrial up` created it.
    pub kept: bool,
}

impl Facts {
    /// Reports whether dead processes left something to heal or remove.
    pub fn is_left_behind(&self) -> bool {
        self.open_faults > 0 || !self.unclean.is_empty()
    }

    /// Describes the leftovers of dead processes, as far as known.
    pub fn left_behind(&self) -> String {
        let faults = (self.open_faults > 0).then(|| format!("{} faults were left open", self.open_faults));
        let went =
            (!self.unclean.is_empty()).then(|| format!("{} died without a release", self.unclean.join(", ")));
        faults.into_iter().chain(went).collect::<Vec<_>>().join("; ")
    }

    /// Reports whether a kind process of a dead seatrial may still be about to create the cluster.
    pub fn is_being_made(&self) -> bool {
        self.held.is_none() && self.creating && self.state == ClusterState::Absent
    }
}

/// Decides from the facts alone. Before a removal the caller also checks whether somebody else needs the cluster.
pub(crate) fn decide(facts: &Facts, idle: Duration, all: bool) -> Action {
    if let Some(holder) = &facts.held {
        return Action::Keep(format!("used by {holder}"));
    }
    match &facts.state {
        ClusterState::Foreign(whose) => {
            Action::Leave(format!("{whose}; if nobody needs it: seatrial down {} --force", facts.name))
        }
        ClusterState::Absent if facts.creating => {
            Action::Leave("kind may still create it; run `seatrial reap` again afterwards".into())
        }
        ClusterState::Absent => Action::Forget("it has no containers".into()),
        ClusterState::Partial(why) => Action::Remove(why.clone()),
        ClusterState::Complete if all => Action::Remove("nobody uses it".into()),
        ClusterState::Complete => match facts.idle {
            Some(time) if time >= idle && !facts.kept => {
                Action::Remove(format!("nobody used it for {}", age(time)))
            }
            _ if facts.is_left_behind() => Action::Heal(facts.left_behind()),
            _ if facts.kept => Action::Keep("created with `seatrial up`".into()),
            Some(time) => Action::Keep(format!("used {} ago", age(time))),
            None => Action::Keep("time of its last use unknown".into()),
        },
    }
}

/// One thing that was reaped, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reaped {
    /// The cluster, folder or container.
    pub name: String,
    /// The action on it.
    pub action: Action,
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);

    fn whole() -> Facts {
        let idle = Some(Duration::from_secs(60));
        let unclean = Vec::new();
        let name = "c".into();
        Facts {
            name,
            state: ClusterState::Complete,
            held: None,
            creating: false,
            idle,
            open_faults: 0,
            unclean,
            kept: false,
        }
    }

    fn half() -> Facts {
        Facts { state: ClusterState::Partial("no end".into()), ..whole() }
    }

    #[test]
    fn a_cluster_is_removed_after_its_idle_time() {
        assert_eq!(decide(&whole(), IDLE, false), Action::Keep("used 60 s ago".into()));
        let old = Facts { idle: Some(Duration::from_secs(600)), ..whole() };
        assert_eq!(decide(&old, IDLE, false), Action::Remove("nobody used it for 10 min".into()));
        assert_eq!(decide(&whole(), IDLE, true), Action::Remove("nobody uses it".into()));
        let unknown = Facts { idle: None, ..whole() };
        assert!(matches!(decide(&unknown, IDLE, false), Action::Keep(_)));
    }

    #[test]
    fn a_used_cluster_is_kept_in_any_state() {
        for facts in [whole(), half(), Facts { state: ClusterState::Absent, ..whole() }] {
            let facts = Facts { held: Some("run".into()), idle: None, open_faults: 2, ..facts };
            assert_eq!(decide(&facts, Duration::ZERO, true), Action::Keep("used by run".into()));
        }
    }

    #[test]
    fn a_foreign_cluster_is_left_alone() {
        let other = Facts { state: ClusterState::Foreign("theirs".into()), idle: None, ..whole() };
        let text = decide(&other, Duration::ZERO, true).to_string();
        assert_eq!(text, "left alone: theirs; if nobody needs it: seatrial down c --force");
    }

    #[test]
    fn a_kept_cluster_stays_without_all() {
        let old = Some(Duration::from_secs(24 * 3600));
        let kept = Facts { kept: true, idle: old, ..whole() };
        assert!(matches!(decide(&kept, IDLE, false), Action::Keep(_)));
        assert!(matches!(decide(&kept, IDLE, true), Action::Remove(_)));
        assert!(matches!(decide(&Facts { open_faults: 1, ..kept }, IDLE, false), Action::Heal(_)));
    }

    #[test]
    fn remains_are_removed_except_files_that_kind_may_still_need() {
        assert_eq!(decide(&half(), IDLE, false), Action::Remove("no end".into()));
        let files = Facts { state: ClusterState::Absent, ..whole() };
        assert!(matches!(decide(&files, IDLE, false), Action::Forget(_)));
        let creating = Facts { creating: true, ..files };
        assert!(matches!(decide(&creating, IDLE, true), Action::Leave(_)) && creating.is_being_made());
        let held = Facts { held: Some("up".into()), ..creating };
        assert!(!held.is_being_made(), "its creator is alive");
    }

    #[test]
    fn open_faults_of_the_dead_are_healed_in_a_cluster_that_stays() {
        let broken = Facts { open_faults: 1, ..whole() };
        assert!(matches!(decide(&broken, IDLE, false), Action::Heal(_)));
        assert!(matches!(decide(&broken, Duration::ZERO, false), Action::Remove(_)));
        let unclean = Facts { unclean: vec!["run a".into()], ..whole() };
        assert_eq!(decide(&unclean, IDLE, false), Action::Heal("run a died without a release".into()));
    }
}
