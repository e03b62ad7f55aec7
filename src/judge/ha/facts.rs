//! The facts that the story of part E observes, in order. In schema 1 each claim had its own facts; these names are
//! next to those that replaced them.

use super::{Allowed, Container, Member, Refused};
use crate::judge::Fact;
use crate::judge::fact::Raw;

/// The Lease of the controller-manager before the fault.
pub const LEADER_BEFORE: Fact<Raw> = Fact::new("leader_before");
/// The name of the control plane that is stopped.
pub const TARGET: Fact<String> = Fact::new("target");
/// How long the API may be away: the longest absence, the sum of all absences and the share of requests that may fail.
pub const ABSENCE_BUDGET: Fact<Allowed> = Fact::new("absence_budget").was(&[("E1", "budget")]);
/// How long it may take until the loss of the control plane is noticed.
pub const NOTICE_BUDGET: Fact<Allowed> = Fact::new("notice_budget").was(&[("E3", "budget")]);
/// etcd's members before the fault.
pub const MEMBERS_BEFORE: Fact<Vec<Member>> = Fact::new("members_before");
/// The containers of the other control planes and of the load balancer, before the fault.
pub const OTHERS_BEFORE: Fact<Vec<Container>> = Fact::new("others_before");
/// The Lease of the controller-manager when the loss is noticed.
pub const LEADER_AFTER: Fact<Raw> = Fact::new("leader_after");
/// What was requested while the control plane was down, with the answer; recorded for each request.
pub const REFUSED: Fact<Refused> = Fact::new("refused");
/// The same containers as in [`OTHERS_BEFORE`], after the requests.
pub const OTHERS_AFTER: Fact<Vec<Container>> = Fact::new("others_after");
/// Whether the API server of the control plane serves again after its return.
pub const SERVED: Fact<bool> = Fact::new("served");
/// etcd's members after the return.
pub const MEMBERS_AFTER: Fact<Vec<Member>> = Fact::new("members_after");
