#!/usr/bin/env bash
# What is checked before a release beside `.ci/run` (docs/release.md): the version is the changelog's, the tree is clean,
# nothing that the last release had is gone without a new minor version, and each crate can be published, in order. The
# last release is the newest tag of another version, or the commit that is named. Its public API and this one's are
# compared line by line, to be read.
# Installs cargo-semver-checks, cargo-public-api and a nightly Rust where they are needed and missing.
. "$(dirname "$0")/common.sh"
version="$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
say "version $version"
grep -q "^## $version" CHANGELOG.md || { echo "CHANGELOG.md has no section for $version"; exit 1; }
for manifest in {derive,dqlite,endpoint,sql,tokio}/Cargo.toml; do
    grep -q "^version = \"$version\"" "$manifest" || { echo "$manifest has another version"; exit 1; }
done
[ -z "$(git status --porcelain)" ] || { git status --short; exit 1; }
say "what the last release had"
last="${1:-$(git tag --list 'v*' --sort=-v:refname | { grep -vx "v$version" || true; } | head -1)}"
if [ -n "$last" ]; then
    for tool in cargo-semver-checks cargo-public-api; do
        command -v "$tool" > /dev/null || cargo install --quiet --locked "$tool"
    done
    cargo +nightly --version > /dev/null 2>&1 || rustup toolchain install --profile minimal nightly
    scratch="$(mktemp -d)"
    before="$scratch/release"
    trap 'git worktree remove --force "$before" 2> /dev/null || true; rm -rf "$scratch"' EXIT
    git worktree add --quiet --detach "$before" "$last"
    features="$(sed 's,finalite/,,g' <<< "$DOCUMENTED")"
    # Macros (derive, sql) have no API that these programs read; datafusion is a workspace of its own.
    for crate in finalite finalite-{arrow,dqlite,endpoint,tokio}; do
        # Of the driver, the features that need flags of SQLite, too: nothing is compiled.
        of=()
        [ "$crate" != finalite ] || of=(--features "$features")
        api() { (cd "$1" && DOCS_RS=1 cargo +nightly public-api -p "$crate" --simplified "${of[@]}"); }
        say "$crate: public API"
        if ! (cd "$before" && cargo metadata --quiet --no-deps --format-version 1 | grep -q "\"name\":\"$crate\""); then
            echo "is new"
            continue
        fi
        api "$before" > "$scratch/before"
        api . > "$scratch/now"
        diff "$scratch/before" "$scratch/now" || true
        [ -z "${of[*]}" ] || of+=(--only-explicit-features)
        DOCS_RS=1 cargo semver-checks -p "$crate" --baseline-root "$before" "${of[@]}"
    done
else
    echo "there is no earlier release"
fi
say "packages, in the order of publication"
cargo publish --workspace --dry-run
# A workspace of its own, whose dependencies are not published yet.
(cd datafusion && cargo package --no-verify --exclude-lockfile)
say "done"
