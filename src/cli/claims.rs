//! `seatrial claims`: lists claims with their titles.

use crate::catalogue::Catalogue;
use crate::hint::FailureKind;
use crate::judge::Claim;

use crate::cli::args::ClaimsArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::show;

pub fn claims(catalogue: &Catalogue, args: &ClaimsArgs) -> anyhow::Result<Exit> {
    let all = catalogue.claims();
    let wanted: Vec<&Claim> = if args.ids.is_empty() {
        all
    } else {
        args.ids.iter().map(|id| claim(&all, id)).collect::<Result<_, _>>()?
    };
    let lines: Vec<String> = wanted.iter().map(|c| format!("{:<4} {}\n", c.id, c.title)).collect();
    show::text(&lines.concat())?;
    Ok(Exit::Passed)
}

fn claim(all: &[&'static Claim], id: &str) -> Result<&'static Claim, Stop> {
    let called = |id: &str| all.iter().copied().find(|c| c.id == id);
    let found = called(id).or_else(|| called(&id.to_uppercase()));
    found.ok_or_else(|| {
        Stop::new(
            FailureKind::Usage,
            format!("no claim is called {id}"),
            "`seatrial claims` lists all claims",
        )
    })
}
