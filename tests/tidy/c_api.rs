//! The functions of SQLite's C interface: each is called, or left out for a reason. `docs/c_api.md` shows it.
//!
//! `UPDATE=1 cargo test --test tidy c_api` writes that file. `C_API_HEADER` names another `sqlite3.h` than that of the
//! lock file, whose functions are looked at alone: `.ci/versions.sh` passes the oldest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::source::{File, files_below, is_word_char, root, rust_files};

/// Reason for which finalite does not call a function. The set is closed: what should be done and is not, is not left
/// out, but lowers the share.
#[derive(Clone, Copy)]
enum Reason {
    /// These do the same: functions of C that are called, or functions of Rust.
    OtherForm(&'static [&'static str]),
    /// A utility for C programs, of which Rust's library has its own.
    RustsOwn,
    /// Unsound or forbidden in a driver (docs/soundness.md).
    Never,
    /// For SQLite itself, its tests, its extensions, or one platform.
    NotForHosts,
}

use Reason::{Never, NotForHosts, OtherForm, RustsOwn};

/// Functions that finalite does not call, with the reason and what to say about it. A name may end in `*`.
const LEFT_OUT: &[(&str, Reason, &str)] = &[
    ("sqlite3_bind_blob", OtherForm(&["sqlite3_bind_blob64"]), ""),
    ("sqlite3_bind_int", OtherForm(&["sqlite3_bind_int64"]), ""),
    ("sqlite3_bind_text sqlite3_bind_text16", OtherForm(&["sqlite3_bind_text64"]), ""),
    ("sqlite3_bind_zeroblob", OtherForm(&["sqlite3_bind_zeroblob64"]), ""),
    ("sqlite3_bind_value", OtherForm(&["sqlite3_bind_int64", "sqlite3_bind_text64"]), "one for each type"),
    ("sqlite3_bind_parameter_index", OtherForm(&["sqlite3_bind_parameter_name"]), "all names are read once"),
    ("sqlite3_carray_bind sqlite3_carray_bind_v2", OtherForm(&["sqlite3_bind_pointer"]), "the table `list`"),
    ("sqlite3_changes", OtherForm(&["sqlite3_changes64"]), ""),
    ("sqlite3_total_changes", OtherForm(&["sqlite3_total_changes64"]), ""),
    ("sqlite3_collation_needed16", OtherForm(&["sqlite3_collation_needed"]), ""),
    (
        "sqlite3_column_blob sqlite3_column_bytes sqlite3_column_double sqlite3_column_int64 sqlite3_column_text \
         sqlite3_column_bytes16 sqlite3_column_text16",
        OtherForm(&["sqlite3_column_value"]),
        "and the functions of its value",
    ),
    (
        "sqlite3_value_bytes16 sqlite3_value_text16 sqlite3_value_text16be sqlite3_value_text16le \
         sqlite3_value_encoding",
        OtherForm(&["sqlite3_value_text"]),
        "it converts to UTF-8",
    ),
    ("sqlite3_column_database_name16", OtherForm(&["sqlite3_column_database_name"]), ""),
    ("sqlite3_column_decltype16", OtherForm(&["sqlite3_column_decltype"]), ""),
    ("sqlite3_column_name16", OtherForm(&["sqlite3_column_name"]), ""),
    ("sqlite3_column_origin_name16", OtherForm(&["sqlite3_column_origin_name"]), ""),
    ("sqlite3_column_table_name16", OtherForm(&["sqlite3_column_table_name"]), ""),
    ("sqlite3_compileoption_used", OtherForm(&["sqlite3_compileoption_get"]), ""),
    ("sqlite3_create_collation sqlite3_create_collation16", OtherForm(&["sqlite3_create_collation_v2"]), ""),
    ("sqlite3_create_function sqlite3_create_function16", OtherForm(&["sqlite3_create_function_v2"]), ""),
    ("sqlite3_create_module", OtherForm(&["sqlite3_create_module_v2"]), ""),
    ("sqlite3_db_status64", OtherForm(&["sqlite3_db_status"]), "newer than the oldest SQLite"),
    ("sqlite3_errcode", OtherForm(&["sqlite3_extended_errcode"]), ""),
    ("sqlite3_errmsg16", OtherForm(&["sqlite3_errmsg"]), ""),
    ("sqlite3_get_table sqlite3_free_table", OtherForm(&["sqlite3_step"]), "SQLite's manual advises against it"),
    ("sqlite3_complete16", OtherForm(&["sqlite3_complete"]), ""),
    ("sqlite3_incomplete", OtherForm(&["sqlite3_complete"]), "newer than the oldest SQLite"),
    (
        "sqlite3_malloc sqlite3_realloc sqlite3_realloc64 sqlite3_msize",
        OtherForm(&["sqlite3_malloc64"]),
        "the allocator itself is finalite's",
    ),
    ("sqlite3_status", OtherForm(&["sqlite3_status64"]), ""),
    ("sqlite3_stmt_scanstatus", OtherForm(&["sqlite3_stmt_scanstatus_v2"]), ""),
    (
        "sqlite3_soft_heap_limit64 sqlite3_hard_heap_limit64",
        OtherForm(&["memory::set_limit"]),
        "the allocator has the limit",
    ),
    ("sqlite3_release_memory", OtherForm(&["sqlite3_db_release_memory"]), "of one connection"),
    ("sqlite3_open sqlite3_open16", OtherForm(&["sqlite3_open_v2"]), ""),
    (
        "sqlite3_prepare sqlite3_prepare16 sqlite3_prepare_v2 sqlite3_prepare16_v2 sqlite3_prepare16_v3",
        OtherForm(&["sqlite3_prepare_v3"]),
        "",
    ),
    ("sqlite3_result_blob", OtherForm(&["sqlite3_result_blob64"]), ""),
    ("sqlite3_result_zeroblob", OtherForm(&["sqlite3_result_zeroblob64"]), ""),
    (
        "sqlite3_result_text sqlite3_result_text16 sqlite3_result_text16be sqlite3_result_text16le sqlite3_result_str",
        OtherForm(&["sqlite3_result_text64"]),
        "",
    ),
    ("sqlite3_result_int", OtherForm(&["sqlite3_result_int64"]), ""),
    (
        "sqlite3_result_error16 sqlite3_result_error_toobig",
        OtherForm(&["sqlite3_result_error"]),
        "its text says what is wrong",
    ),
    (
        "sqlite3_database_file_object",
        OtherForm(&["sqlite3_filename_database"]),
        "a file system finds its own file by the name",
    ),
    ("sqlite3_value_int", OtherForm(&["sqlite3_value_int64"]), ""),
    (
        "sqlite3_db_handle sqlite3_context_db_handle",
        OtherForm(&["sqlite3_open_v2"]),
        "the handle is kept beside what belongs to it",
    ),
    ("sqlite3_stmt_explain", OtherForm(&["sqlite3_prepare_v3"]), "with `EXPLAIN` before the SQL"),
    ("sqlite3_enable_load_extension", OtherForm(&["sqlite3_db_config"]), "without the SQL function"),
    ("sqlite3_setlk_timeout", OtherForm(&["sqlite3_busy_handler"]), "locks that block need a C flag"),
    (
        "sqlite3changeset_apply sqlite3changeset_apply_v3",
        OtherForm(&["sqlite3changeset_apply_v2"]),
        "the third is newer than the oldest SQLite",
    ),
    (
        "sqlite3changeset_apply_strm sqlite3changeset_apply_v3_strm",
        OtherForm(&["sqlite3changeset_apply_v2_strm"]),
        "the third is newer than the oldest SQLite",
    ),
    ("sqlite3changeset_start", OtherForm(&["sqlite3changeset_start_v2"]), ""),
    ("sqlite3changeset_start_v2_strm", OtherForm(&["sqlite3changeset_start_strm"]), ""),
    ("sqlite3changeset_concat sqlite3changeset_concat_strm", OtherForm(&["sqlite3changegroup_add"]), ""),
    (
        "sqlite3changeset_fk_conflicts",
        OtherForm(&["sqlite3changeset_apply_v2"]),
        "its conflict says so; the number is 1",
    ),
    ("sqlite3rebaser_rebase_strm", OtherForm(&["sqlite3rebaser_rebase"]), "bytes are read and checked before"),
    ("sqlite3_get_clientdata sqlite3_set_clientdata", RustsOwn, "a field beside the handle"),
    ("sqlite3_str_*", RustsOwn, "`format!`"),
    ("sqlite3_mprintf sqlite3_snprintf sqlite3_vsnprintf sqlite3_vmprintf", RustsOwn, "`format!`"),
    ("sqlite3_stricmp sqlite3_strnicmp", RustsOwn, "`str::eq_ignore_ascii_case`"),
    ("sqlite3_strglob sqlite3_strlike", RustsOwn, "`GLOB` and `LIKE` in SQL"),
    ("sqlite3_mutex_* sqlite3_db_mutex", RustsOwn, "`std::sync`; connections are opened without a mutex"),
    ("sqlite3_randomness", RustsOwn, "the program's generator"),
    ("sqlite3_sleep", RustsOwn, "`std::thread::sleep`"),
    ("sqlite3_close_v2", Never, "handles would outlive their connection: rule 13"),
    ("sqlite3_next_stmt", Never, "statements are known by a list: rule 13"),
    ("sqlite3_shutdown", Never, "others use the same SQLite: rule 13"),
    ("sqlite3_enable_shared_cache", Never, "connections could not be sent to other threads"),
    (
        "sqlite3_auto_extension sqlite3_cancel_auto_extension sqlite3_reset_auto_extension",
        Never,
        "acts on the connections of others",
    ),
    ("sqlite3session_config", Never, "acts on the sessions of others"),
    ("sqlite3_os_init sqlite3_os_end", NotForHosts, "`sqlite3_initialize` calls them"),
    ("sqlite3_test_control", NotForHosts, "for SQLite's tests"),
    ("sqlite3_win32_*", NotForHosts, "for Windows without a current directory"),
    ("sqlite3_activate_cerod", NotForHosts, "a commercial extension"),
    ("sqlite3_unlock_notify", NotForHosts, "for a shared cache, which is never on"),
    ("sqlite3_log sqlite3_set_errmsg", NotForHosts, "for extensions that speak as SQLite"),
];

/// Least share of the functions that are not left out, in percent. It is raised whenever the share is: the first line of
/// `docs/c_api.md` says how large it is.
const COVERED_MIN: usize = 95;

/// Functions that are neither called nor left out. A function of a newer SQLite that is not listed here fails the test:
/// it is called, left out, or added. One that is called now is taken off the list.
const OPEN: &[&str] = &[
    "sqlite3_result_pointer",
    // Changesets that are made change by change, without a session.
    "sqlite3changegroup_change_begin",
    "sqlite3changegroup_change_blob",
    "sqlite3changegroup_change_double",
    "sqlite3changegroup_change_finish",
    "sqlite3changegroup_change_int64",
    "sqlite3changegroup_change_null",
    "sqlite3changegroup_change_text",
    "sqlite3changegroup_config",
    "sqlite3changegroup_schema",
    // It needs a C flag.
    "sqlite3_normalized_sql",
];

/// A function of the header: the C flags that it needs, and whether it is deprecated.
#[derive(Clone, Debug, Default, PartialEq)]
struct Function {
    flags: Vec<String>,
    is_deprecated: bool,
}

/// A place in finalite: the module of `src/raw` and the function around it.
type Place = (String, String);

#[test]
fn c_api_is_called_or_left_out() {
    let (header, is_other) = header();
    let text = fs::read_to_string(&header).unwrap_or_else(|error| panic!("{}: {error}", header.display()));
    let functions = functions_of(&text);
    assert!(functions.len() > 300, "{}: {} functions", header.display(), functions.len());
    let calls = calls();
    let mut problems = Vec::new();
    for name in functions.keys() {
        let is_open = OPEN.contains(&name.as_str());
        match (calls.get(name), reason(name), is_open) {
            (Some(_), Some(_), _) => problems.push(format!("{name} is left out, and called")),
            (None, None, false) if !functions[name].is_deprecated => {
                problems.push(format!("{name} is neither called nor left out"));
            }
            (_, Some(_), true) => problems.push(format!("{name} is left out, and open")),
            _ => {}
        }
    }
    let public = public_names();
    for (names, reason, _) in LEFT_OUT {
        if !is_other {
            for name in names.split(' ').filter(|name| !functions.keys().any(|known| is_named(known, name))) {
                problems.push(format!("{name} is left out, and no function"));
            }
        }
        if let OtherForm(others) = reason {
            for other in others.iter().filter(|other| !is_there(other, &calls)) {
                problems.push(format!("{other} is said to do what {names} do, and is not called"));
            }
        }
    }
    assert!(problems.is_empty(), "{}:\n{}", header.display(), problems.join("\n"));
    if is_other {
        return;
    }
    let table = Table { version: version_of(&text), functions, calls, public };
    let share = table.share();
    assert!(share >= COVERED_MIN, "{share} % of the functions that are not left out are called");
    let path = root().join("docs/c_api.md");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, table.to_string()).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == table.to_string(), "docs/c_api.md is not what `UPDATE=1 cargo test --test tidy c_api` writes");
}

#[test]
fn c_api_reads_headers_and_calls() {
    let functions = functions_of(
        "/* SQLITE_API int sqlite3_comment(void); */\n\
         #ifdef SQLITE_ENABLE_SESSION\nSQLITE_API int sqlite3session_x(\n  int,\n  int(*x)(void)\n);\n#endif\n\
         typedef int (*sqlite3_typedef)(void);\n\
         struct sqlite3_struct {\n  int (*xMember)(void); SQLITE_API int sqlite3_member(void);\n};\n\
         SQLITE_API SQLITE_DEPRECATED void sqlite3_old(void);\n\
         SQLITE_API SQLITE_EXTERN const char sqlite3_variable[];\n\
         SQLITE_API const char *sqlite3_text(void);\n",
    );
    assert_eq!(functions.keys().collect::<Vec<_>>(), ["sqlite3_old", "sqlite3_text", "sqlite3session_x"]);
    assert_eq!(functions["sqlite3session_x"].flags, ["SQLITE_ENABLE_SESSION"]);
    assert!(functions["sqlite3_old"].is_deprecated && !functions["sqlite3_text"].is_deprecated);
    let mut calls = BTreeMap::new();
    let file = File::new(
        "src/raw/a/b.rs",
        "// sqlite3_comment()\nuse ffi::{\n    sqlite3_imported,\n};\nunsafe extern \"C\" {\n    fn sqlite3_declared();\n}\n\
         fn around() {\n    ffi::sqlite3_called(\"sqlite3_text\")\n}\n\
         #[cfg(test)]\nmod tests {\n    fn test() { sqlite3_tested() }\n}\n",
    );
    add_calls(&file, &mut calls);
    assert_eq!(calls.keys().collect::<Vec<_>>(), ["sqlite3_called"]);
    assert!(calls["sqlite3_called"].contains(&("raw::a::b".to_owned(), "around".to_owned())));
    let mut names = BTreeMap::new();
    let file = File::new(
        "src/a.rs",
        "impl<T> Connection<T> {\n    /// Does.\n    ///\n    /// C: [sqlite3_x](https://sqlite.org/c3ref/x.html)\n    \
         #[must_use]\n    pub fn x(&self) {}\n\n    /// [sqlite3_y](..)\n    fn y() {}\n}\n\n\
         /// [sqlite3_z](..), [sqlite3_x](..)\npub struct Z;\n\n\
         impl Z {\n    #[doc(alias(\"a\", \"sqlite3_w\"))]\n    pub fn w() {}\n}\n",
    );
    add_public_names(&file, &mut names);
    let shown: Vec<_> = names.iter().map(|(name, places)| format!("{name}: {}", join(places))).collect();
    assert_eq!(shown, ["sqlite3_w: Z::w", "sqlite3_x: Connection::x, Z", "sqlite3_z: Z"]);
}

/// Returns the header to read, and whether it is another than that of the lock file.
fn header() -> (PathBuf, bool) {
    if let Some(path) = env::var_os("C_API_HEADER") {
        return (path.into(), true);
    }
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let sys = packages.iter().find(|package| package["name"] == "libsqlite3-sys").unwrap();
    let manifest = Path::new(sys["manifest_path"].as_str().unwrap());
    (manifest.with_file_name("sqlite3").join("sqlite3.h"), false)
}

fn version_of(header: &str) -> String {
    let line = header.lines().find(|line| line.starts_with("#define SQLITE_VERSION ")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

/// Returns the functions of a header. What is within braces is none: a member of a struct.
fn functions_of(header: &str) -> BTreeMap<String, Function> {
    let code = File::new("sqlite3.h", header).code;
    let (mut functions, mut conditions) = (BTreeMap::new(), Vec::new());
    let (mut statement, mut depth) = (String::new(), 0_i32);
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if let Some(directive) = line.trim_start().strip_prefix('#') {
            let mut whole = directive.trim().to_owned();
            while let Some(start) = whole.strip_suffix('\\') {
                whole = format!("{start} {}", lines.next().unwrap_or_default().trim());
            }
            let (word, rest) = whole.split_once(' ').unwrap_or((&whole, ""));
            match word {
                "if" | "ifdef" | "ifndef" => conditions.push((word.to_owned(), rest.to_owned())),
                "endif" => _ = conditions.pop(),
                _ => {}
            }
            continue;
        }
        // `extern "C" {` and its end.
        if conditions.iter().any(|(_, condition)| condition == "__cplusplus") {
            continue;
        }
        for c in line.chars().chain(['\n']) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ';' if depth == 0 => {
                    if let Some((name, is_deprecated)) = declared(&statement) {
                        let flags = conditions.iter().filter(|(word, _)| word != "ifndef");
                        let flags = flags.flat_map(|(_, condition)| condition.split(|c| !is_word_char(c)));
                        let flags =
                            flags.filter(|word| word.starts_with("SQLITE_ENABLE_")).map(str::to_owned).collect();
                        functions.insert(name, Function { flags, is_deprecated });
                    }
                    statement.clear();
                }
                _ if depth == 0 => statement.push(c),
                _ => {}
            }
        }
    }
    functions
}

/// Returns the name of the function that a statement declares, and whether it is deprecated.
fn declared(statement: &str) -> Option<(String, bool)> {
    let declaration = statement.trim().strip_prefix("SQLITE_API")?;
    let head = declaration.split('(').next()?;
    let name = head.rsplit(|c| !is_word_char(c)).find(|word| !word.is_empty())?;
    let is_function = declaration.contains('(') && name.starts_with("sqlite3") && !head.contains("SQLITE_EXTERN");
    is_function.then(|| (name.to_owned(), head.contains("SQLITE_DEPRECATED")))
}

/// Returns the functions of C that the driver calls.
fn calls() -> BTreeMap<String, BTreeSet<Place>> {
    let mut calls = BTreeMap::new();
    for file in files_below("src") {
        if file.path.extension().is_some_and(|extension| extension == "rs" || extension == "c") {
            add_calls(&file, &mut calls);
        }
    }
    calls
}

fn add_calls(file: &File, calls: &mut BTreeMap<String, BTreeSet<Place>>) {
    let module = module_of(&file.path);
    let (mut around, mut is_import) = (String::new(), false);
    for line in file.code.lines() {
        if line.starts_with("mod tests {") {
            break;
        }
        // One that is exported is under another name there.
        is_import |= line.trim_start().starts_with("use ");
        if is_import {
            is_import = !line.ends_with(';');
            continue;
        }
        let declared =
            line.split_once("fn ").map(|(_, rest)| rest.split(|c| !is_word_char(c)).next().unwrap_or_default());
        if let Some(name) = declared
            && !name.starts_with("sqlite3")
            && !name.is_empty()
        {
            name.clone_into(&mut around);
        }
        for word in line.split(|c| !is_word_char(c)).filter(|word| word.starts_with("sqlite3")) {
            // A declaration of finalite's own is no call.
            if declared != Some(word) {
                calls.entry(word.to_owned()).or_default().insert((module.clone(), around.clone()));
            }
        }
    }
}

fn module_of(path: &Path) -> String {
    let path =
        if path.extension().is_some_and(|extension| extension == "rs") { path.with_extension("") } else { path.into() };
    let parts: Vec<_> = path.iter().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
    parts.join("::")
}

/// Returns the items of the public interface whose documentation links a function of C or has its name as an alias.
fn public_names() -> BTreeMap<String, BTreeSet<String>> {
    let mut names = BTreeMap::new();
    rust_files("src").iter().for_each(|file| add_public_names(file, &mut names));
    names
}

fn add_public_names(file: &File, names: &mut BTreeMap<String, BTreeSet<String>>) {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut owner = "";
    for (index, line) in lines.iter().enumerate() {
        if let Some(head) = line.strip_prefix("impl") {
            let head = head.split(" for ").last().unwrap_or(head);
            let head = if head.starts_with('<') { head.split_once("> ").map_or(head, |(_, rest)| rest) } else { head };
            owner = head.trim().split(|c| !is_word_char(c)).next().unwrap_or_default();
        } else if line.starts_with('}') {
            owner = "";
        }
        let linked = line.trim_start().strip_prefix("///").map(|text| words_after(text, '['));
        let alias = line.trim_start().strip_prefix("#[doc(alias").map(|text| words_after(text, '"'));
        let Some(functions) = linked.or(alias).filter(|functions| !functions.is_empty()) else {
            continue;
        };
        let item = lines[index + 1..].iter().map(|line| line.trim_start()).find(|line| {
            let is_above = line.starts_with("///") || line.starts_with('#') || line.starts_with("//");
            !is_above && !line.starts_with(')') && !line.starts_with("note ") && !line.is_empty()
        });
        let Some(item) = item.and_then(|item| item.strip_prefix("pub ")) else {
            continue;
        };
        let words: Vec<&str> = item.split(|c| !is_word_char(c)).filter(|word| !word.is_empty()).collect();
        let kind = words.iter().position(|word| ["fn", "struct", "enum", "trait", "type", "mod"].contains(word));
        let Some(name) = kind.and_then(|kind| words.get(kind + 1)) else {
            continue;
        };
        let name =
            if owner.is_empty() || !line.starts_with(' ') { (*name).to_owned() } else { format!("{owner}::{name}") };
        for function in functions {
            names.entry(function.to_owned()).or_default().insert(name.clone());
        }
    }
}

/// Returns the names of functions that follow a character.
fn words_after(text: &str, before: char) -> Vec<&str> {
    let words = text.split(before).skip(1).map(|rest| rest.trim_start_matches('`'));
    let words = words.map(|rest| rest.split(|c| !is_word_char(c)).next().unwrap_or_default());
    words.filter(|word| word.starts_with("sqlite3")).collect()
}

fn reason(name: &str) -> Option<(Reason, &'static str)> {
    let entry = LEFT_OUT.iter().find(|(names, ..)| names.split(' ').any(|left_out| is_named(name, left_out)));
    entry.map(|(_, reason, words)| (*reason, *words))
}

fn is_named(name: &str, left_out: &str) -> bool {
    match left_out.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == left_out,
    }
}

/// Whether what stands for a function is called, or is a function of Rust.
fn is_there(other: &str, calls: &BTreeMap<String, BTreeSet<Place>>) -> bool {
    match other.rsplit_once("::") {
        None => calls.contains_key(other),
        Some((_, name)) => rust_files("src").iter().any(|file| file.code.contains(&format!("pub fn {name}("))),
    }
}

struct Table {
    version: String,
    functions: BTreeMap<String, Function>,
    calls: BTreeMap<String, BTreeSet<Place>>,
    public: BTreeMap<String, BTreeSet<String>>,
}

impl Table {
    fn called(&self) -> usize {
        self.functions.keys().filter(|name| self.calls.contains_key(*name)).count()
    }

    fn open(&self) -> Vec<&str> {
        let open = self.functions.iter().filter(|(name, function)| {
            !self.calls.contains_key(*name) && reason(name).is_none() && !function.is_deprecated
        });
        open.map(|(name, _)| name.as_str()).collect()
    }

    /// Percentage of what is not left out that is called, rounded down.
    fn share(&self) -> usize {
        100 * self.called() / (self.called() + self.open().len())
    }

    fn row(&self, name: &str, function: &Function) -> String {
        let (how, where_or_why, public) = match (self.calls.get(name), reason(name)) {
            (Some(places), _) => {
                let (module, around) = places
                    .iter()
                    .find(|(module, _)| module.starts_with("raw"))
                    .unwrap_or_else(|| places.iter().next().expect("a called function has a place"));
                let place = if around.is_empty() { module.clone() } else { format!("{module}::{around}") };
                let public = self.public.get(name).map(|names| format!("`{}`", join(names).replace(", ", "`, `")));
                ("called", format!("`{place}`"), public.unwrap_or_default())
            }
            (None, Some((reason, words))) => match reason {
                OtherForm(others) => {
                    let others = format!("`{}`", others.join("`, `"));
                    (
                        "other form",
                        [&others, words]
                            .into_iter()
                            .filter(|part| !part.is_empty())
                            .map(|part| part as &str)
                            .collect::<Vec<_>>()
                            .join(": "),
                        String::new(),
                    )
                }
                RustsOwn => ("Rust's own", words.to_owned(), String::new()),
                Never => ("never", words.to_owned(), String::new()),
                NotForHosts => ("not for hosts", words.to_owned(), String::new()),
            },
            (None, None) if function.is_deprecated => ("deprecated", String::new(), String::new()),
            (None, None) => ("**open**", String::new(), String::new()),
        };
        let flags = function.flags.iter().map(|flag| format!("`{flag}`")).collect::<Vec<_>>().join(", ");
        format!("| `{name}` | {how} | {where_or_why} | {public} | {flags} |")
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (called, open) = (self.called(), self.open());
        let tenths = 1000 * called / (called + open.len());
        let mut text = String::new();
        writeln!(
            text,
            "# The C interface of SQLite {}, and where finalite has it\n\n\
             Of {} functions, {} are left out for the reason that the table gives. Of the other {}, {called} are called: \
             {}.{} %.\n\n\
             Written by `UPDATE=1 cargo test --test tidy c_api`, which also checks it; the reasons are in \
             `tests/tidy/c_api.rs`. A function that is called has its place in `src/raw/`, and the public items whose \
             documentation names it. FTS5's interface is not of functions: `Connection::create_tokenizer` and \
             `Connection::create_fts_function` have it.\n\n\
             | Function | | Where, or why not | Public | C flag |\n|---|---|---|---|---|",
            self.version,
            self.functions.len(),
            self.functions.len() - called - open.len(),
            called + open.len(),
            tenths / 10,
            tenths % 10,
        )?;
        for (name, function) in &self.functions {
            writeln!(text, "{}", self.row(name, function))?;
        }
        f.write_str(&text)
    }
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
