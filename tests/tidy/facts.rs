//! Checks that every fact has a unique name, is observed by a story and is read by a judge.

use std::collections::BTreeSet;
use std::fs;

use syn::visit::{self, Visit};

use super::declared::{self, Declared};
use super::{files, root};

#[test]
fn no_two_facts_of_a_part_have_one_name() {
    let facts = declared::facts();
    assert!(facts.len() > 120, "the files were not understood: {facts:#?}");
    let (mut names, mut former) = (BTreeSet::new(), BTreeSet::new());
    for fact in &facts {
        assert!(names.insert((&fact.part, &fact.name)), "{} twice in {}", fact.name, fact.part);
        for pair in &fact.former {
            assert!(former.insert(pair), "{pair:?} has become two facts");
        }
    }
    // Any story may observe this one.
    let versions = facts.iter().filter(|fact| fact.name == "cluster_versions").count();
    assert_eq!(versions, 1);
}

#[test]
fn every_fact_is_observed_by_a_story_and_read_by_a_judge() {
    let facts = declared::facts();
    let of_suites = |file: &&str| {
        ["src/suite", "src/trial", "src/watch", "src/scenario.rs"].iter().any(|part| file.starts_with(part))
    };
    let of_judges = |file: &&str| file.starts_with("src/judge") && !file.ends_with("/facts.rs");
    let (observed, read) = (used(of_suites), used(of_judges));
    let idle = |used: &BTreeSet<(String, String)>| -> Vec<String> {
        let unused = |fact: &&Declared| !used.contains(&(fact.part.clone(), fact.constant.clone()));
        facts.iter().filter(unused).map(|fact| format!("{} of {}", fact.constant, fact.part)).collect()
    };
    assert_eq!(idle(&observed), Vec::<String>::new(), "observed by no story");
    assert_eq!(idle(&read), Vec::<String>::new(), "read by no judge");
}

/// The constants of facts that these files use, each with its part.
fn used(of: impl Fn(&&str) -> bool) -> BTreeSet<(String, String)> {
    let mut used = BTreeSet::new();
    for file in files("src", "rs") {
        let shown = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        if !of(&shown.as_str()) {
            continue;
        }
        let mut paths = Paths::default();
        paths.visit_file(&syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap());
        // A judge uses the facts of its own folder or file; a story imports the facts of a module.
        let own = shown.strip_prefix("src/judge/").map(|rest| rest.split(['/', '.']).next().unwrap_or(rest));
        let part = own.map(str::to_owned).or(paths.part).unwrap_or_default();
        used.extend(paths.of_module.into_iter().map(|constant| (part.clone(), constant)));
        used.extend(paths.alone);
    }
    used
}

#[derive(Default)]
struct Paths {
    /// The submodule of `judge` whose facts are imported as a module.
    part: Option<String>,
    /// Constants of that module.
    of_module: BTreeSet<String>,
    /// Constants that are imported alone, each with its part.
    alone: BTreeSet<(String, String)>,
}

impl Paths {
    fn import(&mut self, before: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                let ident = path.ident.to_string();
                self.import(&[before, &[ident]].concat(), &path.tree);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(before, tree)),
            syn::UseTree::Name(name) => {
                let path = [before, &[name.ident.to_string()]].concat();
                match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                    [.., part, "facts"] | [.., part, "facts", "self"] => self.part = Some((*part).to_owned()),
                    [.., part, "facts", one] => _ = self.alone.insert(((*part).into(), (*one).into())),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

impl Visit<'_> for Paths {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.import(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let [.., module, constant] = segments.as_slice()
            && module == "facts"
        {
            self.of_module.insert(constant.clone());
        }
        visit::visit_path(self, path);
    }
}
