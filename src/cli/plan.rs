//! `seatrial plan`: shows what would run, with the arithmetic of its time budgets. Contacts no engine and no
//! registry.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::cluster::{Access, THREE, Topology};
use crate::config::Settings;
use crate::duration;
use crate::hint::FailureKind;
use crate::image::{self, Profile};
use crate::suite::Suite;
use crate::trial::file;

use crate::cli::args::{PlanArgs, TrialInput, shape, suites};
use crate::cli::exit::{Exit, Stop};
use crate::cli::show;

/// Shows the suites with their claims, their cluster, and the time budget for the loss of a node.
pub async fn plan(settings: &Settings, catalogue: &Catalogue, args: &PlanArgs) -> anyhow::Result<Exit> {
    if !args.paths.is_empty() {
        return trial(settings, catalogue, args).await;
    }
    let suites = suites(catalogue, &args.suite);
    let mut text = images(settings)?;
    for suite in &suites {
        text.push_str(&describe(suite, catalogue, args)?);
    }
    let all: Duration = suites.iter().map(|s| s.needs.budget).sum();
    let claims: usize = suites.iter().map(|s| s.needs.claims.len()).sum();
    text.push_str(&format!(
        "\n{} suite{}, {claims} claims, at most {}, not counting images and cluster\n",
        suites.len(),
        if suites.len() == 1 { "" } else { "s" },
        duration::budget(all)
    ));
    show::text(&text)?;
    Ok(Exit::Passed)
}

async fn trial(settings: &Settings, catalogue: &Catalogue, args: &PlanArgs) -> anyhow::Result<Exit> {
    let input = TrialInput {
        paths: args.paths.clone(),
        only: args.only.clone(),
        skip: args.skip.clone(),
        upgrade: args.upgrade.clone(),
        image: args.image.clone(),
        budget: args.budget.clone(),
    };
    let read = super::trial::read(catalogue, &input).await?;
    if let Some(to) = &args.write {
        if read.file.is_some() {
            let why = "`--write` writes the standard trial of manifests: a trial file is written already";
            return Err(Stop::new(FailureKind::Usage, why, "name manifests, or copy the trial file").into());
        }
        write(to, &file::written(&read.trial, &read.sources, to))?;
    }
    let shape = match given(catalogue, args)? {
        Some(given) => Some(given),
        None => shape(catalogue, read.topology.as_deref(), read.kind_config.as_deref())?,
    };
    let shape = shape.map_or_else(|| THREE.read(), Ok)?;
    if let Some(file) = &read.file {
        file.check_on(&shape)?;
    }
    show::text(&read.trial.plan(&shape, &settings.profile))?;
    Ok(Exit::Passed)
}

/// Writes a new file. A file that exists holds somebody's work.
fn write(to: &Path, text: &str) -> Result<(), Stop> {
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).open(to);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let why = format!("failed to write {}: {error}", to.display());
        Stop::new(FailureKind::Usage, why, "name a file that does not exist, in a folder that does")
    })
}

fn images(settings: &Settings) -> anyhow::Result<String> {
    let asked = settings.kubernetes.as_deref();
    if settings.profile == "auto" {
        image::check(settings)?;
        let version = asked.map(|v| format!(", Kubernetes {v}")).unwrap_or_default();
        return Ok(format!(
            "images: auto{version}: `current` where its registry answers, else `offline`; decided when it runs\n"
        ));
    }
    let profile = Profile::named(&settings.profile)?;
    let version = profile.version(asked)?;
    Ok(format!("images: {}, Kubernetes {version}: {}\n", profile.name, profile.about))
}

/// Returns the shape that the command line names.
fn given(catalogue: &Catalogue, args: &PlanArgs) -> anyhow::Result<Option<Topology>> {
    shape(catalogue, args.topology.as_deref(), args.kind_config.as_deref())
}

fn describe(suite: &Suite, catalogue: &Catalogue, args: &PlanArgs) -> anyhow::Result<String> {
    let needs = &suite.needs;
    let shape = given(catalogue, args)?.map_or_else(|| needs.topology.read(), Ok)?;
    let access = match needs.access {
        Access::Shared => "shares its cluster with other suites",
        Access::Exclusive => "uses its cluster exclusively",
    };
    let (control_planes, workers) = (shape.control_planes(), shape.workers());
    let mut text = format!(
        "\n{}: {}\n  cluster {}: {control_planes} control plane{}, {workers} workers; {access}; at most {}\n",
        needs.name,
        suite.about,
        shape.name(),
        if control_planes == 1 { "" } else { "s" },
        duration::budget(needs.budget)
    );
    for claim in needs.claims {
        text.push_str(&format!("  {:<4} {}\n", claim.id, claim.title));
    }
    if needs.access == Access::Exclusive {
        let timing = shape.timing();
        let mut given =
            vec![("loss of a node", timing.node_loss()), ("return of a node", timing.node_return())];
        if control_planes > 1 {
            given.push(("detection of a lost control plane that ran the leader", timing.leader_loss()));
        }
        for (what, budget) in given {
            text.push_str(&format!("  time budget, {what}:\n"));
            text.extend(budget.to_string().lines().map(|line| format!("  {line}\n")));
        }
    }
    Ok(text)
}
