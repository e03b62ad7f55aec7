//! The step `rollout` with parameters.

use serde::Deserialize;
use serde_json::Value;

use super::WorkloadRef;

/// A rollout of one workload, or of the workloads that run an image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RolloutPart {
    /// The workload, such as `deployment/shop`. Without it, every workload that runs the image.
    pub workload: Option<WorkloadRef>,
    /// The image that it runs from then on: `FROM=TO`, where FROM is a container or the image that it runs, with or without its
    /// tag; or `TO` for one `workload` with one container. TO is an image of the container engine. Without it, a restart.
    pub image: Option<String>,
}

/// A container of a workload's template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The list that it is in: `containers` or `initContainers`.
    pub list: &'static str,
    /// Its name.
    pub name: String,
    /// The image that it runs.
    pub image: String,
}

impl RolloutPart {
    /// What is replaced, if the file says so, and by which image.
    pub fn change(&self) -> Option<(Option<&str>, &str)> {
        let image = self.image.as_deref()?;
        Some(match image.split_once('=') {
            Some((from, to)) => (Some(from), to),
            None => (None, image),
        })
    }

    /// Whether the text of the image has one of its forms.
    pub(in crate::trial) fn is_readable(&self) -> bool {
        self.change().is_none_or(|(from, to)| from != Some("") && !to.is_empty() && !to.contains('='))
    }

    /// Returns the containers of an object's template that get the image.
    pub fn containers(&self, object: &Value) -> Vec<Container> {
        let Some((from, _)) = self.change() else { return Vec::new() };
        let all: Vec<Container> =
            ["containers", "initContainers"].into_iter().flat_map(|list| in_list(object, list)).collect();
        let Some(from) = from else {
            let mut own: Vec<Container> = all.into_iter().filter(|c| c.list == "containers").collect();
            own.truncate(if own.len() == 1 { 1 } else { 0 });
            return own;
        };
        // As `kubectl set image` does: a container's name goes before the name of an image.
        let named: Vec<Container> = all.iter().filter(|c| c.name == from).cloned().collect();
        match named.is_empty() {
            true => all.into_iter().filter(|c| c.image == from || repository(&c.image) == from).collect(),
            false => named,
        }
    }

    /// The same with the image that the trial has put in the place of FROM, if it has.
    pub fn renamed<'a>(&self, mut replaced: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let is_it = |from: &str, old: &str| old == from || repository(old) == from;
        let new = self.change().and_then(|(from, to)| {
            let from = from?;
            let (_, now) = replaced.find(|(old, _)| is_it(from, old))?;
            Some(format!("{now}={to}"))
        });
        Self { workload: self.workload.clone(), image: new.or_else(|| self.image.clone()) }
    }

    /// Gives the containers of an object's template the image.
    pub fn apply(&self, object: &mut Value) {
        let Some((_, to)) = self.change() else { return };
        for Container { list, name, .. } in self.containers(object) {
            let all =
                object.pointer_mut(&format!("/spec/template/spec/{list}")).and_then(Value::as_array_mut);
            for container in all.into_iter().flatten().filter(|container| container["name"] == *name) {
                container["image"] = to.into();
            }
        }
    }

    /// What is done, such as `rollout deployment/shop with shop=shop:next`.
    pub fn title(&self) -> String {
        let of = self.workload.as_ref().map(|of| format!(" {of}")).unwrap_or_default();
        let with = self.image.as_ref().map(|image| format!(" with {image}")).unwrap_or_default();
        format!("rollout{of}{with}")
    }
}

fn in_list(object: &Value, list: &'static str) -> Vec<Container> {
    let found = object.pointer(&format!("/spec/template/spec/{list}")).and_then(Value::as_array);
    let text = |container: &Value, field: &str| container[field].as_str().unwrap_or_default().to_owned();
    let one = |container: &Value| Container {
        list,
        name: text(container, "name"),
        image: text(container, "image"),
    };
    found.into_iter().flatten().map(one).collect()
}

/// Returns an image's name without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        // A colon before a slash is that of a registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(image: &str) -> Vec<(String, String)> {
        let object = serde_json::json!({"spec": {"template": {"spec": {
            "initContainers": [{"name": "migrate", "image": "localhost:5000/shop:dev"}],
            "containers": [{"name": "web", "image": "shop:dev"}, {"name": "shop", "image": "proxy@sha256:0f"}],
        }}}});
        let part = RolloutPart { workload: None, image: Some(image.into()) };
        part.containers(&object).into_iter().map(|c| (c.list.to_owned(), c.name)).collect()
    }

    #[test]
    fn an_image_is_for_a_container_or_for_those_that_run_one() {
        let of = |list: &str, name: &str| vec![(list.to_owned(), name.to_owned())];
        assert_eq!(found("shop=next"), of("containers", "shop"));
        assert_eq!(found("shop:dev=next"), of("containers", "web"));
        assert_eq!(found("localhost:5000/shop=next"), of("initContainers", "migrate"));
        assert_eq!(found("proxy=next"), of("containers", "shop"));
        assert_eq!(found("other=next"), []);
        assert_eq!(found("next"), [], "there are two containers");
    }
}
