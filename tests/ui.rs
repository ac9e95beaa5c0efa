//! What the compiler must refuse: one claim per file in `tests/ui`, checked by error code and not by wording.
//!
//! The first line of a case is `//! error[E0597]: why`; `error[-]` stands for an error without a code. A line that ends
//! in `//~ fails` is compiled in the failing form alone, one that ends in `//~ passes` in the passing form alone. There
//! is one of them or one of each, so what is refused is that line and nothing else. A second line `//! says: text` claims
//! that there is one error, of at most 40 lines, and that it names this remedy.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use std::{env, fs, thread};

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn each_claim_is_held_by_one_line() {
    let Some(compiler) = Compiler::find() else {
        return;
    };
    let cases = cases();
    assert!(!cases.is_empty(), "no cases in tests/ui");
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((name, source)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(problem) = compiler.check(name, source) {
                        failures.lock().unwrap().push(format!("{name}: {problem}"));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{} of {} cases:\n\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// The positive control: each broken case is found out, and the sound one beside them is not.
#[test]
fn a_broken_case_is_reported() {
    const HEADER: &str = "//! error[E0384]: assigned once";
    let Some(compiler) = Compiler::find() else {
        return;
    };
    let main = |line: &str| format!("{HEADER}\nfn main() {{\n    let n = 1;\n{line}\n    drop(n);\n}}\n");
    let problem = |name: &str, source: &str| compiler.check(name, source).expect_err("a broken case passed");

    assert_eq!(compiler.check("sound", &main("    n = 2; //~ fails")), Ok(()));
    assert!(problem("harmless", &main("    drop(n); //~ fails")).contains("nothing is refused"));
    assert!(problem("other_code", &main("    n = \"2\"; //~ fails")).contains("E0308"));
    assert!(problem("without_twin", &main("    n = 2; //~ passes")).contains("the passing form is refused"));
    assert!(problem("unmarked", &main("    n = 2;")).contains("marked"));
    assert!(problem("two_lines", &main("    n = 2; //~ fails\n    n = 3; //~ fails")).contains("marked"));
    let says = |text: &str| main("    n = 2; //~ fails").replacen('\n', &format!("\n//! says: {text}\n"), 1);
    assert_eq!(compiler.check("said", &says("cannot assign twice")), Ok(()));
    assert!(problem("unsaid", &says("borrow of moved value")).contains("not one short error"));
    assert!(problem("without_header", "fn main() {}\n").contains("first line"));
}

/// Every case: its claim and its source.
fn cases() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    cases.sort();
    cases
}

/// One form of a case: lines that belong to the other form are empty, so that line numbers are those of the file.
fn form(source: &str, without: &str) -> String {
    let lines = source.lines().map(|line| if line.ends_with(without) { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// `rustc`, and a built finalite that it can read.
struct Compiler {
    rustc: OsString,
    arguments: Vec<OsString>,
    /// Everything that is written; gone with `self`.
    scratch: TempDir,
}

/// An error of the compiler's.
struct Refusal {
    /// Empty if it has none.
    code: String,
    rendered: String,
}

impl Compiler {
    /// Looks where the test itself was built. `None` if a sanitizer makes it impossible to load the library.
    fn find() -> Option<Self> {
        let executable = env::current_exe().unwrap();
        let deps = executable.parent().unwrap();
        let rustflags: Vec<OsString> = env::vars_os()
            .filter(|(name, _)| name.to_string_lossy().ends_with("RUSTFLAGS"))
            .flat_map(|(_, flags)| split_flags(&flags.to_string_lossy()))
            .collect();
        let mut why = format!("libraries tried, in {}:\n", deps.display());
        // A build with `--target` lies in `target/<triple>/<profile>/deps`.
        let triple = deps.ancestors().nth(2).and_then(Path::file_name).unwrap_or_default();
        let cross = [vec!["--target".into(), triple.into()], rustflags.clone()].concat();
        for arguments in [Vec::new(), cross] {
            for library in libraries(deps) {
                let compiler = Self::new(deps, &library, &arguments);
                match compiler.compile("probe", "fn main() { drop(finalite::Connection::open_in_memory()); }") {
                    Ok(()) => return Some(compiler),
                    Err(refusals) => why += &format!("{}: {}", library.display(), rendered(&refusals)),
                }
            }
        }
        let is_sanitized = rustflags.iter().any(|flag| flag.to_string_lossy().contains("sanitizer"));
        assert!(is_sanitized, "rustc cannot use what cargo built; {why}");
        eprintln!("skipped: rustc cannot load a library that is built with a sanitizer; {why}");
        None
    }

    fn new(deps: &Path, library: &Path, arguments: &[OsString]) -> Self {
        let mut all: Vec<OsString> =
            ["--edition=2024", "--crate-type=bin", "--emit=metadata", "--error-format=json"].map(OsString::from).into();
        all.extend(["--cap-lints=allow".into(), "--out-dir=.".into(), "--extern".into(), concat("finalite=", library)]);
        all.extend(["-L".into(), concat("dependency=", deps)]);
        // The tests of `sql/`, too, are run by this file.
        if env!("CARGO_PKG_NAME") == "finalite-sql" {
            let prefix = format!("{}finalite_sql-", env::consts::DLL_PREFIX);
            let macros = newest_first(deps, &prefix, &[env::consts::DLL_EXTENSION]);
            all.extend(macros.iter().take(1).flat_map(|macros| ["--extern".into(), concat("finalite_sql=", macros)]));
        }
        // Where cargo puts the procedural macros of a build with `--target`.
        if let (Some(profile), Some(target)) = (deps.ancestors().nth(1), deps.ancestors().nth(3)) {
            let host = target.join(profile.file_name().unwrap_or_default()).join("deps");
            all.extend(["-L".into(), concat("dependency=", &host)]);
        }
        all.extend_from_slice(arguments);
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        Self { rustc, arguments: all, scratch: tempfile::tempdir().unwrap() }
    }

    /// Whether a case holds, and if not, why.
    fn check(&self, name: &str, source: &str) -> Result<(), String> {
        let header = source.lines().next().unwrap_or_default();
        let code = header.strip_prefix("//! error[").and_then(|rest| rest.split_once("]: "));
        let Some((code, _why)) = code else {
            return Err("the first line is not `//! error[CODE]: why`\n".into());
        };
        let marked = |mark: &str| source.lines().filter(|line| line.ends_with(mark)).count();
        match (marked("//~ fails"), marked("//~ passes")) {
            (0, 1) | (1, 0) | (1, 1) => {}
            (fails, passes) => return Err(format!("{fails} and {passes} lines are marked `fails` and `passes`\n")),
        }
        if let Err(refusals) = self.compile(&format!("{name}-passes"), &form(source, "//~ fails")) {
            return Err(format!("the passing form is refused\n{}", rendered(&refusals)));
        }
        let Err(refusals) = self.compile(&format!("{name}-fails"), &form(source, "//~ passes")) else {
            return Err(format!("nothing is refused, expected {code}\n"));
        };
        let code = if code == "-" { "" } else { code };
        if refusals.iter().any(|refusal| refusal.code != code) {
            return Err(format!("refused with another code than {code}\n{}", rendered(&refusals)));
        }
        let Some(remedy) = source.lines().nth(1).and_then(|line| line.strip_prefix("//! says: ")) else {
            return Ok(());
        };
        match &refusals[..] {
            [one] if one.rendered.contains(remedy) && one.rendered.lines().count() <= 40 => Ok(()),
            _ => Err(format!("not one short error that says {remedy:?}\n{}", rendered(&refusals))),
        }
    }

    fn compile(&self, name: &str, source: &str) -> Result<(), Vec<Refusal>> {
        let directory = self.scratch.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("case.rs"), source).unwrap();
        let output = Command::new(&self.rustc).args(&self.arguments).arg("case.rs").current_dir(&directory).output();
        let output = output.unwrap_or_else(|error| panic!("{} does not start: {error}", self.rustc.display()));
        if output.status.success() {
            return Ok(());
        }
        let diagnostics = String::from_utf8_lossy(&output.stderr);
        let mut refusals: Vec<_> = diagnostics.lines().filter_map(refusal).collect();
        if refusals.is_empty() {
            refusals.push(Refusal { code: "none, rustc failed".into(), rendered: diagnostics.into_owned() });
        }
        Err(refusals)
    }
}

/// What may be the library that this test is linked with, newest first: cargo has built that one after the last change
/// to the sources. Others are of other features or compilers.
fn libraries(deps: &Path) -> Vec<PathBuf> {
    newest_first(deps, "libfinalite-", &["rlib", "rmeta"])
}

/// Files whose names begin and end like this, newest first.
fn newest_first(deps: &Path, prefix: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(deps)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .filter(|path| path.extension().is_some_and(|end| extensions.iter().any(|extension| end == *extension)))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    files.sort_by(|a, b| b.cmp(a));
    files.into_iter().map(|(_, path)| path).collect()
}

/// Flags as cargo takes them from the environment: between blanks, or between unit separators in its encoded form.
fn split_flags(flags: &str) -> Vec<OsString> {
    flags.split([' ', '\u{1f}']).filter(|flag| !flag.is_empty()).map(OsString::from).collect()
}

fn concat(key: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(key);
    argument.push(path);
    argument
}

fn rendered(refusals: &[Refusal]) -> String {
    refusals.iter().map(|refusal| &*refusal.rendered).collect()
}

/// One line of rustc's JSON, if it is an error at a place; "aborting due to an error" is at none.
fn refusal(line: &str) -> Option<Refusal> {
    let diagnostic: Value = serde_json::from_str(line).ok()?;
    let code = diagnostic["code"]["code"].as_str().unwrap_or_default();
    let is_somewhere = diagnostic["spans"].as_array().is_some_and(|spans| !spans.is_empty());
    let is_error = diagnostic["level"] == "error" && (is_somewhere || !code.is_empty());
    is_error
        .then(|| Refusal { code: code.into(), rendered: diagnostic["rendered"].as_str().unwrap_or_default().into() })
}
