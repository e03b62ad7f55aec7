//! Judges the claims of a story, and holds their verdicts.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Scenario, ScenarioError};
use crate::event::Event;
use crate::judge::{self, Claim, Conclusion, Evidence};

impl Scenario {
    /// Judges a claim from the records so far: a built-in claim, or the story's own. The story continues whatever the
    /// verdict is; the scenario fails at its end if a claim did not pass.
    ///
    /// A claim of the story's own with the id of a built-in claim is inconclusive: a program that judges the run
    /// again would use the built-in claim.
    pub fn prove(&self, claim: &'static Claim) -> BoxFuture<'_, Conclusion> {
        let work = async move {
            self.recorder.settle(self.deadline.at_most(Duration::from_secs(10))).await;
            self.prove_as(claim, claim.id.to_owned()).await
        };
        work.boxed()
    }

    /// Judges a claim for one subject alone, such as a workload: its id is then `<claim>/<subject>`. The caller has
    /// waited until the recorder holds what the API shows.
    pub(crate) async fn prove_for(&self, claim: &'static Claim, subject: &str) -> Conclusion {
        self.prove_as(claim, format!("{}/{subject}", claim.id)).await
    }

    async fn prove_as(&self, claim: &'static Claim, id: String) -> Conclusion {
        if judge::is_taken(claim) {
            self.note(format!(
                "{} is the id of a built-in claim: give the story's own claim another id",
                claim.id
            ));
            self.judged().insert(claim.id.into(), Conclusion::Inconclusive);
            return Conclusion::Inconclusive;
        }
        let (log, judged_id) = (self.log.clone(), id.clone());
        // Use a separate thread: writers and probes continue while the records are read.
        let judged = tokio::task::spawn_blocking(move || {
            let mut conclusion = Conclusion::Inconclusive;
            let run = if claim.sees_run { log.records_of_run() } else { Vec::new() };
            log.append_judged(|records, seen| {
                let finding = claim.judge(&Evidence::new(records, &judged_id).of_run(&run));
                conclusion = finding.conclusion();
                Event::ClaimJudged {
                    claim: judged_id.clone(),
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
        });
        let conclusion = match judged.await {
            Ok(conclusion) => conclusion,
            // Panic here as well: the story ends with the text of the judge's panic.
            Err(broken) => std::panic::resume_unwind(broken.into_panic()),
        };
        // If a claim is proved twice, the worse conclusion counts, as in the report.
        let mut judged = self.judged();
        let worst = judged.entry(id).or_insert(conclusion);
        *worst = conclusion.max(*worst);
        conclusion
    }

    fn judged(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Conclusion>> {
        self.judged.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns an error if a claim did not pass.
    pub(super) fn verdict(&self, name: &str) -> Result<(), ScenarioError> {
        let judged = self.judged();
        let bad = judged.iter().filter(|(_, c)| **c != Conclusion::Passed);
        let claims: Vec<String> = bad.map(|(id, conclusion)| format!("{id} {conclusion}")).collect();
        if claims.is_empty() { Ok(()) } else { Err(ScenarioError::Claims { name: name.into(), claims }) }
    }
}
