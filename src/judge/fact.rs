//! Typed names of the facts that a story observes and a judge reads.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde_json::Value;

use crate::event::Event;

/// A fact: its name in the log, and the type of its JSON value. A story records a fact once for all claims that read
/// it, or several times if the fact is a series. Two facts of a story have different names.
///
/// ```
/// use seatrial::judge::Fact;
///
/// /// Seconds until the loss of the node was noticed, recorded then.
/// const NOTICED: Fact<f64> = Fact::new("noticed_after");
/// assert_eq!(NOTICED.name(), "noticed_after");
/// ```
pub struct Fact<T> {
    name: &'static str,
    former: &'static [(&'static str, &'static str)],
    of: PhantomData<fn() -> T>,
}

/// The type of a fact that is a whole Kubernetes object as the API returned it. [`Object`](super::object::Object) reads
/// it without a schema.
#[derive(Debug)]
pub enum Raw {}

/// The type of a fact that is a list of Kubernetes objects, each as in [`Raw`].
#[derive(Debug)]
pub enum RawList {}

/// A value whose JSON is that of a `T`.
#[diagnostic::on_unimplemented(message = "the JSON of `{Self}` is not that of `{T}`, the type of this fact")]
pub trait JsonOf<T>: Serialize {}

impl<T: Serialize> JsonOf<T> for T {}
impl JsonOf<String> for str {}
impl<S: Serialize + ?Sized> JsonOf<Raw> for S {}
impl<S: Serialize + ?Sized> JsonOf<RawList> for S {}

impl<T> Fact<T> {
    /// Returns the fact with this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, former: &[], of: PhantomData }
    }

    /// Returns the fact with its names in logs of schema 1, given as pairs of claim and name. Schema 1 records a fact
    /// once for each claim that reads it. For a claim that is not listed, the fact has its present name.
    pub const fn was(self, former: &'static [(&'static str, &'static str)]) -> Self {
        Self { former, ..self }
    }

    /// Returns the name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the name that the fact has for a claim in a log of schema 1.
    pub fn name_in_schema_1(&self, claim: &str) -> &'static str {
        let former = self.former.iter().find(|(of, _)| *of == claim);
        former.map_or(self.name, |(_, name)| name)
    }

    /// Returns the event that records a value of this fact.
    pub fn observed(&self, value: &(impl JsonOf<T> + ?Sized)) -> Event {
        let value = serde_json::to_value(value).unwrap_or_else(|e| Value::String(e.to_string()));
        Event::Observed { claim: None, what: self.name.into(), value }
    }

    /// Returns the value if an event records this fact. The claim matters only in schema 1.
    pub fn value_in<'r>(&self, event: &'r Event, claim: &str) -> Option<&'r Value> {
        let Event::Observed { claim: of, what, value } = event else { return None };
        let is_meant = match of {
            None => what == self.name,
            Some(of) => of == claim && what == self.name_in_schema_1(claim),
        };
        is_meant.then_some(value)
    }
}

// Derived implementations would require the same traits of `T`.
impl<T> Clone for Fact<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Fact<T> {}

impl<T> fmt::Debug for Fact<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fact").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_log_of_schema_1_has_a_fact_for_each_claim_under_a_name_of_its_own() {
        const PODS: Fact<Vec<String>> = Fact::new("pods_after").was(&[("X1", "pods"), ("X2", "others")]);
        let found = |claim: Option<&str>, what: &str, of: &str| {
            let event =
                Event::Observed { claim: claim.map(str::to_owned), what: what.into(), value: json!(1) };
            PODS.value_in(&event, of).is_some()
        };
        assert!(found(Some("X1"), "pods", "X1") && found(Some("X2"), "others", "X2"));
        assert!(found(Some("X3"), "pods_after", "X3"));
        assert!(!found(Some("X1"), "pods_after", "X1") && !found(Some("X1"), "pods", "X2"));
        assert!(found(None, "pods_after", "X1") && !found(None, "pods", "X1"));
        let Event::Observed { claim: None, what, value } = PODS.observed(&vec!["a".to_owned()]) else {
            panic!("no claim is named")
        };
        assert_eq!((what.as_str(), value), ("pods_after", json!(["a"])));
    }
}
