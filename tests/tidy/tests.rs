//! Rules about the tests.

use std::path::{Path, PathBuf};

use super::assert_holds;
use super::source::{File, Place, rust_files};

/// The Rust files of all tests.
fn files() -> Vec<File> {
    ["tests", "arrow/tests", "datafusion/tests", "dqlite/tests", "endpoint/tests", "sql/tests", "tokio/tests"]
        .into_iter()
        .flat_map(rust_files)
        .collect()
}

#[test]
fn no_test_file_is_longer_than_800_lines() {
    const LINES_MAX: usize = 800;
    let rule = |file: &File| {
        let lines = file.text.lines().count();
        let excess = (lines > LINES_MAX).then_some(Place { line: lines, text: "the last line" });
        file.report(excess.into_iter(), "is beyond 800 lines")
    };
    assert_holds(rule, &files(), &[&"\n".repeat(LINES_MAX + 1)], &[&"\n".repeat(LINES_MAX)]);
}

/// Without the harness nobody runs a `#[test]`.
#[test]
fn cases_that_run_alone_are_no_tests_of_the_harness() {
    let rule = |file: &File| {
        let words: Vec<_> = file.words().collect();
        let tests = words.into_iter().filter(|word| word.text == "test" && word.after.starts_with(']'));
        file.report(tests, "is run by nobody: list the function in `cases!`")
    };
    assert_holds(
        rule,
        &rust_files("tests/alone"),
        &["#[test]\nfn f() {}", "mod m {\n    #[test]\n    fn f() {}\n}"],
        &["// #[test]\nfn f() {}", "fn test() {}", "#[cfg(test)]\nfn f() {}"],
    );
}

/// A file that no other declares is not compiled, and its tests do not run.
#[test]
fn each_test_file_is_part_of_a_program() {
    let files = files();
    let is_declared = |path: &Path| {
        let (name, parents) = declared_in(path);
        parents.is_empty() || files.iter().filter(|file| parents.contains(&file.path)).any(|file| declares(file, &name))
    };
    assert!(declares(&File::new("tests/it/main.rs", "mod rows;\n#[cfg(unix)]\npub mod fork;"), "fork"));
    assert!(!declares(&File::new("tests/it/main.rs", "// mod fork;\nmod forked; use fork::f;"), "fork"));
    assert!(is_declared(Path::new("tests/it/rows.rs")) && !is_declared(Path::new("tests/it/nowhere.rs")));
    assert!(!is_declared(Path::new("tests/it/params/nowhere.rs")));
    let missing: Vec<String> = files
        .iter()
        // Each of `ui` is a program of its own, which `ui.rs` compiles.
        .filter(|file| {
            !file.path.parent().is_some_and(|folder| folder.ends_with("tests/ui")) && !is_declared(&file.path)
        })
        .map(|file| file.path.display().to_string())
        .collect();
    assert!(missing.is_empty(), "declared by no `mod`: {}", missing.join(", "));
}

/// The name of the module that a file is, and the files that may declare it; none for the root of a program.
fn declared_in(path: &Path) -> (String, Vec<PathBuf>) {
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let directory = path.parent().unwrap();
    let is_root = directory.ends_with("tests") || name == "main" || path.ends_with("common/mod.rs");
    let parents = if is_root {
        Vec::new()
    } else {
        vec![directory.join("main.rs"), directory.join("mod.rs"), directory.with_extension("rs")]
    };
    (name, parents)
}

fn declares(file: &File, module: &str) -> bool {
    let rest = format!(" {module};");
    file.words().any(|word| word.text == "mod" && word.after.starts_with(&rest))
}
