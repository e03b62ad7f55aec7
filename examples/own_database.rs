//! A database loses no acknowledged order when it is killed: `cargo run --example own_database`.

use seatrial::prelude::*;

/// The name of the scenario in the reports.
pub const NAME: &str = "own-database";

#[tokio::main]
async fn main() -> Outcome {
    no_acknowledged_order_is_lost().await
}

/// Runs the trial. On one node the volume of the manifest never moves.
pub async fn no_acknowledged_order_is_lost() -> Outcome {
    let story = async |t: &Stage<'_, '_>| {
        t.fault("kill-container", "deployment/db", None).await?;
        t.pod_loss().await?;
        t.rollout().await
    };
    trial(NAME)
        .manifests("examples/database.yaml")
        .images_of_profile()
        .on(&ONE)
        .ledger("orders", orders())
        .run(story)
        .await
}

/// Orders that a client in the database's pod writes, and reads at the end: the claim `ledger`. Both commands make the table, so a
/// database that comes up empty has lost them.
fn orders() -> CommandLedger {
    let sql = |text: &str| {
        let table = "CREATE TABLE IF NOT EXISTS orders (id INT PRIMARY KEY)";
        format!("MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql -N -e \"{table}; {text}\" shop")
    };
    CommandLedger::of("deployment/db")
        .write(sql("INSERT INTO orders VALUES ($ENTRY)"))
        .read(sql("SELECT id FROM orders"))
}
