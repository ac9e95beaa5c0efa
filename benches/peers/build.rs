//! Compiles the references in C against the header of the SQLite that everything here links.

use std::path::Path;
use std::process::Command;
use std::{env, io};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=src/reference.c");
    let include = env::var("DEP_SQLITE3_INCLUDE")?;
    let mut build = cc::Build::new();
    build.file("src/reference.c").include(include).warnings(true).extra_warnings(true);
    build.try_compile("reference")?;

    let compiler = first_line(&mut build.try_get_compiler()?.to_command())?;
    println!("cargo:rustc-env=C_COMPILER={compiler}");
    let rustc = first_line(&mut Command::new(env::var("RUSTC")?))?;
    println!("cargo:rustc-env=RUST_COMPILER={rustc}");
    println!("cargo:rustc-env=OPTIMIZATION={}", env::var("OPT_LEVEL")?);
    // Cargo tells a build script the profile that a custom one inherits from; its own name is in the path only:
    // <target>/<profile>/build/<package>/out
    let out = env::var("OUT_DIR")?;
    let profile = Path::new(&out).ancestors().nth(3).and_then(Path::file_name).unwrap_or_default();
    println!("cargo:rustc-env=BUILD_PROFILE={}", profile.to_string_lossy());
    Ok(())
}

fn first_line(command: &mut Command) -> io::Result<String> {
    let output = command.arg("--version").output()?.stdout;
    Ok(String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned())
}
