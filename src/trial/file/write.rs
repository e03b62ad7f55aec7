//! Writes the standard trial of manifests as a trial file, to be edited.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::check::name;
use super::{ProbePart, Step};
use crate::trial::probes::{self, Declared};
use crate::trial::{Source, Trial};

/// Returns the text of a trial file that does what `seatrial trial` does with these manifests and images. Every word that
/// comes from the manifests is quoted: a quoted text of JSON is one of YAML, too. `to` is the path of the file: in another
/// folder than the current one, paths become absolute.
///
/// Standard input cannot be read a second time: `-` becomes a comment.
pub fn written(trial: &Trial, sources: &[Source], to: &Path) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text =
        String::from("# The standard trial. `seatrial schema trial` prints the JSON Schema of this file.\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "trial: {}", quoted(trial.name()));
    let _ = writeln!(text, "cluster: {{topology: three}}");
    let images: Vec<String> = trial.images.arguments().map(|image| quoted(&image)).collect();
    let _ = writeln!(text, "images: [{}]", images.join(", "));
    let _ = writeln!(text, "manifests:");
    for source in sources {
        let _ = match source {
            Source::Stdin => writeln!(text, "- command: echo    # the command that wrote the standard input"),
            Source::Path(path) => {
                let is_here = to.parent().is_none_or(|folder| folder.as_os_str().is_empty());
                let whole = std::path::absolute(path).ok().filter(|_| !is_here);
                writeln!(text, "- {}", quoted(&whole.as_ref().unwrap_or(path).display().to_string()))
            }
        };
    }
    let declared = unique(probes::derived(&trial.manifest()));
    // As comments: a derived probe falls back to connections where HTTP is not answered, a declared one does not.
    if !declared.is_empty() {
        let _ = writeln!(
            text,
            "# Derived from the manifests; a probe that is written down takes the place of the derived one."
        );
        let _ = writeln!(text, "#probes:");
    }
    for Declared { name, part } in &declared {
        let (kind, rest) = match part {
            ProbePart::Http(http) => ("http", format!(", path: {}", quoted(&http.path))),
            _ => ("tcp", String::new()),
        };
        let Some((namespace, service, port)) = part.address() else { continue };
        let namespace = namespace.map(|of| format!(", namespace: {}", quoted(of))).unwrap_or_default();
        let port = match port {
            super::Port::Number(number) => number.to_string(),
            super::Port::Name(name) => quoted(name),
        };
        let _ = writeln!(
            text,
            "#  {}: {{{kind}: {{service: {}{namespace}, port: {port}{rest}}}}}",
            quoted(name),
            quoted(service)
        );
    }
    let _ = writeln!(
        text,
        "# A budget replaces the default rules of its probe, such as: {{\"*\": {{longest: 2s, failed: 0.5%}}}}"
    );
    let _ = writeln!(text, "budgets: {{}}");
    let _ = writeln!(text, "# A command of your own: - run: ./smoke.sh");
    let steps: String = trial.chosen_steps().map(line_of).collect();
    let _ = if steps.is_empty() { writeln!(text, "steps: []") } else { write!(text, "steps:\n{steps}") };
    text
}

/// The line of a step that a trial without a file may have.
fn line_of(step: &Step) -> String {
    match step {
        Step::Upgrade(to) => format!("- upgrade: {}\n", serde_json::Value::from(to.as_str())),
        step => format!("- {}\n", name(step)),
    }
}

/// Gives every probe a name of its own: with the namespace, and with a number, if the short name is taken.
fn unique(declared: Vec<Declared>) -> Vec<Declared> {
    let mut taken = BTreeSet::new();
    let named = declared.into_iter().map(|Declared { name, part }| {
        let namespace = part.address().and_then(|address| address.0).map(|of| format!("{of}-{name}"));
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut names = [Some(name.clone()), namespace].into_iter().flatten().chain(numbered);
        let name = names.find(|name| taken.insert(name.clone())).unwrap_or(name);
        Declared { name, part }
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Port, TrialFile, read, standard};
    use super::*;
    use crate::fault::Faults;
    use crate::manifest::Manifest;
    use crate::trial::Images;

    /// The file with its probes written down.
    fn uncommented(text: &str) -> String {
        text.replace("#probes:", "probes:").replace("\n#  ", "\n  ")
    }

    #[test]
    fn services_of_one_name_have_probes_of_their_own() {
        let service = |name: &str, of: &str, ports: &str| {
            format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {of}}}, spec: {{selector: {{app: w}}, ports: [{ports}]}}}}\n---\n\
                 {{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {of}, labels: {{app: w}}}}}}\n---\n"
            )
        };
        let text = [
            service("web", "a", "{port: 80}, {port: 81}"),
            service("web", "b", "{port: 80}"),
            service("web-80", "a", "{port: 1}"),
            service("web", "c", "{port: 80}, {port: 81}"),
        ]
        .concat();
        let trial = Trial::new(Manifest::read("m.yaml", &text).unwrap(), Images::default()).unwrap();
        let text = uncommented(&written(&trial, &[Source::Path("d".into())], Path::new("t.yaml")));
        assert_eq!(read(Path::new("t.yaml"), &text, &Faults::built_in()).unwrap().probes.len(), 6, "{text}");
    }

    #[test]
    fn the_written_file_is_the_standard_trial_and_can_be_read() {
        let text = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: w}, ports: [{port: 80, name: http}, {port: 81}]}}\n---\n\
                    {apiVersion: v1, kind: Service, metadata: {name: db}, spec: {selector: {app: d}, ports: [{port: 3306}]}}\n---\n\
                    {apiVersion: v1, kind: Service, metadata: {name: peers}, spec: {clusterIP: None, selector: {app: d}, ports: [{port: 1}]}}\n---\n\
                    {apiVersion: v1, kind: Pod, metadata: {name: d, labels: {app: d}}, spec: {containers: [{name: c, readinessProbe: {httpGet: {port: 3306, path: /ready}}}]}}\n";
        let images = Images::read(&["a=b: c".to_owned()]).unwrap();
        let trial = Trial::new(Manifest::read("m.yaml", text).unwrap(), images).unwrap();
        let sources = [Source::Path("de ploy/".into()), Source::Stdin];
        let written = written(&trial, &sources, Path::new("t.yaml"));
        let read = |text: &str| -> TrialFile {
            read(Path::new("t.yaml"), text, &Faults::built_in()).unwrap_or_else(|e| panic!("{e}\n{text}"))
        };
        assert_eq!(read(&written).probes.len(), 0);
        let file = read(&uncommented(&written));
        assert_eq!(file.images, ["a=b: c"]);
        assert_eq!(file.steps, standard());
        let probes: Vec<_> =
            file.probes.iter().map(|(name, part)| (name.as_str(), part.address().unwrap())).collect();
        assert_eq!(
            probes,
            [
                ("db", (None, "db", &Port::Number(3306))),
                ("web-80", (Some("shop"), "web", &Port::Number(80))),
                ("web-81", (Some("shop"), "web", &Port::Number(81))),
            ]
        );
        assert!(matches!(&file.probes["db"], ProbePart::Http(http) if http.path == "/ready"));
        assert!(matches!(&file.probes["web-80"], ProbePart::Http(http) if http.path == "/"));
        assert!(matches!(file.probes["web-81"], ProbePart::Tcp(_)));
    }
}
