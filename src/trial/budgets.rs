//! Outage budgets of the command line: `NAME=longest:2s,failed:0.5%`.

use std::collections::BTreeMap;

use super::file::{BudgetPart, Port, ProbePart};
use super::probes::{self, Declared};
use super::{Trial, TrialError, custom};
use crate::judge::trial::facts::OutageBudget;
use crate::manifest::{Manifest, Object};

impl Trial {
    /// The same trial with these budgets, each as `NAME=longest:2s,failed:0.5%`. NAME is a probe of the trial file, one that
    /// follows from the manifests, or `*` for all others. A budget replaces that of the trial file for the same name.
    ///
    /// # Errors
    /// [`TrialError::Budget`] for a text of another form, for a name that is there twice, and for one that no probe has. With
    /// custom resources, only the cluster knows every Service: then the claims are inconclusive.
    pub fn with_budgets(mut self, texts: &[String]) -> Result<Self, TrialError> {
        let mut given: BTreeMap<&str, OutageBudget> = BTreeMap::new();
        for text in texts {
            let wrong = |why: String| TrialError::Budget { text: text.clone(), why };
            let (name, budget) = read(text)?;
            if given.insert(name, budget).is_some() {
                return Err(wrong(format!("{name} has two budgets")));
            }
            let known = self.probe_names();
            let count = known.iter().filter(|known| *known == name).count();
            if count > 1 {
                return Err(wrong(format!(
                    "{count} probes are called {name}: declare one under another name in a trial file"
                )));
            }
            if name != "*" && count == 0 && custom::declared(&self.manifest, "").is_empty() {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(wrong(format!("no probe is called {name}; the probes: {known}")));
            }
        }
        self.budgets.extend(given.into_iter().map(|(name, budget)| (name.to_owned(), budget)));
        Ok(self)
    }

    /// The names of the declared probes, and those of the derived ones whose port no declared probe asks.
    fn probe_names(&self) -> Vec<String> {
        let derived = self.derived().into_iter().map(|declared| declared.name);
        self.probes.keys().cloned().chain(derived).collect()
    }

    /// The probes that follow from the manifests, without those that a declared probe takes the place of.
    pub(super) fn derived(&self) -> Vec<Declared> {
        let manifest = self.manifest();
        let is_taken = |part: &ProbePart| {
            let (address, number) = (part.address(), port_number(&manifest, part));
            self.probes.values().any(|own| {
                let (Some((of, name, port)), Some((own_of, own_name, own_port))) = (address, own.address())
                else {
                    return false;
                };
                let is_port = own_port == port || number.is_some() && port_number(&manifest, own) == number;
                own_of == of && own_name == name && is_port
            })
        };
        let mut all = probes::derived(&manifest);
        all.retain(|declared| !is_taken(&declared.part));
        all
    }

    /// The name of a derived probe of this port of a Service, if a budget is for that name.
    pub(super) fn budgeted(
        &self,
        own: &str,
        (namespace, service, port): (&str, &str, u16),
    ) -> Option<String> {
        let is_it = |declared: &Declared| {
            declared.part.address().is_some_and(|(of, name, number)| {
                of.unwrap_or(own) == namespace && name == service && *number == Port::Number(port)
            })
        };
        let found = self.derived().into_iter().find(is_it).map(|declared| declared.name);
        found.filter(|name| self.budgets.contains_key(name) && !self.probes.contains_key(name))
    }
}

/// Returns the number of the port that a probe asks, if the manifest has its Service.
fn port_number(manifest: &Manifest, part: &ProbePart) -> Option<i64> {
    let (of, service, port) = part.address()?;
    let name = match port {
        Port::Number(number) => return Some(i64::from(*number)),
        Port::Name(name) => name,
    };
    let is_it = |o: &&Object| o.kind() == "Service" && o.name() == service && o.namespace() == of;
    let ports = manifest.objects().iter().find(is_it)?.body.pointer("/spec/ports")?.as_array()?;
    let found = ports.iter().find(|port| port["name"] == **name);
    found.and_then(|port| port["port"].as_i64()).or_else(|| name.parse().ok())
}

/// Reads one budget.
fn read(text: &str) -> Result<(&str, OutageBudget), TrialError> {
    let wrong = |why: String| TrialError::Budget { text: text.into(), why };
    let parts = text.split_once('=').filter(|(name, rest)| !name.is_empty() && !rest.is_empty());
    let (name, rest) = parts.ok_or_else(|| wrong("it is not NAME=longest:TIME,failed:SHARE".into()))?;
    let mut budget = BudgetPart::default();
    for part in rest.split(',') {
        let (what, value) = part.split_once(':').unwrap_or((part, ""));
        let field = match what.trim() {
            "longest" => &mut budget.longest,
            "failed" => &mut budget.failed,
            _ => return Err(wrong(format!("{part} is neither longest:TIME nor failed:SHARE"))),
        };
        if field.replace(value.trim().to_owned()).is_some() {
            return Err(wrong(format!("{what} is there twice")));
        }
    }
    match budget.flaw() {
        Some((_, why)) => Err(wrong(why)),
        None => Ok((name, budget.read())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Images;

    const SHOP: &str = "{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {selector: {app: s}, ports: [{port: 80}]}}\n---\n\
                        {apiVersion: v1, kind: Pod, metadata: {name: s, labels: {app: s}}}\n";

    fn with(manifest: &str, texts: &[&str]) -> Result<Trial, TrialError> {
        let trial = Trial::new(Manifest::read("m.yaml", manifest).unwrap(), Images::default()).unwrap();
        trial.with_budgets(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_budget_has_a_name_and_one_or_two_limits() {
        let trial = with(SHOP, &["shop=longest:2s,failed:0.5%", "*=longest:1m"]).unwrap();
        let of = |name: &str| (trial.budgets[name].longest, trial.budgets[name].failed);
        assert_eq!((of("shop"), of("*")), ((Some(2.0), Some(0.005)), (Some(60.0), None)));
        assert_eq!(trial.budgeted("own", ("own", "shop", 80)), Some("shop".into()));
        assert_eq!(trial.budgeted("own", ("other", "shop", 80)), None);
    }

    #[test]
    fn a_name_is_that_of_one_probe() {
        let of = |space: &str| {
            let shop = SHOP.replace("{name: shop}", &format!("{{name: shop, namespace: {space}}}"));
            shop.replace("{name: s,", &format!("{{namespace: {space}, name: s,"))
        };
        let both = [of("a"), "\n---\n".into(), of("b")].concat();
        let wrong = with(&both, &["shop=longest:2s"]).unwrap_err().to_string();
        assert!(wrong.contains("2 probes are called shop"), "{wrong}");
        // A probe that is declared by its port's name takes the place of the derived one.
        let named = SHOP.replace("[{port: 80}]", "[{port: 80, name: http}]");
        let manifest = Manifest::read("m.yaml", &named).unwrap();
        let file = "trial: t\nmanifests: [m.yaml]\nprobes: {front: {http: {service: shop, port: http}}}\n";
        let file =
            crate::trial::file::read(std::path::Path::new("t.yaml"), file, &crate::fault::Faults::built_in())
                .unwrap();
        let trial = Trial::of_file(&file, manifest, ".".into()).unwrap();
        assert_eq!(trial.derived(), []);
        let wrong = trial.with_budgets(&["shop=longest:2s".into()]).unwrap_err().to_string();
        assert!(wrong.contains("no probe is called shop; the probes: front"), "{wrong}");
    }

    #[test]
    fn a_wrong_budget_is_named_with_its_reason() {
        for (texts, words) in [
            (&["shop"][..], "it is not NAME=longest:TIME,failed:SHARE"),
            (&["=longest:2s"], "it is not NAME="),
            (&["shop=soon"], "soon is neither longest:TIME nor failed:SHARE"),
            (&["shop=longest:soon"], "soon is not a duration such as 2s"),
            (&["shop=failed:2"], "2 is not a share such as 0.5%"),
            (&["shop=failed:1%,failed:2%"], "failed is there twice"),
            (&["shop=failed:1%", "shop=failed:2%"], "shop has two budgets"),
            (&["front=failed:1%"], "no probe is called front; the probes: shop"),
        ] {
            let error = with(SHOP, texts).unwrap_err().to_string();
            assert!(error.starts_with("--budget ") && error.contains(words), "{texts:?}: {error}");
        }
        // The operator of a custom resource may make the Service.
        let operated =
            format!("{SHOP}---\n{{apiVersion: example.test/v1, kind: Front, metadata: {{name: f}}}}\n");
        with(&operated, &["front=failed:1%"]).unwrap();
    }
}
