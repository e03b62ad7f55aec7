//! `seatrial generate`: writes shell completions and man pages, made from the definitions of the command line.

use std::path::Path;

use clap_complete::Shell;

use crate::catalogue::Catalogue;
use crate::report::ReportError;

use crate::cli::args::{self, GenerateArgs};
use crate::cli::exit::Exit;
use crate::cli::show;

/// Writes completions for bash, zsh and fish, and a man page for each command, with the choices of this program's
/// catalogue.
pub fn generate(catalogue: &Catalogue, args: &GenerateArgs) -> anyhow::Result<Exit> {
    let command = args::command(catalogue);
    let name = command.get_name().to_owned();
    let (completions, man) = (args.dir.join("completions"), args.dir.join("man"));
    for folder in [&completions, &man] {
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut command = command.clone();
        clap_complete::generate_to(shell, &mut command, name.as_str(), &completions)
            .map_err(failed(&completions))?;
    }
    clap_mangen::generate_to(command, &man).map_err(failed(&man))?;
    show::text(&format!("  {}\n  {}\n", completions.display(), man.display()))?;
    Ok(Exit::Passed)
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ReportError {
    let path = path.to_path_buf();
    |source| ReportError::Write { path, source }
}
