//! `seatrial trial`: reads what is on trial. The trial itself runs as a part of a run.

use std::path::{Path, PathBuf};

use crate::catalogue::Catalogue;
use crate::cli::args::{OnArgs, TrialInput, shape};
use crate::cluster::THREE;
use crate::trial::file::{self, folder_of, is_trial_file};
use crate::trial::{Images, Source, Trial, TrialError, TrialFile, read as read_manifests};

/// A trial that was read, with what its file says about the cluster.
pub struct ReadTrial {
    /// The trial.
    pub trial: Trial,
    /// The trial file, if there is one.
    pub file: Option<TrialFile>,
    /// The paths that were named.
    pub sources: Vec<Source>,
    /// The topology of the trial file.
    pub topology: Option<String>,
    /// The file for kind of the trial file.
    pub kind_config: Option<PathBuf>,
    /// The Kubernetes version of the trial file.
    pub kubernetes: Option<String>,
}

impl ReadTrial {
    /// Checks that the nodes which the trial file names are those of the cluster. An existing cluster tells by itself.
    pub fn check_on(&self, catalogue: &Catalogue, on: &OnArgs) -> anyhow::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| on.cluster.is_none()) else { return Ok(()) };
        let shape = shape(catalogue, on.topology.as_deref(), on.kind_config.as_deref())?;
        Ok(file.check_on(&shape.map_or_else(|| THREE.read(), Ok)?)?)
    }

    /// Returns the arguments with the trial file's cluster where the command line names none.
    pub fn on(&self, args: &OnArgs) -> OnArgs {
        let mut on = args.clone();
        if on.topology.is_none() && on.kind_config.is_none() && on.cluster.is_none() {
            on.topology.clone_from(&self.topology);
            on.kind_config.clone_from(&self.kind_config);
        }
        if on.images.k8s.is_empty() {
            on.images.k8s.extend(self.kubernetes.clone());
        }
        on
    }
}

/// Reads the manifests, or the trial file, and the claims of a trial. Contacts nothing, but runs the commands of the trial
/// file that print manifests.
pub async fn read(catalogue: &Catalogue, input: &TrialInput) -> Result<ReadTrial, TrialError> {
    let sources: Vec<Source> = input.paths.iter().map(|path| path.as_str().into()).collect();
    let images = Images::read(&input.image)?;
    let (trial, cluster, file) = match trial_file(catalogue, &sources)? {
        Some((path, file)) => {
            let folder = folder_of(&path);
            let manifest = file.manifest(&folder).await?;
            let mut cluster = file.cluster.clone();
            cluster.kind_config = cluster.kind_config.map(|config| folder.join(config));
            (Trial::of_file(&file, manifest, folder)?, cluster, Some(file))
        }
        None => {
            (Trial::new(read_manifests(&sources)?, Images::default())?, file::ClusterPart::default(), None)
        }
    };
    let trial = match &input.upgrade {
        Some(to) => trial.with_upgrade(to)?,
        None => trial,
    };
    let trial = trial.with_images(images).with_budgets(&input.budget)?.selecting(&input.only, &input.skip)?;
    let file::ClusterPart { topology, kind_config, kubernetes } = cluster;
    Ok(ReadTrial { trial, file, sources, topology, kind_config, kubernetes })
}

/// Returns the trial file among the sources, if there is one.
fn trial_file(catalogue: &Catalogue, sources: &[Source]) -> Result<Option<(PathBuf, TrialFile)>, TrialError> {
    for source in sources {
        let Source::Path(path) = source else { continue };
        let Some(text) = text_of(path) else { continue };
        if sources.len() > 1 {
            return Err(TrialError::NotAlone { path: path.clone() });
        }
        let file = file::read(path, &text, &catalogue.faults)?;
        if let Some(name) = &file.cluster.topology
            && !catalogue.topologies.iter().any(|topology| topology.name == name)
        {
            let names: Vec<&str> = catalogue.topologies.iter().map(|topology| topology.name).collect();
            let line = text.lines().position(|line| line.contains("topology")).map_or(1, |at| at as u64 + 1);
            let why = format!("no topology is called {name}: choose among {}", names.join(", "));
            return Err(TrialError::File { path: path.clone(), line, why });
        }
        return Ok(Some((path.clone(), file)));
    }
    Ok(None)
}

/// Returns the text of a file if it is a trial file. Errors are those of a later read.
fn text_of(path: &Path) -> Option<String> {
    let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let text = std::fs::read_to_string(path).ok().filter(|_| is_yaml)?;
    is_trial_file(&text).then_some(text)
}
