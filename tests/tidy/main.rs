//! The style of the repository, rule by rule.
//!
//! A rule is a function from a file to what is wrong with it. Before it reads the repository it is shown files that
//! break it, and must say so, and files that look like it and are sound.

mod c_api;
mod levels;
mod source;
mod tests;

use std::fs;
use std::path::Path;

use source::{File, Place, Word, all_sources, files_below, is_word_char, line_of, names_file, root, rust_files};

/// The files that may be unsafe: SQLite's handles, and the public doors to them.
fn may_be_unsafe(path: &Path) -> bool {
    path.starts_with("src/raw") || path == Path::new("src/raw.rs") || path == Path::new("src/ffi.rs")
}

#[test]
fn unsafe_and_the_c_library_stay_in_raw() {
    let rule = |file: &File| {
        let is_banned = |word: &str| word == "unsafe" || word == "libsqlite3_sys" || word.starts_with("sqlite3_");
        file.report(file.words().filter(|word| is_banned(word.text)), "belongs in src/raw or src/ffi.rs")
    };
    assert_holds(
        rule,
        &rust_files("src").into_iter().filter(|file| !may_be_unsafe(&file.path)).collect::<Vec<_>>(),
        &["fn f() { unsafe { g() } }", "use libsqlite3_sys as c;", "let code = crate::ffi::sqlite3_step(p);"],
        &["#![deny(unsafe_code)]", "/// Not unsafe.\nfn f() {}", "const WORD: &str = \"unsafe\";"],
    );
}

/// A member does without: it is built on the public interface.
#[test]
fn members_forbid_unsafe() {
    let rule = |file: &File| {
        let forbids = file.code.contains("#![forbid(unsafe_code)]");
        let missing = (!forbids).then_some(Place { line: 1, text: "the first line" });
        file.report(missing.into_iter(), "forbids no unsafe code")
    };
    assert_holds(
        rule,
        &[
            "arrow/src/lib.rs",
            "datafusion/src/lib.rs",
            "dqlite/src/lib.rs",
            "endpoint/src/lib.rs",
            "sql/src/lib.rs",
            "tokio/src/lib.rs",
        ]
        .map(|path| File::read(Path::new(path))),
        &["#![deny(unsafe_code)]\nfn f() {}", "// #![forbid(unsafe_code)]"],
        &["//! A member.\n#![forbid(unsafe_code)]"],
    );
}

#[test]
fn no_denied_lint_is_allowed_away() {
    let root = File::read(Path::new("src/lib.rs"));
    let denied: Vec<&str> =
        lint_attributes(&root).filter(|attribute| attribute.level == "deny").flat_map(Lints::names).collect();
    for lint in DENIED {
        assert!(denied.contains(&lint), "src/lib.rs does not deny `{lint}`");
    }
    assert_holds(
        |file| relaxed(file, &denied),
        &rust_files("src"),
        &[
            "#[allow(unsafe_code)]\nmod other;",
            "#![expect(clippy::cast_sign_loss, reason = \"small\")]",
            "#[cfg_attr(test, allow(clippy::undocumented_unsafe_blocks))]",
            "#[warn(\n    dead_code,\n    clippy::multiple_unsafe_ops_per_block\n)]",
            "#[allow(clippy::pedantic)]",
        ],
        &["#[allow(dead_code)]", "let n = n.expect(cast_sign_loss);", "// #[allow(unsafe_code)]"],
    );
}

/// A summary says what something is or does. One that begins with a question word makes the reader find that out.
#[test]
fn doc_summaries_are_statements() {
    assert_holds(
        questions,
        &all_sources(),
        &[
            "/// What is open.",
            "//! How it works.\n",
            "fn f() {}\n\n    /// Where it is.\nfn g() {}",
            "/// Who has it\n/// open.",
        ],
        &[
            "/// Whether it is open.\nfn f() {}",
            "/// The place\n/// Where it is.",
            "// What comes next is no doc comment.",
            "/// Returns\n/// What it has.",
        ],
    );
}

/// The summaries of doc comments that begin with a question word.
fn questions(file: &File) -> Vec<String> {
    const QUESTIONS: [&str; 7] = ["What", "How", "Who", "Whom", "Whose", "Where", "Why"];
    let doc = |line: &str| {
        let line = line.trim_start();
        line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(|text| text.trim_start().to_owned())
    };
    let lines: Vec<Option<String>> = file.text.lines().map(doc).collect();
    let begins = |n: &usize| *n == 0 || lines[n - 1].is_none();
    let summaries = (0..lines.len()).filter(begins).filter_map(|n| Some((n, lines[n].as_deref()?)));
    summaries
        .filter(|(_, text)| QUESTIONS.contains(&text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default()))
        .map(|(n, text)| format!("{}:{}: a summary is a statement: {text}", file.path.display(), n + 1))
        .collect()
}

#[test]
fn raw_exports_no_raw_pointer() {
    assert_holds(
        |file| {
            let is_safe = |item: &Place<'_>| !item.text.contains("unsafe fn");
            let pointers = exported(file).filter(|item| is_safe(item) && names_a_pointer(item.text));
            file.report(pointers, "lets a pointer out of src/raw for safe code")
        },
        &rust_files("src/raw"),
        &[
            "pub(crate) fn handle(&self) -> *mut c_void { self.0 }",
            "pub fn open(\n    path: *const c_char,\n    flags: [u8; 2],\n) -> Db {}",
            "pub(crate) const fn f<T>(p: T)\nwhere\n    T: Into<NonNull<u8>>,\n{}",
            "struct S {\n    pub(crate) map: Map<u8, NonNull<u8>>,\n}",
            "struct S(u8, pub *mut u8);",
            "pub(crate) enum E { A(u8), B(*mut u8) }",
            "pub(crate) trait T { fn f(&self) -> *mut u8; }",
            "pub(crate) type Handle = NonNull<u8>;",
            "struct S {\n    pub(crate) make: fn(u8) -> *mut u8,\n}",
        ],
        &[
            "pub(super) fn handle(&self) -> *mut c_void { self.0 }",
            "pub(crate) struct Db {\n    ptr: NonNull<u8>,\n}",
            "pub(crate) fn f() -> u8 { let p: *mut u8 = g(); 0 }",
            "pub(crate) unsafe fn handle(&self) -> *mut u8 { self.0 }",
            "pub(crate) fn f(p: u8); fn g(p: *mut u8);",
            "pub(crate) const BITS: u32 = 1 << 3;\nfn g(p: *mut u8);",
            "/// Not a `*mut u8`.\npub(crate) fn f(n: u8) -> u8 { n }",
        ],
    );
}

#[test]
fn each_unsafe_block_stands_below_its_proof() {
    assert_holds(
        |file| {
            file.report(unsafe_places(file).filter(|place| proof(file, place.line).is_none()), "has no SAFETY comment")
        },
        &unsafe_files(),
        &[
            "fn f() {\n    unsafe { g() }\n}",
            "// SAFETY: this stands above something else, and says nothing on the next line.\nlet n = 1;\nunsafe { g() }",
            "unsafe impl Send for T {}",
            "// This block has a comment that proves nothing whatever.\nlet n = unsafe {\n    g()\n};",
        ],
        &["// SAFETY: sound.\nlet n = unsafe { g() };", "unsafe extern \"C\" fn f() {}", "// unsafe { g() }"],
    );
}

#[test]
fn each_proof_has_forty_characters() {
    const PROOF_CHARS_MIN: usize = 40;
    let rule = |file: &File| {
        let is_short =
            |place: &Place<'_>| proof(file, place.line).is_some_and(|it| it.chars().count() < PROOF_CHARS_MIN);
        file.report(unsafe_places(file).filter(is_short), "is proved in fewer than 40 characters")
    };
    assert_holds(
        rule,
        &unsafe_files(),
        &["// SAFETY: as above.\nunsafe { g() }", "// SAFETY: fine.\nunsafe impl Send for T {}"],
        &[
            "// SAFETY: the handle is open as long as `self`.\nunsafe { g() }",
            "// SAFETY: the handle is open\n// as long as `self`.\nunsafe { g() }",
        ],
    );
}

/// Proofs and tests name rules that docs/soundness.md has.
#[test]
fn each_proof_cites_its_rules() {
    let rules = include_str!("../../docs/soundness.md");
    let exists = |number: &str| rules.contains(&format!("\n{number}. **"));
    assert!(exists("19") && !exists("99"));
    let rule = |file: &File| {
        let cites = |place: &Place<'_>| {
            let cited = proof(file, place.line).map(|proof| cited_rules(&proof)).unwrap_or_default();
            !cited.is_empty() && cited.iter().all(|number| exists(number))
        };
        file.report(unsafe_places(file).filter(|place| !cites(place)), "cites no rule of docs/soundness.md")
    };
    assert_holds(
        rule,
        &unsafe_files(),
        &[
            "// SAFETY: the handle is open as long as `self`.\nunsafe { g() }",
            "// SAFETY: the handle is open as long as `self` (rule 99).\nunsafe { g() }",
            "// SAFETY: the handle is open as long as `self` (rules 19, 99).\nunsafe { g() }",
        ],
        &[
            "// SAFETY: the handle is open as long as `self` (rule 19).\nunsafe { g() }",
            "// SAFETY: the handle is open (rules 19\n// and 20).\nunsafe { g() }",
        ],
    );
}

/// The numbers after "rule" or "rules", which may go on in the next line.
fn cited_rules(proof: &str) -> Vec<String> {
    let is_of_list = |c: char| c.is_ascii_digit() || " ,/and".contains(c);
    let lists = proof.split("rule").skip(1).map(|part| part.strip_prefix('s').unwrap_or(part));
    let lists = lists.map(|list| &list[..list.find(|c| !is_of_list(c)).unwrap_or(list.len())]);
    let numbers = lists.flat_map(|list| list.split(|c: char| !c.is_ascii_digit()));
    numbers.filter(|number| !number.is_empty()).map(str::to_owned).collect()
}

#[test]
fn nothing_is_just_ffi() {
    let rule = |file: &File| {
        let text = file.text.to_ascii_lowercase();
        let places =
            text.match_indices("just ffi").map(|(offset, text)| Place { line: line_of(&file.text, offset), text });
        file.report(places, "proves nothing")
    };
    assert_holds(rule, &rust_files("src"), &["// SAFETY: this is just FFI."], &["// SAFETY: c3ref/reset.html."]);
}

#[test]
fn the_database_file_is_opened_by_sqlite_alone() {
    // Closing any other descriptor of the file drops the POSIX locks that SQLite holds on it.
    let rule = |file: &File| {
        let is_banned = |word: &str| ["fs", "File", "OwnedFd", "BorrowedFd", "RawFd", "libc"].contains(&word);
        // The type of a file system's files, in a trait.
        let is_of_trait = |word: &Word<'_>| {
            let before = &file.code[..file.code.len() - word.after.len() - word.text.len()];
            word.text == "File" && ["type ", "Self::", "V::"].iter().any(|start| before.ends_with(start))
        };
        let banned = file.words().filter(|word| is_banned(word.text) && !is_of_trait(word));
        file.report(banned, "opens files beside SQLite")
    };
    assert_holds(
        rule,
        // The other one makes files, and opens none that exists.
        &all_sources()
            .into_iter()
            .filter(|file| ![PROCESS, DUMP].iter().any(|own| file.path.ends_with(own)))
            .collect::<Vec<_>>(),
        &[
            "let file = std::fs::File::open(path)?;",
            "use std::{fs, io};",
            "std::fs::OpenOptions::new();",
            "fs::copy(a, b)?;",
            "type File = std::fs::File;",
            "fn open() -> File {}",
        ],
        &[
            "type File = MemoryFile;\nfn open(&self) -> Self::File {}",
            "/// Never through `std::fs`.\nfn open() {}",
            "OpenOptions::new().open(path)?;",
            "let text = \"fs::copy\";",
        ],
    );
}

/// The one file that may read others, and which.
const PROCESS: &str = "process.rs";

/// The file that writes the copy of a database which a node has sent, to files that are not there.
const DUMP: &str = "dqlite/src/dump.rs";

#[test]
fn what_is_read_beside_sqlite_is_the_systems() {
    let opening = ["Path::new(", "read_to_string(", "File::open(", "fs::read("];
    let rule = |file: &File| {
        let calls = opening.iter().flat_map(|call| file.text.match_indices(call));
        let is_other = |&(at, call): &(usize, &str)| !file.text[at + call.len()..].starts_with("\"/proc/self/");
        let places = calls.filter(is_other).map(|(at, text)| Place { line: line_of(&file.text, at), text });
        file.report(places, "may be a database")
    };
    assert_holds(
        rule,
        &rust_files("src").into_iter().filter(|file| file.path.ends_with(PROCESS)).collect::<Vec<_>>(),
        &["std::fs::read_to_string(path)", "Path::new(\"/etc/passwd\").read_dir()", "std::fs::File::open(&path)"],
        &["std::fs::read_to_string(\"/proc/self/status\")", "Path::new(\"/proc/self/fd\").read_dir()"],
    );
}

#[test]
fn what_outlives_its_caller_is_never_called() {
    let rule = |file: &File| {
        let is_banned = |word: &str| {
            ["sqlite3_shutdown", "sqlite3_next_stmt", "sqlite3_config", "exit"].contains(&word)
                || word.ends_with("close_v2")
        };
        file.report(file.words().filter(|word| is_banned(word.text)), "is never called here")
    };
    assert_holds(
        rule,
        &all_sources(),
        &[
            "ffi::sqlite3_shutdown();",
            "ffi::sqlite3_close_v2(db)",
            "while let p = ffi::sqlite3_next_stmt(db, p) {}",
            "std::process::exit(1)",
            "ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC)",
        ],
        &["ffi::sqlite3_db_config(db);", "// `sqlite3_close_v2` would leave a zombie.", "ffi::sqlite3_close(db)"],
    );
}

#[test]
fn what_is_left_to_do_has_an_owner() {
    let mut files = Vec::new();
    for directory in
        ["src", "arrow", "datafusion", "dqlite", "endpoint", "sql", "tokio", "tests", "examples", "benches", ".ci"]
    {
        files.extend(files_below(directory));
    }
    let [todo, fixme] = MARKS;
    assert_holds(
        ownerless,
        &files,
        &[
            &format!("// {todo}: later"),
            &format!("fn f() {{ {}!() }}", todo.to_lowercase()),
            &format!("# {fixme}() now"),
        ],
        &[&format!("// {todo}(#12): later"), &format!("{todo}S"), &format!("// {fixme}(ada): now")],
    );
}

#[test]
fn each_ci_script_is_run_or_explained() {
    let scripts: Vec<String> = files_below(".ci")
        .into_iter()
        .filter(|file| file.path.extension().is_some_and(|extension| extension == "sh"))
        .map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let uncalled = |scripts: &[&str], run: &str, contributing: &str| -> Vec<String> {
        let run: String = run.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let is_named = |script: &str| names_file(&run, script) || names_file(contributing, &format!(".ci/{script}"));
        scripts.iter().filter(|script| !is_named(script)).map(|&script| script.to_owned()).collect()
    };
    assert_eq!(uncalled(&["asan.sh", "san.sh"], ".ci/asan.sh\n# .ci/san.sh", "`.ci/asan.sh`"), ["san.sh"]);
    assert_eq!(uncalled(&["asan.sh", "tsan.sh"], "cd .ci && ./asan.sh", "`.ci/tsan.sh` runs alone"), [""; 0]);

    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_default();
    let scripts: Vec<&str> = scripts.iter().map(String::as_str).collect();
    let uncalled = uncalled(&scripts, &read(".ci/run"), &read("CONTRIBUTING.md"));
    assert!(uncalled.is_empty(), "neither called by .ci/run nor explained in CONTRIBUTING.md: {}", uncalled.join(", "));
}

/// In the last destructors of a thread, which may be the program's, its variables are gone, and what asks for them in
/// another way panics.
#[test]
fn a_threads_variable_may_be_gone() {
    let rule = |file: &File| {
        let names: Vec<&str> = thread_variables(&file.code).collect();
        let is_banned = |word: &Word<'_>| {
            (names.contains(&word.text) && word.after.starts_with('.') && !word.after.starts_with(".try_with("))
                || (word.text == "current" && word.after.starts_with("()") && is_of_thread(file, word))
        };
        let own = file.path.ends_with("track/registry.rs");
        file.report(file.words().filter(|word| is_banned(word) && !own), "may be asked for when it is gone")
    };
    assert_holds(
        rule,
        &all_sources(),
        &[
            "thread_local!(static ID: u8 = 1);\nfn f() { ID.with(|id| *id); }",
            "thread_local! {\n    static ONE: Cell<u8> = const { Cell::new(1) };\n    static TWO: Cell<u8> = const { Cell::new(1) };\n}\nfn f() { TWO.get(); }",
            "fn f() { let name = thread::current().name(); }",
        ],
        &[
            "thread_local!(static ID: u8 = 1);\nfn f() { ID.try_with(|id| *id); }\nstatic OTHER: Mutex<u8> = new();",
            "fn f() { self.current(); OTHER.with(f); }",
        ],
    );
    // The one that may is the one that catches it.
    let registry = File::read(Path::new("src/track/registry.rs"));
    assert_eq!(registry.code.matches("thread::current").count(), 1);
    assert!(registry.code.contains("catch_unwind(thread::current)") && registry.code.contains("CURRENT.try_with("));
}

/// A child process may find it in the hands of a thread that it does not have, and wait for that for ever. `PerProcess`
/// has another for each process, and an atomic no such hands.
#[test]
fn no_lock_is_of_the_whole_process() {
    const LOCKS: [&str; 8] = ["Mutex", "RwLock", "Once", "OnceLock", "LazyLock", "Condvar", "Barrier", "ReentrantLock"];
    let rule = |file: &File| {
        let is_lock = |word: &Word<'_>| {
            let declared = word.after.split(['=', ';']).next().unwrap_or_default();
            let is_lifetime = file.code[..file.code.len() - word.after.len() - word.text.len()].ends_with('\'');
            (word.text == "static" && !is_lifetime)
                && declared.contains(':')
                && declared.split(|c| !is_word_char(c)).any(|word| LOCKS.contains(&word))
        };
        file.report(file.words().filter(is_lock), "may be held at a fork")
    };
    let of_tests = |file: &File| file.path.ends_with("tests.rs");
    assert_holds(
        rule,
        &all_sources().into_iter().filter(|file| !of_tests(file)).collect::<Vec<_>>(),
        &[
            "static ONE: Mutex<u8> = Mutex::new(1);",
            "fn f() {\n    static ONCE: std::sync::Once = Once::new();\n}",
            "static MAP: LazyLock<Map<u8, u8>> = LazyLock::new(Map::new);",
            "static START: OnceLock<Instant> = OnceLock::new();",
        ],
        &[
            "static ONE: PerProcess<Shelf> = PerProcess::new(Shelf::default);",
            "struct S { site: &'static Location<'static>, one: Mutex<u8> }\nfn f(s: &'static S) { s.one.lock(); }",
            "static COUNT: AtomicU64 = AtomicU64::new(0);\nfn f() { Mutex::new(1); }",
        ],
    );
}

/// The names of the variables that a file declares in `thread_local!`.
fn thread_variables(code: &str) -> impl Iterator<Item = &str> {
    code.split("thread_local!").skip(1).flat_map(|after| {
        let close = if after.trim_start().starts_with('(') { ')' } else { '}' };
        let open = if close == ')' { '(' } else { '{' };
        let mut depth = 0;
        let ends = after.find(|c| {
            depth += i32::from(c == open) - i32::from(c == close);
            c == close && depth == 0
        });
        let names = after[..ends.unwrap_or(after.len())].split("static ").skip(1);
        names.filter_map(|name| name.split(|c| !is_word_char(c)).next())
    })
}

fn is_of_thread(file: &File, word: &Word<'_>) -> bool {
    file.code[..file.code.len() - word.after.len() - word.text.len()].ends_with("thread::")
}

#[test]
fn no_file_is_longer_than_a_thousand_lines() {
    const LINES_MAX: usize = 1000;
    let rule = |file: &File| {
        let lines = file.text.lines().count();
        let excess = (lines > LINES_MAX).then_some(Place { line: lines, text: "the last line" });
        file.report(excess.into_iter(), "is beyond 1,000 lines")
    };
    assert_holds(rule, &all_sources(), &[&"\n".repeat(LINES_MAX + 1)], &[&"\n".repeat(LINES_MAX)]);
}

#[test]
fn examples_and_readme_name_no_machine() {
    let rule = |file: &File| {
        let paths = ["/home/", "/root/", "/Users/", "/work/", "/tmp/", "/var/folders/", "C:\\"];
        let places = paths.iter().flat_map(|path| file.text.match_indices(path));
        file.report(
            places.map(|(offset, text)| Place { line: line_of(&file.text, offset), text }),
            "is somebody's machine",
        )
    };
    let mut files = files_below("examples");
    files.extend(files_below("arrow/examples"));
    files.extend(files_below("dqlite/examples"));
    files.extend(files_below("endpoint/examples"));
    files.extend(files_below("sql/examples"));
    files.extend(files_below("tokio/examples"));
    files.extend(
        [
            "README.md",
            "arrow/README.md",
            "datafusion/README.md",
            "dqlite/README.md",
            "endpoint/README.md",
            "sql/README.md",
            "tokio/README.md",
        ]
        .map(|path| File::read(Path::new(path))),
    );
    assert_holds(
        rule,
        &files,
        &["open(\"/home/ada/app.db\")", "cd /work/main", "C:\\Users\\ada"],
        &["open(\"app.db\")", "https://example.org/homepage", "dir.path().join(\"tmp\")"],
    );
}

#[test]
fn what_the_readme_links_to_is_in_the_package() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, include) = manifest.split_once("\ninclude = [").unwrap();
    let (include, _) = include.split_once(']').unwrap();
    let packaged: Vec<&str> = include.split('"').filter_map(|pattern| pattern.strip_prefix('/')).collect();
    let is_packaged = |path: &str| {
        packaged.iter().any(|pattern| match pattern.strip_suffix("**") {
            Some(directory) => path.starts_with(directory),
            None => match pattern.split_once('*') {
                Some((start, end)) => path.starts_with(start) && path.ends_with(end),
                None => *pattern == path,
            },
        })
    };
    let rule = |file: &File| {
        let ends = file.text.match_indices("](").map(|(offset, mark)| offset + mark.len());
        let links = ends.filter_map(|start| {
            let (link, _) = file.text[start..].split_once(')')?;
            let path = link.split('#').next().unwrap_or(link);
            let is_file = !path.is_empty() && !path.contains("://");
            (is_file && !is_packaged(path)).then(|| Place { line: line_of(&file.text, start), text: path })
        });
        file.report(links, "is not in the package: see `include` in Cargo.toml")
    };
    assert_holds(
        rule,
        &[File::read(Path::new("README.md"))],
        &["[Nowhere](NOWHERE.md)", "[Of another package](benches/peers/METHOD.md)", "![Picture](docs/a.png)"],
        &["[Web](https://example.org/NOWHERE.md)", "[Below](#below)", "[Guide](docs/memory.md#limits)"],
    );
}

/// Lints that must be denied at the root, and so cannot be allowed below it.
const DENIED: [&str; 11] = [
    "unsafe_code",
    "unsafe_op_in_unsafe_fn",
    "undocumented_unsafe_blocks",
    "multiple_unsafe_ops_per_block",
    "missing_safety_doc",
    "cast_lossless",
    "cast_possible_truncation",
    "cast_possible_wrap",
    "cast_precision_loss",
    "cast_sign_loss",
    "ptr_as_ptr",
];

/// The one cast that is meant to lose something: a REAL that is read as `f32` is rounded.
const MEANT: (&str, &str) = ("src/convert/number.rs", "cast_possible_truncation");

/// Groups that contain some of them.
const GROUPS: [&str; 5] = ["warnings", "all", "pedantic", "restriction", "style"];

/// Written so that this file does not break its own rule.
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Shows the rule what is broken and what is sound, then lets it read the repository.
fn assert_holds(rule: impl Fn(&File) -> Vec<String>, files: &[File], broken: &[&str], sound: &[&str]) {
    for text in broken {
        assert!(!rule(&File::new("src/broken.rs", text)).is_empty(), "the rule sees nothing wrong with: {text}");
    }
    for text in sound {
        assert_eq!(rule(&File::new("src/sound.rs", text)), [""; 0], "the rule mistakes: {text}");
    }
    let findings: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
}

/// The files that may be unsafe.
fn unsafe_files() -> Vec<File> {
    rust_files("src").into_iter().filter(|file| may_be_unsafe(&file.path)).collect()
}

/// The list of an attribute that sets the level of lints.
struct Lints<'file> {
    line: usize,
    level: &'file str,
    list: &'file str,
    after: &'file str,
}

impl<'file> Lints<'file> {
    fn names(self) -> impl Iterator<Item = &'file str> {
        self.list.split(|c| !is_word_char(c)).filter(|name| !["", "clippy", "reason"].contains(name))
    }
}

fn lint_attributes(file: &File) -> impl Iterator<Item = Lints<'_>> {
    file.words().filter(|word| ["allow", "expect", "warn", "deny"].contains(&word.text)).filter_map(|word| {
        let before = &file.code[..file.code.len() - word.after.len() - word.text.len()];
        let is_method = before.trim_end().ends_with('.');
        let (list, after) = word.after.strip_prefix('(')?.split_once(')')?;
        (!is_method).then_some(Lints { line: word.line, level: word.text, list, after })
    })
}

/// Attributes that lower the level of what the root denies. The one that lets `raw` be unsafe is allowed.
fn relaxed(file: &File, denied: &[&str]) -> Vec<String> {
    let is_the_fence = |lints: &Lints<'_>| {
        let opens_raw = lints.after.trim_start().strip_prefix(']').is_some_and(|after| {
            ["mod raw;", "pub mod ffi;"].iter().any(|module| after.trim_start().starts_with(module))
        });
        file.path == Path::new("src/lib.rs") && lints.list == "unsafe_code" && opens_raw
    };
    lint_attributes(file)
        .filter(|lints| lints.level != "deny" && !is_the_fence(lints))
        .flat_map(|lints| {
            let line = lints.line;
            lints.names().map(move |text| Place { line, text })
        })
        .filter(|place| denied.contains(&place.text) || GROUPS.contains(&place.text))
        .filter(|place| (file.path.as_path(), place.text) != (Path::new(MEANT.0), MEANT.1))
        .flat_map(|place| file.report(std::iter::once(place), "is denied at the root"))
        .collect()
}

/// What others can name and use: signatures, types and fields that are `pub` or `pub(crate)`, bodies of enums and
/// traits.
fn exported(file: &File) -> impl Iterator<Item = Place<'_>> {
    file.words().filter(|word| word.text == "pub").filter_map(|word| {
        let item = word.after.strip_prefix("(crate)").unwrap_or(word.after);
        if item.starts_with('(') {
            return None;
        }
        let words = || item.split(|c| !is_word_char(c)).filter(|word| !word.is_empty());
        let is_fn = words()
            .take_while(|word| ["const", "async", "unsafe", "extern", "fn"].contains(word))
            .any(|word| word == "fn");
        let len = match words().next()? {
            _ if is_fn => end(item, &['{', ';']),
            "type" => end(item, &[';']),
            "static" | "const" => end(item, &['=', ';']),
            "enum" | "trait" => block_end(item),
            "struct" | "union" | "mod" | "use" => return None,
            _ => end(item, &[',', ')', '}', ';']),
        };
        Some(Place { line: word.line, text: &item[..len] })
    })
}

/// Where the first of these stands that is outside of all brackets.
fn end(item: &str, stops: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (offset, c) in item.char_indices() {
        match c {
            _ if depth == 0 && stops.contains(&c) => return offset,
            '(' | '[' | '<' => depth += 1,
            '>' if before == '-' => {}
            ')' | ']' | '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
    }
    item.len()
}

/// Where the block ends that the item opens.
fn block_end(item: &str) -> usize {
    let mut depth = 0_usize;
    for (offset, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return offset,
            '}' => depth -= 1,
            _ => {}
        }
    }
    item.len()
}

fn names_a_pointer(item: &str) -> bool {
    let is_non_null = item.split(|c| !is_word_char(c)).any(|word| word == "NonNull");
    is_non_null || item.contains("*mut ") || item.contains("*const ")
}

/// Where something unsafe is done or promised.
fn unsafe_places(file: &File) -> impl Iterator<Item = Place<'_>> {
    file.words().filter(|word| word.text == "unsafe").filter_map(|word| {
        let after = word.after.trim_start();
        (after.starts_with('{') || after.starts_with("impl")).then_some(Place { line: word.line, text: word.text })
    })
}

/// The SAFETY comment that ends on the line before this one, in one line.
fn proof(file: &File, line: usize) -> Option<String> {
    let code: Vec<&str> = file.code.lines().take(line - 1).collect();
    let comments: Vec<&str> = file.comments.lines().take(line - 1).map(str::trim).collect();
    let is_comment = |&(comment, code): &(&&str, &&str)| !comment.is_empty() && code.trim().is_empty();
    let len = comments.iter().zip(&code).rev().take_while(is_comment).count();
    let lines = &comments[comments.len() - len..];
    let start = lines.iter().rposition(|line| line.starts_with("// SAFETY:"))?;
    Some(lines[start..].join(" "))
}

/// Marks of unfinished work that name neither an issue nor a person.
fn ownerless(file: &File) -> Vec<String> {
    let todo_macro = format!("{}!", MARKS[0].to_lowercase());
    let macros = file.text.match_indices(&*todo_macro).map(|(offset, text)| (offset, text, false));
    let marks = MARKS.iter().flat_map(|mark| file.text.match_indices(*mark)).map(|(offset, text)| {
        let owner = file.text[offset + text.len()..].strip_prefix('(').and_then(|after| after.split_once(')'));
        (offset, text, owner.is_some_and(|(owner, _)| !owner.is_empty()))
    });
    let is_word = |offset: usize, text: &str| {
        let (before, after) = (&file.text[..offset], &file.text[offset + text.len()..]);
        !before.ends_with(is_word_char) && !after.starts_with(is_word_char)
    };
    let ownerless = macros.chain(marks).filter(|&(offset, text, is_owned)| !is_owned && is_word(offset, text));
    file.report(ownerless.map(|(offset, text, _)| Place { line: line_of(&file.text, offset), text }), "has no owner")
}
