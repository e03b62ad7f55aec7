//! A command on a node that is started again when the node comes back.

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};

use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};

/// Pause before the command is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// The lines of the running command, or none before it is started.
type Running = Option<BoxStream<'static, Result<String, EngineError>>>;

/// Returns the lines of a command on a node. When the command ends, because the node was stopped or its container restarted, it
/// is started again, until the deadline. Judges see from the samples that nobody asked meanwhile.
pub fn again(
    engine: Engine,
    node: String,
    words: Vec<String>,
    deadline: Deadline,
) -> impl Stream<Item = Result<String, EngineError>> + Send + 'static {
    stream::unfold(None, move |mut running: Running| {
        let (engine, node, words) = (engine.clone(), node.clone(), words.clone());
        async move {
            loop {
                let lines = running.get_or_insert_with(|| {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    engine.exec_lines(&node, &words)
                });
                if let Some(Ok(line)) = lines.next().await {
                    return Some((Ok(line), running));
                }
                running = None;
                if deadline.is_over() {
                    return None;
                }
                deadline.pause(PAUSE).await;
            }
        }
    })
}
