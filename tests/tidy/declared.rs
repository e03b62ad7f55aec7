//! The facts that are declared in the library, read from its source.

use std::path::Path;

use syn::visit::{self, Visit};

/// A fact: `Fact::new("name").was(&[("claim", "former name")])` in a constant.
#[derive(Debug)]
pub struct Declared {
    /// The part that it belongs to, such as `stateless`.
    pub part: String,
    /// The constant: the fact itself, or the group that contains it.
    pub constant: String,
    pub name: String,
    /// The claims with the names that the fact had in logs of schema 1.
    pub former: Vec<(String, String)>,
}

/// Every fact of a `facts.rs` in the folder of judges.
pub fn facts() -> Vec<Declared> {
    let judges = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/judge");
    let mut found = Found::default();
    for entry in std::fs::read_dir(judges).unwrap() {
        let folder = entry.unwrap().path();
        if let Ok(text) = std::fs::read_to_string(folder.join("facts.rs")) {
            found.part = folder.file_name().unwrap().to_string_lossy().into_owned();
            found.visit_file(&syn::parse_file(&text).unwrap());
        }
    }
    found.facts
}

#[derive(Default)]
struct Found {
    part: String,
    constant: String,
    former: Vec<(String, String)>,
    facts: Vec<Declared>,
}

impl Visit<'_> for Found {
    fn visit_item_const(&mut self, item: &syn::ItemConst) {
        self.constant = item.ident.to_string();
        visit::visit_item_const(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &syn::ExprMethodCall) {
        if call.method == "was" {
            let mut texts = Texts::default();
            call.args.iter().for_each(|arg| texts.visit_expr(arg));
            let pairs = texts.0.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            self.former = pairs.collect();
        }
        visit::visit_expr(self, &call.receiver);
    }

    fn visit_expr_call(&mut self, call: &syn::ExprCall) {
        let mut texts = Texts::default();
        call.args.iter().for_each(|arg| texts.visit_expr(arg));
        let [name] = texts.0.as_slice() else { return visit::visit_expr_call(self, call) };
        self.facts.push(Declared {
            part: self.part.clone(),
            constant: self.constant.clone(),
            name: name.clone(),
            former: std::mem::take(&mut self.former),
        });
    }
}

/// The string literals in an expression.
#[derive(Default)]
struct Texts(Vec<String>);

impl Visit<'_> for Texts {
    fn visit_lit_str(&mut self, text: &syn::LitStr) {
        self.0.push(text.value());
    }
}
