//! The object that a wait follows.

use kube::{Resource, ResourceExt};

use super::Verdict;

/// The UID of the object that a wait saw first under its name.
#[derive(Default)]
pub(super) struct Same(Option<String>);

impl Same {
    /// The object under the name now, if it is the object that was seen first.
    ///
    /// # Errors
    /// Not yet if no object was seen so far; never if the first object was deleted or replaced by another one.
    pub(super) fn still<K: Resource>(&mut self, kind: &str, found: Option<K>) -> Result<K, Verdict> {
        match (found, &self.0) {
            (None, None) => Err(Verdict::NotYet(format!("there is no such {kind}"))),
            (None, Some(uid)) => {
                Err(Verdict::Never(format!("the {kind} (uid {uid}) was deleted during the wait")))
            }
            (Some(found), Some(uid)) if found.uid().as_ref() != Some(uid) => {
                let new = found.uid().unwrap_or_default();
                let why =
                    format!("the {kind} (uid {uid}) was deleted and made again (uid {new}) during the wait");
                Err(Verdict::Never(why))
            }
            (Some(found), _) => {
                self.0 = found.uid();
                Ok(found)
            }
        }
    }
}
