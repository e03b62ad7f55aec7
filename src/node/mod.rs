//! Nodes.

/// x
pub const OWNER_LABEL: &str = "dev.seatrial.node-image";
