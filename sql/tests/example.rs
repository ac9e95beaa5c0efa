//! The example, run as a program. It is looked for beside this test, where `cargo test` builds it.

use std::env::{consts, current_exe};
use std::process::Command;

#[test]
fn checked_prints_users_and_posts() {
    let this = current_exe().unwrap();
    let program = format!("checked{}", consts::EXE_SUFFIX);
    let path = this.parent().unwrap().with_file_name("examples").join(program);
    assert!(path.exists(), "{} is not there: run `cargo build -p finalite-sql --examples` first", path.display());
    let output = Command::new(path).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let expected = "\
Users and their posts:
  Ada: 1 post (admin)
  Alan: 0 posts
  Grace: 2 posts
All posts:
  Ada: Notes on the engine
  Grace: Nanoseconds
  Grace: A bug
  Alan: nothing yet
The best score is 5.
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
