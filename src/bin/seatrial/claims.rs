//! `seatrial claims`: the catalogue.

use seatrial::judge::{self, CLAIMS, Claim};

use crate::args::ClaimsArgs;
use crate::exit::{Exit, Stop};
use crate::show;

/// Lists claims with their titles.
pub fn claims(args: &ClaimsArgs) -> anyhow::Result<Exit> {
    let all = || CLAIMS.iter().flat_map(|part| part.iter().copied());
    let wanted: Vec<&Claim> = if args.ids.is_empty() {
        all().collect()
    } else {
        args.ids.iter().map(|id| claim(id)).collect::<Result<_, _>>()?
    };
    let lines: Vec<String> = wanted.iter().map(|c| format!("{:<4} {}\n", c.id, c.title)).collect();
    show::text(&lines.concat())?;
    Ok(Exit::Passed)
}

fn claim(id: &str) -> Result<&'static Claim, Stop> {
    let found = judge::claim(id).or_else(|| judge::claim(&id.to_uppercase()));
    found.ok_or_else(|| {
        Stop::new(Exit::Usage, format!("no claim is called {id}"), "`seatrial claims` lists them")
    })
}
