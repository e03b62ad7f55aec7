//! Rules on Jobs. Source: Kubernetes' documentation, "Jobs: Job termination and cleanup".

use k8s_openapi::api::batch::v1::Job;

use super::{Check, Verdict, check_one};

/// The Job is complete. A Job that failed will not complete. The wait follows the Job that it saw first
/// ([`Check::follows`]).
pub fn job_complete(name: &str) -> impl Check<Job> + use<> {
    check_one(name.to_owned(), format!("Job {name} complete"), complete)
}

fn complete(job: &Job) -> Verdict {
    let status = job.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let holds = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
    if let Some(failed) = holds("Failed").or_else(|| holds("FailureTarget")) {
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        return Verdict::Never(format!(
            "the Job failed: {} ({})",
            text(&failed.reason),
            text(&failed.message)
        ));
    }
    Verdict::met_if(holds("Complete").is_some(), || {
        format!(
            "{} succeeded, {} active",
            status.succeeded.unwrap_or_default(),
            status.active.unwrap_or_default()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(kind: &str, status: &str) -> Verdict {
        let conditions =
            json!([{"type": kind, "status": status, "reason": "BackoffLimitExceeded", "message": "m"}]);
        complete(
            &serde_json::from_value(json!({"metadata": {"name": "j"}, "status": {"conditions": conditions}}))
                .unwrap(),
        )
    }

    #[test]
    fn a_failed_job_ends_a_wait() {
        assert_eq!(verdict("Complete", "True"), Verdict::Met);
        assert!(
            matches!(verdict("Failed", "True"), Verdict::Never(why) if why.contains("BackoffLimitExceeded"))
        );
        assert!(matches!(verdict("Failed", "False"), Verdict::NotYet(_)));
        assert!(matches!(verdict("SuccessCriteriaMet", "True"), Verdict::NotYet(_)));
    }
}
