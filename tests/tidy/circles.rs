//! Checks that no files of the library or of the command line import each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;

use syn::visit::{self, Visit};

use super::{files, root};

/// A file, by the path of its module: `["seatrial", "judge", "object"]`, or `["bin", "show"]`.
type Module = Vec<String>;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let modules: BTreeMap<Module, syn::File> = files("src", "rs")
        .iter()
        .map(|file| (module(file), syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap()))
        .collect();
    let imports: BTreeMap<&Module, BTreeSet<Module>> =
        modules.iter().map(|(module, file)| (module, imported(module, file, &modules))).collect();
    assert!(imports.values().flatten().count() > 500, "the files were not understood");
    let mut circles = Vec::new();
    for (from, all) in &imports {
        for to in all.iter().filter(|to| leads(&imports, to, from)) {
            circles.push(format!("{} imports {}", from.join("::"), to.join("::")));
        }
    }
    assert!(circles.is_empty(), "part of a circle:\n{}", circles.join("\n"));
}

/// Whether one file imports another one, directly or through others.
fn leads(imports: &BTreeMap<&Module, BTreeSet<Module>>, from: &Module, to: &Module) -> bool {
    let (mut seen, mut next) = (BTreeSet::from([from]), VecDeque::from([from]));
    while let Some(module) = next.pop_front() {
        if module == to {
            return true;
        }
        next.extend(imports.get(module).into_iter().flatten().filter(|m| seen.insert(m)));
    }
    false
}

fn module(file: &std::path::Path) -> Module {
    let below = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let mut parts: Module = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    match parts[0].as_str() {
        // `bin/seatrial.rs`
        "bin" => _ = parts.remove(1),
        _ => parts.insert(0, "seatrial".into()),
    }
    parts.pop_if(|last| matches!(last.as_str(), "mod" | "main" | "lib"));
    parts
}

/// Returns the files that a file imports from, except its parent modules and its submodules: they belong together.
fn imported(module: &Module, file: &syn::File, modules: &BTreeMap<Module, syn::File>) -> BTreeSet<Module> {
    let mut paths = Paths::default();
    paths.visit_file(file);
    let whole = |path: Vec<String>| {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let base = match path[0].as_str() {
            "crate" => &module[..1],
            "self" => &module[..],
            "super" => module.get(..module.len() - ups)?,
            "seatrial" => return Some(path),
            _ => return None,
        };
        Some([base, &path[ups.max(1)..]].concat())
    };
    let known = |mut path: Module| {
        while !path.is_empty() && !modules.contains_key(&path) {
            path.pop();
        }
        path
    };
    let all = paths.found.into_iter().filter_map(whole).map(known);
    all.filter(|to| !to.is_empty() && !to.starts_with(module) && !module.starts_with(to)).collect()
}

/// The paths in the code of a file, without its tests.
#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
}

impl Paths {
    fn tree(&mut self, mut before: Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(before, &path.tree);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.tree(before.clone(), tree));
            }
            syn::UseTree::Name(name) => self.found.push([before, vec![name.ident.to_string()]].concat()),
            syn::UseTree::Rename(name) => self.found.push([before, vec![name.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.found.push(before),
        }
    }
}

impl Visit<'_> for Paths {
    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        let is_test = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
        };
        if !item.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.tree(Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        self.found.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}
