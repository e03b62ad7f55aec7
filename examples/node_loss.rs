//! A trial of your own manifests, with a claim of your own: `cargo run --example node_loss`.

use seatrial::prelude::*;

/// The names of the nodes that carried the application before the loss and after the return.
const NODES: Fact<(Vec<String>, Vec<String>)> = Fact::new("shop_nodes");

/// The application ran on two nodes before the loss.
pub static SPREAD: Claim =
    Claim::new("shop-spread", "the application ran on two nodes before the loss", |evidence, finding| {
        let (before, after) = evidence.fact(&NODES)?;
        finding.check(before.len() > 1, format!("on {before:?} before, on {after:?} after"));
        Ok(())
    });

/// The name of the scenario in the reports.
pub const NAME: &str = "node-loss";

#[tokio::main]
async fn main() -> Outcome {
    shop_survives_a_lost_node().await
}

/// Runs the trial.
pub async fn shop_survives_a_lost_node() -> Outcome {
    let story = async |t: &Stage<'_, '_>| {
        let shop = t.workload("Deployment", "shop")?;
        let before = t.nodes_of(shop).await?;
        // Stops the busiest worker and starts it again: proves `node-loss`, `data` and `return`.
        t.node_loss().await?;
        t.observe(&NODES, &(before, t.nodes_of(shop).await?));
        t.prove(&SPREAD).await;
        Ok(())
    };
    trial(NAME).manifests("examples/shop.yaml").images_of_profile().proves([&SPREAD]).run(story).await
}
