//! Tests that have a process to themselves: they listen to events, or compare what the whole process holds.
//!
//! `tracing` asks each place that sends an event once who wants it, and a listener that comes just while another thread
//! is at such a place can miss what is sent there from then on.

use std::env;
use std::process::Command;

/// In the process that the test is to itself in.
const HERE: &str = "FINALITE_TEST_ALONE";

/// Goes on in a process of the test's own: here the test is that the process succeeds.
macro_rules! alone {
    () => {{
        fn here() {}
        if !$crate::alone::is_alone(std::any::type_name_of_val(&here)) {
            return;
        }
    }};
}
pub(crate) use alone;

/// Whether this is the process of a test's own.
pub fn is_here() -> bool {
    env::var_os(HERE).is_some()
}

/// Whether this is the process of the test's own. If not, runs it: `here` is the path of a function in the test.
pub fn is_alone(here: &str) -> bool {
    if is_here() {
        return true;
    }
    // The crate's name is not part of a test's.
    let test = here.strip_suffix("::here").and_then(|path| path.split_once("::")).map(|(_, test)| test);
    let test = test.unwrap_or_else(|| panic!("`{here}` is in no test"));
    let run = Command::new(env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]).env(HERE, "1").output();
    let run = run.unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{test}: {}\n{said}{}",
        run.status,
        String::from_utf8_lossy(&run.stderr)
    );
    false
}

#[test]
fn one_that_fails_is_seen() {
    let failed = std::panic::catch_unwind(|| is_alone("it::alone::fails_where_it_is_alone::here"));
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("fails_where_it_is_alone") && message.contains("on purpose"), "{message}");
    // Nor is one that does not run taken for one that passes.
    assert!(std::panic::catch_unwind(|| is_alone("it::alone::no_such_test::here")).is_err());
}

#[test]
fn fails_where_it_is_alone() {
    assert!(!is_here(), "on purpose");
}
