//! A test as a user writes one: a story of their own on a leased cluster.

use std::time::Duration;

use seatrial::cluster::{Access, THREE};
use seatrial::fault::PauseNode;
use seatrial::scenario::{Needs, scenario};
use seatrial::wait;

use crate::session::in_run;

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_worker_is_noticed_and_comes_back() -> anyhow::Result<()> {
    let needs = Needs {
        name: "hung-worker",
        claims: &[],
        access: Access::Exclusive,
        topology: &THREE,
        apart: None,
        budget: Duration::from_secs(180),
    };
    in_run(&[needs.name], async |run| {
        Ok(scenario(run, needs, async |s| {
            let worker = s.cluster.workers().next().ok_or("the topology has a worker")?;
            let notice = s.cluster.topology.timing().node_loss().total;
            let hang = s.inject(&PauseNode, worker, s.deadline()).await?;
            let noticed =
                wait::nodes::not_ready(&s.client, &worker.name, s.deadline().at_most(notice)).await?;
            s.note(format!("{} noticed after {:.1} s", worker.name, noticed.took.as_secs_f64()));
            hang.heal(s.deadline()).await?;
            wait::nodes::ready(&s.client, &worker.name, s.deadline()).await?;
            Ok(())
        })
        .await?)
    })
    .await
}
