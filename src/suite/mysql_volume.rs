//! The rest of part B: what happens to MySQL's volume. Its Deployment is deleted, then its claim. On a volume that
//! names its node, MySQL loses that node, and no empty database starts elsewhere.

use std::time::Duration;

use super::Suite;
use super::mysql::{CHANGE, Mysql, START, place};
use crate::cluster::{Access, THREE};
use crate::judge::mysql::{B11, B12};
use crate::scenario::{Failure, Needs, Scenario};

mod affinity;
mod release;

/// The suite.
pub static SUITE: Suite = Suite {
    about: "the volume of that MySQL: outlives Deployment and claim; with node affinity, node down and back",
    needs: Needs {
        name: "mysql-volume",
        claims: &[&B11, &B12],
        access: Access::Exclusive,
        topology: &THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(20 * 60),
    },
    after_all: false,
    story: |s| Box::pin(story(s)),
};

async fn story(s: &Scenario) -> Result<(), Failure> {
    let mysql = Mysql::new(s).await?;
    s.step("take the path on every node", CHANGE, place::claim(s)).await?;
    let first = s.step("start MySQL", START, mysql.apply()).await?;
    let mut traffic = s.step("write rows", CHANGE, mysql.write()).await?;
    traffic.pause().await;

    let released = release::delete_deployment_then_claim(&mysql, &first);
    s.step("delete the Deployment, then the claim", START, released).await?;
    s.step("delete MySQL", CHANGE, mysql.delete(&mysql.manifest)).await?;
    let pinned = affinity::lose_pinned_node(&mysql, &first, &mut traffic).await?;
    traffic.stop().await;
    s.step("delete the pinned MySQL", CHANGE, mysql.delete(&pinned)).await?;
    s.step("give the path back", CHANGE, place::give_back(s)).await
}
