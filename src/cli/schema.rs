//! `seatrial schema`: prints the JSON Schema of a file that people write.

use crate::catalogue::Catalogue;
use crate::cli::args::SchemaArgs;
use crate::cli::exit::Exit;
use crate::cli::show;
use crate::trial::file;

/// Prints the schema of trial files, for editors.
pub fn schema(catalogue: &Catalogue, args: &SchemaArgs) -> anyhow::Result<Exit> {
    let schema = match args.what {
        crate::cli::args::Schema::Trial => file::schema(&catalogue.faults),
    };
    show::text(&format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
    Ok(Exit::Passed)
}
