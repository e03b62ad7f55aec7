//! Writes switches into a source text, by the kind of mutant. No code is repeated, because an expression inside a
//! switch may have switches of its own.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{BinOp, Expr, UnOp};

use crate::Mutant;
use crate::source::Source;

/// A switch, and its byte range in the new text.
pub struct Place {
    pub mutant: usize,
    pub range: Range<usize>,
}

/// A piece of the old text, with the text that goes around it and replaces a part of it.
struct Edit {
    mutants: Vec<usize>,
    range: Range<usize>,
    before: String,
    after: String,
    /// The part of the piece that is replaced, and its replacement.
    replaced: Option<(Range<usize>, String)>,
}

/// Returns the text of a file with its switches, and their places. A mutant without a place has no switch.
pub fn switch(source: &Source, mutants: &[(usize, &Mutant)]) -> (String, Vec<Place>) {
    let mut by_start: BTreeMap<usize, Vec<(usize, &Mutant)>> = BTreeMap::new();
    for (id, mutant) in mutants {
        by_start.entry(source.offset(mutant.span.start)).or_default().push((*id, mutant));
    }
    let mut finder = Finder { source, by_start, edits: Vec::new(), has_rest: Vec::new() };
    finder.functions();
    if let Some(tree) = &source.tree {
        finder.visit_file(tree);
    }
    write(&source.text, finder.edits)
}

struct Finder<'s> {
    source: &'s Source,
    by_start: BTreeMap<usize, Vec<(usize, &'s Mutant)>>,
    edits: Vec<Edit>,
    /// For each enclosing `match`: whether an arm matches everything, so that other arms can be left out.
    has_rest: Vec<bool>,
}

impl Finder<'_> {
    fn range(&self, node: &impl Spanned) -> Range<usize> {
        let span = node.span();
        self.source.at(span.start())..self.source.at(span.end())
    }

    /// Returns the mutants of a kind that begin at this byte.
    fn of(&self, start: usize, genre: &str) -> Vec<(usize, &Mutant)> {
        let here = self.by_start.get(&start).into_iter().flatten();
        here.filter(|(_, m)| m.genre == genre).map(|(id, m)| (*id, *m)).collect()
    }

    /// Adds early returns of other values at the beginning of functions. Iterators are left out: their type would differ.
    fn functions(&mut self) {
        for (start, mutants) in &self.by_start {
            for (id, mutant) in mutants.iter().filter(|(_, m)| m.genre == "FnValue") {
                if mutant.replacement.contains("::std::iter::") {
                    continue;
                }
                let value = format!("if crate::mutant({id}) {{ return {}; }} ", mutant.replacement);
                self.edits.push(Edit {
                    mutants: vec![*id],
                    range: *start..*start,
                    before: value,
                    after: String::new(),
                    replaced: None,
                });
            }
        }
    }

    fn edit(&mut self, ids: Vec<usize>, range: Range<usize>, before: &str, after: &str) {
        self.edits.push(Edit {
            mutants: ids,
            range,
            before: before.into(),
            after: after.into(),
            replaced: None,
        });
    }

    fn binary(&mut self, node: &syn::ExprBinary) {
        let (range, op) = (self.range(node), self.range(&node.op));
        let mutants = self.of(op.start, "BinaryOperator");
        let Some((id, _)) = mutants.first().copied() else { return };
        let ids: Vec<usize> = mutants.iter().map(|m| m.0).collect();
        let others = |left: &str, right: &str| -> String {
            let one = |(id, m): &(usize, &Mutant)| {
                format!("if crate::mutant({id}) {{ {left} {} {right} }} else ", m.replacement)
            };
            mutants.iter().map(one).collect()
        };
        let operator = &self.source.text[op.clone()];
        let (before, between, after) = match node.op {
            BinOp::And(_) | BinOp::Or(_) => {
                if has_let(&node.left) || has_let(&node.right) || mutants.len() > 1 {
                    return;
                }
                let same = if matches!(node.op, BinOp::And(_)) { "!=" } else { "==" };
                let between = format!("; if left_ {same} crate::mutant({id}) {{ ");
                ("({ let left_: bool = ".into(), between, " } else { left_ } })".into())
            }
            BinOp::Eq(_) | BinOp::Ne(_) if mutants.len() == 1 => {
                ("((".into(), operator.to_string(), format!(") ^ crate::mutant({id}))"))
            }
            BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_) => {
                let after = format!(")) {{ (l, r) => {}{{ l {operator} r }} }})", others("l", "r"));
                ("(match (&(".to_string(), "), &(".into(), after)
            }
            BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::BitAndAssign(_) => {
                let after = format!("; {}{{ *left_ {operator} right_ }} }}", others("*left_", "right_"));
                ("{ let left_ = &mut ".to_string(), "; let right_ = ".into(), after)
            }
            BinOp::Add(_)
            | BinOp::Sub(_)
            | BinOp::Mul(_)
            | BinOp::Div(_)
            | BinOp::Rem(_)
            | BinOp::BitXor(_)
            | BinOp::BitAnd(_)
            | BinOp::BitOr(_)
            | BinOp::Shl(_)
            | BinOp::Shr(_) => {
                let after = format!(")) {{ (l, r) => {}{{ l {operator} r }} }})", others("l", "r"));
                ("(match ((".to_string(), "), (".into(), after)
            }
            _ => return,
        };
        self.edits.push(Edit { mutants: ids, range, before, after, replaced: Some((op, between)) });
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        self.binary(node);
        syn::visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        let range = self.range(node);
        if let Some((id, _)) = self.of(range.start, "UnaryOperator").first().copied() {
            let op = self.range(&node.op);
            match node.op {
                UnOp::Not(_) => self.edit(vec![id], range, "(", &format!(" ^ crate::mutant({id}))")),
                UnOp::Neg(_) => self.edits.push(Edit {
                    mutants: vec![id],
                    range,
                    before: "({ let v = ".into(),
                    after: format!("; if crate::mutant({id}) {{ v }} else {{ -v }} }})"),
                    replaced: Some((op, String::new())),
                }),
                _ => {}
            }
        }
        syn::visit::visit_expr_unary(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast syn::ExprMatch) {
        let takes_all = |arm: &syn::Arm| match &arm.pat {
            syn::Pat::Wild(_) => arm.guard.is_none(),
            syn::Pat::Ident(name) => {
                let is_binding = name.ident.to_string().starts_with(|c: char| c.is_lowercase());
                is_binding && name.subpat.is_none() && arm.guard.is_none()
            }
            _ => false,
        };
        self.has_rest.push(node.arms.iter().any(takes_all));
        syn::visit::visit_expr_match(self, node);
        self.has_rest.pop();
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        let start = self.range(node).start;
        let gone = self.of(start, "MatchArm").first().map(|m| m.0);
        match &node.guard {
            Some((_, guard)) if !has_let(guard) => {
                let range = self.range(guard);
                let (mut before, mut after, mut ids) = ("((".to_string(), "))".to_string(), Vec::new());
                for (id, mutant) in self.of(range.start, "MatchArmGuard") {
                    ids.push(id);
                    match mutant.replacement.as_str() {
                        "true" => before = format!("(crate::mutant({id}) || ("),
                        _ => after.push_str(&format!(" && !crate::mutant({id})")),
                    }
                }
                if let Some(id) = gone {
                    ids.push(id);
                    after.push_str(&format!(" && !crate::mutant({id})"));
                }
                if !ids.is_empty() {
                    self.edit(ids, range, &before, &after);
                }
            }
            None => {
                if let Some(id) = gone.filter(|_| self.has_rest.last() == Some(&true)) {
                    let range = self.range(&node.pat);
                    self.edit(vec![id], range, "", &format!(" if !crate::mutant({id})"));
                }
            }
            Some(_) => {}
        }
        syn::visit::visit_arm(self, node);
    }
}

/// Whether an expression has a `let` binding, which no other expression may surround.
fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(node) => has_let(&node.left) || has_let(&node.right),
        _ => false,
    }
}

/// Applies the edits to the text. An outer edit begins before and ends after its inner edits.
fn write(text: &str, mut edits: Vec<Edit>) -> (String, Vec<Place>) {
    edits.sort_by_key(|e| (e.range.start, std::cmp::Reverse(e.range.end)));
    // Early returns of functions come before all edits that begin at the same byte.
    edits.sort_by_key(|e| (e.range.start, !e.range.is_empty()));
    let mut events: Vec<(usize, u8, usize, String, Option<usize>)> = Vec::new();
    for (order, edit) in edits.iter().enumerate() {
        // Order at one byte: ends of inner edits, ends of outer edits, replaced parts, beginnings.
        if edit.range.is_empty() {
            events.push((edit.range.start, 2, order, edit.before.clone(), None));
            continue;
        }
        events.push((edit.range.start, 2, order, edit.before.clone(), None));
        events.push((edit.range.end, 0, usize::MAX - order, edit.after.clone(), None));
        if let Some((part, by)) = &edit.replaced {
            let kind = if part.start == edit.range.start { 3 } else { 1 };
            events.push((part.start, kind, order, by.clone(), Some(part.end)));
        }
    }
    events.sort_by_key(|e| (e.0, e.1, e.2));
    let (mut out, mut at, mut begun) = (String::new(), 0, vec![0; edits.len()]);
    let mut places = Vec::new();
    for (byte, kind, order, new, skip) in events {
        if byte > at {
            out.push_str(&text[at..byte]);
            at = byte;
        }
        let index = if kind == 0 { usize::MAX - order } else { order };
        if kind == 2 {
            begun[index] = out.len();
        }
        out.push_str(&new);
        if kind == 0 || edits[index].range.is_empty() {
            let range = begun[index]..out.len();
            places.extend(edits[index].mutants.iter().map(|m| Place { mutant: *m, range: range.clone() }));
        }
        if let Some(end) = skip {
            at = end;
        }
    }
    out.push_str(&text[at..]);
    (out, places)
}
