//! Writes the standard trial of manifests as a trial file, to be edited.

use std::fmt::Write as _;
use std::path::Path;

use super::check::name;
use super::{ProbePart, standard};
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
    let declared = probes::derived(&trial.manifest());
    let _ = writeln!(text, "probes:{}", if declared.is_empty() { " {}" } else { "" });
    for Declared { name, part } in &declared {
        let (kind, rest) = match part {
            ProbePart::Http(http) => ("http", format!(", path: {}", quoted(&http.path))),
            ProbePart::Tcp(_) => ("tcp", String::new()),
        };
        let (namespace, service, port) = part.address();
        let namespace = namespace.map(|of| format!(", namespace: {}", quoted(of))).unwrap_or_default();
        let port = match port {
            super::Port::Number(number) => number.to_string(),
            super::Port::Name(name) => quoted(name),
        };
        let _ = writeln!(
            text,
            "  {}: {{{kind}: {{service: {}{namespace}, port: {port}{rest}}}}}",
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
    let _ = writeln!(text, "steps:");
    for step in standard() {
        let _ = writeln!(text, "- {}", name(&step));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Port, TrialFile, read, standard};
    use super::*;
    use crate::manifest::Manifest;
    use crate::trial::Images;

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
        let file: TrialFile =
            read(Path::new("t.yaml"), &written).unwrap_or_else(|e| panic!("{e}\n{written}"));
        assert_eq!(file.images, ["a=b: c"]);
        assert_eq!(file.steps, standard());
        let probes: Vec<_> = file.probes.iter().map(|(name, part)| (name.as_str(), part.address())).collect();
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
