#!/usr/bin/env bash
# What docs/policies.md promises about dependencies and features: licences, sources, one version of each package, known
# vulnerabilities; the oldest Rust; each pair of features compiles without a warning. Installs cargo-deny and cargo-hack
# where they are missing.
. "$(dirname "$0")/common.sh"
for tool in cargo-deny cargo-hack; do
    command -v "$tool" > /dev/null || cargo install --quiet --locked "$tool"
done
say "licences, sources, versions"
cargo deny --workspace check bans licenses sources
say "vulnerabilities"
if git ls-remote --quiet --exit-code https://github.com/RustSec/advisory-db HEAD > /dev/null 2>&1; then
    cargo deny --workspace check advisories
else
    echo "the database of RustSec cannot be reached: not checked"
fi
say "the oldest Rust"
oldest="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
rustup toolchain install --profile minimal "$oldest"
DOCS_RS=1 CARGO_TARGET_DIR="$(target_dir policies)" cargo "+$oldest" check --workspace --exclude finalite-benches \
    --features "$DOCUMENTED"
say "pairs of features"
# Others need flags of SQLite or OpenSSL (`.ci/extended.sh`), or a SQLite that loads them (`.ci/extension.sh`).
CARGO_TARGET_DIR="$(target_dir policies)" RUSTFLAGS="-D warnings" \
    cargo hack check --quiet -p finalite --no-dev-deps --feature-powerset --depth 2 \
    --exclude-features session,snapshot,scan-status,sqlcipher,loadable-extension
say "documentation as docs.rs builds it"
DOCS_RS=1 RUSTC_BOOTSTRAP=1 RUSTDOCFLAGS="-D warnings --cfg docsrs" CARGO_TARGET_DIR="$(target_dir policies)" \
    cargo doc --no-deps --features "$DOCUMENTED"
