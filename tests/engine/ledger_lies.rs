//! Real servers that lie to the ledger: told what to do in their own words, so that the client, the
//! socket and the protocol are those of a run. What the lie did must be named, and nothing else.

mod list;

use std::time::Duration;

use anyhow::ensure;
use rstest::rstest;
use seatrial::judge::Conclusion;
use seatrial::probe::Tally;
use testcontainers::core::client::docker_client_instance;

use self::list::ServerLie;
use super::ledger::{PACE, Side, address, seconds, side};

#[rstest]
#[case::forgets(&list::FORGETS)]
#[case::keeps_refused(&list::KEEPS_REFUSED)]
#[case::alters(&list::ALTERS)]
#[case::renumbers(&list::RENUMBERS)]
#[case::doubles(&list::DOUBLES)]
#[case::renamed(&list::RENAMED)]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_is_found_out(
    #[future(awt)] side: anyhow::Result<Side>,
    #[case] lie: &ServerLie,
) -> anyhow::Result<()> {
    let side = side?;
    // What a server that forgets had before, it forgets as well.
    if *lie != list::FORGETS {
        write(&side, "truthful", |tally| tally.acknowledged).await?;
        side.ledger.read("truth", seconds(30)).await?;
        let truth = side.verdict("truth")?;
        assert_eq!(truth.conclusion(), Conclusion::Passed, "{:#?}", truth.details());
    }
    match *lie {
        list::RENAMED => rename(&side).await?,
        _ => side.meddle(lie.told).await?,
    }
    match *lie {
        list::RENAMED => {}
        list::DOUBLES => doubled(&side).await?,
        list::KEEPS_REFUSED => write(&side, "lied to", |tally| tally.refused).await?,
        _ => write(&side, "lied to", |tally| tally.acknowledged).await?,
    }
    side.ledger.read("lie", seconds(30)).await?;
    let finding = side.verdict("lie")?;
    assert_eq!(finding.conclusion(), Conclusion::Failed, "{:#?}", finding.details());
    let failed: Vec<String> = finding.details().into_iter().filter(|d| d.starts_with("failed")).collect();
    let named = |by: &&str| failed.iter().any(|line| line.contains(*by));
    let said = lie.betrayed_by;
    ensure!(failed.len() == said.len() && said.iter().all(named), "{said:?}: {failed:#?}");
    Ok(())
}

/// Writes until twenty rows had one outcome.
async fn write(side: &Side, name: &str, of: fn(Tally) -> u64) -> anyhow::Result<()> {
    let writer = side.ledger.write(name, PACE);
    let deadline = seconds(60);
    while of(writer.tally()) < 20 {
        ensure!(!deadline.is_over(), "{:?}", writer.tally());
        deadline.pause(Duration::from_millis(20)).await;
    }
    writer.stop().await;
    Ok(())
}

/// Waits until the server's event has doubled a row, and ends it.
async fn doubled(side: &Side) -> anyhow::Result<()> {
    let (truth, deadline) = (side.ledger.read("before", seconds(30)).await?.rows.len(), seconds(60));
    while side.ledger.read("meanwhile", seconds(30)).await?.rows.len() == truth {
        ensure!(!deadline.is_over(), "no row was doubled");
        deadline.pause(Duration::from_millis(100)).await;
    }
    side.meddle("DROP EVENT qa.lie").await
}

/// Starts the server anew on the same files, without the one that holds its name.
async fn rename(side: &Side) -> anyhow::Result<()> {
    let before = side.ledger.ready(seconds(30)).await?;
    let engine = crate::engine().await?;
    engine.exec_ok(side.mysql.id(), &["rm", "/var/lib/mysql/auto.cnf"], None, seconds(30)).await?;
    let docker = docker_client_instance().await?;
    docker.stop_container(side.mysql.id(), None).await?;
    docker.start_container(side.mysql.id(), None).await?;
    side.relay.lead_to(address(&side.mysql).await?);
    let after = side.ledger.ready(seconds(120)).await?;
    ensure!(after.uuid != before.uuid, "the server kept its name {}", after.uuid);
    Ok(())
}
