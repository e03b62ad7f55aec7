//! Limits the length of files and functions.

use std::fs;

use syn::visit::{self, Visit};

use super::{files, numbered, root};

/// Maximum number of lines of a function, from `fn` to its closing brace.
const LONGEST: usize = 60;

#[test]
fn no_file_is_longer_than_600_lines() {
    let mut long = Vec::new();
    for dir in ["src", "tests", "scripts", "offline"] {
        for file in files(dir, "") {
            if !file.components().any(|c| {
                c.as_os_str() == "recordings" || c.as_os_str() == "fixtures" || c.as_os_str() == "snapshots"
            }) {
                let lines = numbered(&file).len();
                if lines > 600 {
                    long.push(format!("{} has {lines} lines", file.display()));
                }
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_function_is_longer_than_60_lines() {
    let (mut all, mut long) = (0, Vec::new());
    for file in files("src", "rs") {
        let mut functions = Functions::default();
        functions.visit_file(&syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap());
        all += functions.0.len();
        let shown = file.strip_prefix(root()).unwrap().display();
        for (name, lines) in functions.0.iter().filter(|(_, lines)| *lines > LONGEST) {
            long.push(format!("{shown}: {name} has {lines} lines"));
        }
    }
    assert!(all > 2000, "the files were not understood: {all} functions");
    assert!(long.is_empty(), "functions over {LONGEST} lines:\n{}", long.join("\n"));
}

/// The functions in the code of a file with their lines.
#[derive(Default)]
struct Functions(Vec<(String, usize)>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let (from, to) = (signature.fn_token.span.start().line, body.brace_token.span.close().end().line);
        self.0.push((signature.ident.to_string(), to - from + 1));
    }
}

impl Visit<'_> for Functions {
    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}
