//! Compiles the C allocator shim, and checks that SQLite has what the features need.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=src/raw/allocator.c");
    println!("cargo::rerun-if-changed=build.rs");
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let mut build = cc::Build::new();
    build.file("src/raw/allocator.c").std("c11").warnings(true).extra_warnings(true);
    if has("BUNDLED") || has("COUNT_SYSTEM_SQLITE") {
        build.define("FINALITE_INSTALL", None);
    }
    if has("LOADABLE_EXTENSION") {
        build.define("FINALITE_LOADABLE", None);
    }
    if has("FAULT_INJECTION") {
        build.define("FINALITE_FAULT_INJECTION", None);
    }
    build.compile("finalite_allocator");
    println!("cargo::rustc-check-cfg=cfg(has_add_change)");
    // docs.rs does not link.
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    if env::var_os("DOCS_RS").is_none() {
        let missing = NEEDED.iter().filter(|(feature, function, _)| has(feature) && lacks(function) == Some(true));
        let (features, flags): (Vec<_>, Vec<_>) =
            missing.map(|(feature, _, flags)| (feature.to_ascii_lowercase().replace('_', "-"), *flags)).unzip();
        // The oldest SQLite lacks it.
        if has("SESSION") && lacks("sqlite3changegroup_add_change") == Some(false) {
            println!("cargo::rustc-cfg=has_add_change");
        }
        if !features.is_empty() {
            let (features, flags) = (features.join(" and "), flags.join(" "));
            println!(
                "cargo::error=SQLite is not compiled for the feature {features}. Compile the system's SQLite with {flags},"
            );
            println!("cargo::error=or the bundled one by two lines in .cargo/config.toml:");
            println!("cargo::error=[env]");
            println!("cargo::error=LIBSQLITE3_FLAGS = \"{flags}\"");
        }
    }
}

/// A function that SQLite has if it is compiled for a feature, and the flags that do so.
const NEEDED: [(&str, &str, &str); 3] = [
    ("SESSION", "sqlite3session_create", "-DSQLITE_ENABLE_SESSION -DSQLITE_ENABLE_PREUPDATE_HOOK"),
    ("SNAPSHOT", "sqlite3_snapshot_get", "-DSQLITE_ENABLE_SNAPSHOT"),
    ("SCAN_STATUS", "sqlite3_stmt_scanstatus_v2", "-DSQLITE_ENABLE_STMT_SCANSTATUS"),
];

/// Whether the SQLite that is linked lacks a function; `None` if that is not known.
fn lacks(function: &str) -> Option<bool> {
    match env::var_os("DEP_SQLITE3_LIB_DIR") {
        Some(dir) => archive(Path::new(&dir)).map(|archive| {
            let name = function.as_bytes();
            !archive.windows(name.len()).any(|bytes| bytes == name)
        }),
        None => links("sqlite3_open_v2")?.then(|| links(function).map(|does| !does))?,
    }
}

/// Returns the bundled library, which has the names of its functions.
fn archive(dir: &Path) -> Option<Vec<u8>> {
    ["libsqlite3.a", "sqlite3.lib"].iter().find_map(|name| fs::read(dir.join(name)).ok())
}

/// Whether a program that calls a function links with the system's SQLite; `None` if there is no such compiler.
fn links(function: &str) -> Option<bool> {
    let compiler = cc::Build::new().try_get_compiler().ok().filter(|compiler| !compiler.is_like_msvc())?;
    let out = PathBuf::from(env::var_os("OUT_DIR")?).join(function);
    let source = out.with_extension("c");
    fs::write(&source, format!("int {function}(void); int main(void) {{ return {function}(); }}")).ok()?;
    let mut command = compiler.to_command();
    command.arg("-o").arg(&out).arg(&source).arg("-lsqlite3");
    command.output().ok().map(|output| output.status.success())
}
