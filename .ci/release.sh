#!/usr/bin/env bash
# What is checked before a release beside `.ci/run` (docs/release.md): the version is the changelog's, the tree is clean,
# nothing that the last release had is gone without a new minor version, and each crate can be published, in order.
# Installs cargo-semver-checks where there is an earlier release and it is missing.
. "$(dirname "$0")/common.sh"
version="$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
say "version $version"
grep -q "^## $version" CHANGELOG.md || { echo "CHANGELOG.md has no section for $version"; exit 1; }
for manifest in {arrow,datafusion,derive,dqlite,endpoint,sql,tokio}/Cargo.toml; do
    grep -q "^version = \"$version\"" "$manifest" || { echo "$manifest has another version"; exit 1; }
done
[ -z "$(git status --porcelain)" ] || { git status --short; exit 1; }
say "what the last release had"
last="$(git tag --list 'v*' --sort=-v:refname | grep -vx "v$version" | head -1)"
if [ -n "$last" ]; then
    command -v cargo-semver-checks > /dev/null || cargo install --quiet --locked cargo-semver-checks
    cargo semver-checks --workspace --exclude finalite-benches --baseline-rev "$last"
else
    echo "there is no earlier release"
fi
say "packages, in the order of publication"
cargo publish --workspace --dry-run
# A workspace of its own, whose dependencies are not published yet.
(cd datafusion && cargo package --no-verify --exclude-lockfile)
say "done"
