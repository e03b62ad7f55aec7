//! `seatrial trial`: reads what is on trial. The trial itself runs as a part of a run.

use crate::cli::args::TrialInput;
use crate::trial::{Images, Source, Trial, TrialError, read as read_manifests};

/// Reads the manifests and the claims of a trial. Nothing is contacted.
pub fn read(input: &TrialInput) -> Result<Trial, TrialError> {
    let sources: Vec<Source> = input.paths.iter().map(|path| path.as_str().into()).collect();
    let images = Images::read(&input.image)?;
    Trial::new(read_manifests(&sources)?, images)?.selecting(&input.only, &input.skip)
}
