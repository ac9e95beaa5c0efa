//! Compiles the C allocator shim.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=src/raw/allocator.c");
    println!("cargo::rerun-if-changed=build.rs");
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let mut build = cc::Build::new();
    build.file("src/raw/allocator.c").std("c11").warnings(true).extra_warnings(true);
    if has("BUNDLED") || has("COUNT_SYSTEM_SQLITE") {
        build.define("FINALITE_INSTALL", None);
    }
    if has("FAULT_INJECTION") {
        build.define("FINALITE_FAULT_INJECTION", None);
    }
    build.compile("finalite_allocator");
}
