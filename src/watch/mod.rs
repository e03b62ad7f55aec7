//! Watches a command of somebody else: probes and the recorder run next to it, and claims of
//! [`judge::watch`](crate::judge::watch) decide what became of pods, requests and nodes meanwhile.
//!
//! On a cluster that is not ours, only objects are read: get, list and watch.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::chain::chain;
use crate::client::{ApiError, Client};
use crate::cluster::{Cluster, Lease};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::event::{Event, EventLog, Scope};
use crate::exec::Signal;
use crate::judge::watch::facts::{AWAY, EXPECTED, PROBES, UNREAD, Way};
use crate::judge::watch::{BEGINS, ENDS};
use crate::judge::{Claim, Conclusion, Evidence};
use crate::probe::Recorder;
use crate::scenario::control::Control;

mod command;
mod error;
mod options;
mod places;
mod probes;

pub use command::{Given, Show};
pub use error::WatchError;
pub use options::{Probe, Target, Texts, Watch};
use probes::Probes;

/// Name of the scenario.
pub const NAME: &str = "watch";

/// Timeout for the first answer of the API server. A plugin for credentials may start slowly.
const ANSWER: Duration = Duration::from_secs(30);
/// Time for the recorder to hold everything that the API shows.
const SETTLE: Duration = Duration::from_secs(10);

/// The cluster on which a command is watched.
#[derive(Debug)]
pub enum Place {
    /// A cluster of ours, leased.
    Ours(Box<Lease>),
    /// A cluster of somebody else: its clients, and the name of the context.
    Foreign(Box<crate::client::Named>),
}

/// What the parts of a watch share.
pub(in crate::watch) struct Ground<'w> {
    client: Client,
    log: EventLog,
    /// The cluster, if it is ours.
    cluster: Option<&'w Cluster>,
}

/// What runs next to the command.
struct Ready {
    recorder: Recorder,
    control: Option<Control>,
    probes: Probes,
}

/// How a watch ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// How the command ended.
    pub status: ExitStatus,
    /// The worst conclusion of the claims.
    pub verdict: Conclusion,
}

impl Watch {
    /// Runs the command and watches it. The run is recorded in `log`, from its beginning to its end.
    ///
    /// # Errors
    /// [`WatchError`]: nothing was watched, and the command did not run.
    pub async fn run(
        &self,
        place: &Place,
        (settings, log): (&Settings, &EventLog),
        mut given: Given<'_>,
    ) -> Result<Ended, WatchError> {
        self.suits(place)?;
        log.append(Event::RunStarted {
            seatrial: env!("CARGO_PKG_VERSION").into(),
            profile: "none".into(),
            profile_because: "a watch runs no images".into(),
            machine: Default::default(),
            suites: vec![NAME.into()],
        });
        let scoped = log.scoped(self.scope(place));
        scoped.append(Event::ScenarioStarted {
            claims: self.claims.iter().map(|c| c.id.into()).collect(),
            title: None,
        });
        let watched = self.watched(place, settings, &scoped, &mut given).await;
        let error = match &watched {
            Ok(status) => failure(*status),
            Err(error) => Some(chain(error)),
        };
        let verdict = match &watched {
            Ok(_) => self.judge(&scoped).await,
            Err(_) => Conclusion::Inconclusive,
        };
        log_end(log, &scoped, (error, verdict))?;
        Ok(Ended { status: watched?, verdict })
    }

    fn scope(&self, place: &Place) -> Scope {
        let cluster = match place {
            Place::Ours(lease) => lease.cluster.name.clone(),
            Place::Foreign(named) => named.context.clone(),
        };
        let namespace = match self.namespaces.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        };
        Scope { scenario: Some(NAME.into()), cluster: Some(cluster), namespace }
    }

    /// Checks that each probe can be asked on this cluster.
    fn suits(&self, place: &Place) -> Result<(), WatchError> {
        let is_tcp = |probe: &&Probe| matches!(probe.target, Target::Tcp(_));
        match (place, self.probes.iter().find(is_tcp)) {
            (Place::Foreign(_), Some(probe)) => Err(WatchError::Probe {
                text: probe.text.clone(),
                why: "only on a cluster of ours: the API server's proxy speaks HTTP, and a port-forward is a tunnel to one pod"
                    .into(),
            }),
            _ => Ok(()),
        }
    }

    async fn watched(
        &self,
        place: &Place,
        settings: &Settings,
        log: &EventLog,
        given: &mut Given<'_>,
    ) -> Result<ExitStatus, WatchError> {
        let set_up = self.set_up(place, settings, log);
        let ready = tokio::select! {
            ready = set_up => ready?,
            Some(signal) = given.signals.recv() => return Err(WatchError::Interrupted { signal }),
        };
        let Ready { recorder, control, probes } = ready;
        let status = self.command(&recorder, log, given).await;
        probes.stop().await;
        // A change may be recorded a moment after the end mark that it precedes.
        recorder.settle(Deadline::after(SETTLE)).await;
        recorder.stop().await;
        if let Some(control) = control
            && let Err(stays) = control.stop().await
        {
            log.append(Event::Noted { text: stays.to_string() });
        }
        status
    }

    /// Starts everything that runs next to the command.
    async fn set_up(&self, place: &Place, settings: &Settings, log: &EventLog) -> Result<Ready, WatchError> {
        let ground = ground(place, log).await?;
        let (places, unread) = places::readable(&ground.client, &self.namespaces).await;
        log.append(UNREAD.observed(&unread));
        log.append(EXPECTED.observed(&self.expected));
        log.append(AWAY.observed(&self.away));
        let recorder = Recorder::of_places(&ground.client, &places, log).await?;
        let control = match ground.cluster {
            Some(cluster) => {
                let suffix = format!("watch-{}", std::process::id());
                Control::start(settings, cluster, log, &suffix, Duration::from_secs(24 * 60 * 60)).await
            }
            None => None,
        };
        let probes = Probes::start(&ground, &self.probes).await?;
        log.append(PROBES.observed(&probes.asked));
        if probes.asked.iter().any(|asked| asked.way == Way::ApiServer) {
            log.append(Event::Noted {
                text: "probes of Services ask through the API server: kube-proxy was bypassed".into(),
            });
        }
        Ok(Ready { recorder, control, probes })
    }

    /// Runs the command between the marks, and goes on watching for a while.
    async fn command(
        &self,
        recorder: &Recorder,
        log: &EventLog,
        given: &mut Given<'_>,
    ) -> Result<ExitStatus, WatchError> {
        let step = "command".to_owned();
        log.append(Event::Noted { text: format!("command: {}", command::pretty(&self.command)) });
        log.append(Event::Marked { mark: BEGINS.into() });
        log.append(Event::StepStarted { step: step.clone() });
        let began = Instant::now();
        let ended = command::run(&self.command, given, log).await;
        let error = match &ended {
            Ok(status) => failure(*status),
            Err(error) => Some(chain(error)),
        };
        let took = began.elapsed().as_secs_f64();
        log.append(Event::StepEnded { step, took, budget: None, error });
        if ended.is_ok() {
            // This is the time that is observed, not a wait for something. A signal shortens it.
            let rest = Deadline::after(self.after);
            tokio::select! {
                () = rest.pause(self.after) => {}
                Some(_) = given.signals.recv() => {}
            }
        }
        recorder.settle(Deadline::after(SETTLE)).await;
        log.append(Event::Marked { mark: ENDS.into() });
        ended
    }

    /// Judges every claim from the records. Returns the worst conclusion.
    async fn judge(&self, log: &EventLog) -> Conclusion {
        let (claims, judged) = (self.claims.clone(), log.clone());
        let work = move || claims.iter().map(|claim| prove(claim, &judged)).max();
        match tokio::task::spawn_blocking(work).await {
            Ok(worst) => worst.unwrap_or(Conclusion::Inconclusive),
            Err(broken) => std::panic::resume_unwind(broken.into_panic()),
        }
    }
}

async fn ground<'w>(place: &'w Place, log: &EventLog) -> Result<Ground<'w>, WatchError> {
    let (client, cluster) = match place {
        Place::Ours(lease) => {
            let cluster = &lease.cluster;
            log.append(Event::ClusterReady {
                reused: lease.reused,
                took: lease.took.as_secs_f64(),
                topology: cluster.topology.name().into(),
                kubernetes: cluster.kubernetes.clone(),
                image: cluster.image.clone(),
                nodes: cluster.nodes.iter().map(|node| node.name.clone()).collect(),
            });
            (cluster.client().await?, Some(cluster))
        }
        Place::Foreign(named) => {
            let version = version(&named.client).await?;
            log.append(Event::Noted {
                text: format!("context {}, Kubernetes {version}: not our cluster, only read", named.context),
            });
            (named.client.clone(), None)
        }
    };
    Ok(Ground { client, log: log.clone(), cluster })
}

/// Returns the version of the server. A server that gives no answer, or that does not know the user, ends the watch before
/// the command begins: here a plugin, a token or a proxy that does not work shows.
async fn version(client: &Client) -> Result<String, WatchError> {
    let silent = |why: String| WatchError::Silent { server: client.server.clone(), why };
    match Deadline::after(ANSWER).bound(client.unary.apiserver_version()).await {
        Ok(Ok(info)) => Ok(info.git_version),
        Ok(Err(error)) => match ApiError::from(error) {
            error if error.code() == Some(403) => Ok("of an unknown version".into()),
            error => Err(silent(error.text)),
        },
        Err(late) => Err(silent(late.to_string())),
    }
}

fn prove(claim: &'static Claim, log: &EventLog) -> Conclusion {
    let mut conclusion = Conclusion::Inconclusive;
    log.append_judged(|records, seen| {
        let finding = claim.judge(&Evidence::new(records, claim.id));
        conclusion = finding.conclusion();
        Event::ClaimJudged {
            claim: claim.id.into(),
            title: Some(claim.title.into()),
            verdict: conclusion,
            evidence: finding.evidence(),
            details: finding.details(),
            took: finding.took,
            budget: finding.budget,
            reached: Some(true),
            seen: Some(seen),
        }
    });
    conclusion
}

fn log_end(
    log: &EventLog,
    scoped: &EventLog,
    (error, verdict): (Option<String>, Conclusion),
) -> Result<(), WatchError> {
    let verdict = if error.is_some() { Conclusion::Failed.max(verdict) } else { verdict };
    scoped.append(Event::ScenarioEnded { error, left: Vec::new() });
    scoped.leave_out_late();
    log.append(Event::RunEnded { verdict });
    Ok(log.check()?)
}

/// Returns how a command failed, in words; none if it succeeded.
fn failure(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("the command ended with exit code {code}")),
        (None, signal) => Some(format!("the command was ended by signal {}", signal.unwrap_or_default())),
    }
}

/// Returns the exit code that passes on how a command ended: its own, or 128 and the number of the signal.
pub fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The signals that are passed on to a command.
pub type Signals = UnboundedReceiver<Signal>;
