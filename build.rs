//! The recipes are compiled in: a new or removed file there has to be noticed.

fn main() {
    println!("cargo::rerun-if-changed=offline");
}
