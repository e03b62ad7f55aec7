//! Rebuilds when a file of offline/ is added or removed, because the recipes are compiled in.

fn main() {
    println!("cargo::rerun-if-changed=offline");
}
