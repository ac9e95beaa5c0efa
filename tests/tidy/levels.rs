//! A module imports those of lower levels and its own folder, so that no two folders import each other in a circle.

use std::collections::BTreeMap;

use super::{File, Path, Place, assert_holds, is_word_char, names_file, rust_files};

/// The modules of `src/`, from the lowest level. Those of one level do not import each other.
const LEVELS: [&[&str]; 13] = [
    &["raw::os", "raw::library"],
    &["track", "value"],
    &["sql", "btree", "worker"],
    &["error"],
    &["raw"],
    &["convert", "core", "vfs"],
    &["statement", "faults"],
    &["connection", "sqlite"],
    &["transaction", "ffi", "pages", "print"],
    &["scan", "extend", "data", "schema", "explain"],
    &["pool", "insert"],
    &["observe"],
    &["workspace"],
];

/// Modules without code, which only document.
const GUIDES: [&str; 2] = ["coming_from", "cookbook"];

#[test]
fn modules_import_lower_levels() {
    let exported = exports(&File::read(Path::new("src/lib.rs")));
    let rule = |file: &File| {
        let Some((own, level)) = module(&path_of(file)) else {
            return vec![format!("{}: is on no level", file.path.display())];
        };
        let is_upwards = |place: &Place<'_>| {
            let target = resolve(&exported, place.text);
            module(&target).is_some_and(|(other, its)| other != own && its >= level)
        };
        file.report(imports(file).filter(is_upwards), "is not below this module")
    };
    let is_root = |file: &File| file.path.ends_with("lib.rs") || GUIDES.contains(&&*path_of(file));
    let files: Vec<File> = rust_files("src").into_iter().filter(|file| !is_root(file)).collect();
    let at = |path: &str, text: &str| rule(&File::new(path, text)).len();
    for (path, text) in [
        ("src/value.rs", "use crate::Connection;"),
        ("src/track/counts.rs", "use crate::value::Type;"),
        ("src/raw/os/fork.rs", "use crate::track::shielded;"),
        ("src/statement/rows.rs", "fn f(_: crate::pages::PageRows) {}"),
        ("src/raw/db.rs", "use crate::{Error, core::Core};"),
        ("src/raw/db.rs", "use crate::{\n    error::{Error, ErrorKind},\n    statement::{Rows, Row},\n};"),
        ("src/unknown.rs", ""),
    ] {
        assert_eq!(at(path, text), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("src/value.rs", "//! [`Connection`](crate::Connection)\nuse super::Type;"),
        ("src/pool.rs", "use crate::{Connection, Error};"),
        ("src/track/registry.rs", "use crate::raw::os::fork;\nuse crate::track::counts;"),
        ("src/connection/pragma.rs", "use crate::core::{Core, cache::Cache};\nuse super::Connection;"),
        ("src/raw/db.rs", "let text = \"crate::Connection\";"),
    ] {
        assert_eq!(at(path, text), 0, "{path}: {text}");
    }
    assert_holds(rule, &files, &[], &[]);
}

#[test]
fn each_module_is_on_a_level() {
    let root = File::read(Path::new("src/lib.rs"));
    let declared = root.words().filter(|word| word.text == "mod").map(|word| word.after.trim_start());
    let names = declared.map(|name| name.split(|c| !is_word_char(c)).next().unwrap_or_default());
    let is_code = |name: &&str| !GUIDES.contains(name) && !["readme", "memory_guide"].contains(name);
    let names: Vec<&str> = names.filter(is_code).collect();
    assert!(names.contains(&"raw") && names.contains(&"observe"));
    let missing: Vec<&&str> = names.iter().filter(|name| module(name).is_none()).collect();
    assert!(missing.is_empty(), "on no level: {missing:?}");
    let listed = LEVELS.iter().copied().flatten().map(|module| module.split("::").next().unwrap_or_default());
    let gone: Vec<&str> = listed.filter(|name| !names.contains(name)).collect();
    assert!(gone.is_empty(), "no such modules: {gone:?}");
}

/// ARCHITECTURE.md draws what this table proves.
#[test]
fn the_levels_are_drawn() {
    let drawing = include_str!("../../ARCHITECTURE.md");
    let is_drawn = |module: &str| {
        let path = module.replace("::", "/");
        [format!("{path}/"), format!("{path}.rs")].iter().any(|path| names_file(drawing, path))
    };
    assert!(is_drawn("track") && !is_drawn("tracks"));
    let missing: Vec<&&str> = LEVELS.iter().copied().flatten().filter(|module| !is_drawn(module)).collect();
    assert!(missing.is_empty(), "not in ARCHITECTURE.md: {missing:?}");
}

/// The module of the table that a path belongs to, and its level.
fn module(path: &str) -> Option<(&'static str, usize)> {
    let is_in = |module: &str| path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let all = LEVELS.iter().enumerate().flat_map(|(level, modules)| modules.iter().map(move |module| (*module, level)));
    all.filter(|(module, _)| is_in(module)).max_by_key(|(module, _)| module.len())
}

/// The path of the module in a file: `raw::db` for `src/raw/db.rs`.
fn path_of(file: &File) -> String {
    let path = file.path.with_extension("");
    let parts = path.iter().skip(1).map(|part| part.to_str().unwrap_or_default());
    parts.collect::<Vec<_>>().join("::")
}

/// The paths below `crate::` in the code, those of a group each by itself.
fn imports(file: &File) -> impl Iterator<Item = Place<'_>> {
    file.words().filter(|word| word.text == "crate").flat_map(|word| {
        let after = word.after.strip_prefix("::").unwrap_or_default();
        members(after).into_iter().map(move |text| Place { line: word.line, text })
    })
}

/// The path at the beginning of a text, or the paths of the group there.
fn members(text: &str) -> Vec<&str> {
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c| !is_word_char(c) && c != ':').unwrap_or(text.len());
        return vec![text[..end].trim_end_matches(':')];
    };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(members(group[start..at].trim()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// The names that the root exports, with the modules that they are from.
fn exports(root: &File) -> BTreeMap<String, String> {
    let uses = root.code.split("pub use ").skip(1).map(|text| text.split(';').next().unwrap_or_default());
    let mut exports = BTreeMap::new();
    for text in uses {
        let (module, names) = text.split_once('{').unwrap_or_else(|| text.rsplit_once("::").unwrap_or((text, text)));
        for name in names.split([',', '}']).map(str::trim).filter(|name| !name.is_empty()) {
            exports.insert(name.to_owned(), module.trim_end_matches("::").to_owned());
        }
    }
    assert_eq!(exports["Connection"], "connection");
    exports
}

/// The path without the names that the root exports in place of modules.
fn resolve(exports: &BTreeMap<String, String>, path: &str) -> String {
    let first = path.split("::").next().unwrap_or_default();
    exports.get(first).cloned().unwrap_or_else(|| path.to_owned())
}
