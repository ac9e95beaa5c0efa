#!/usr/bin/env bash
# `finalite-dqlite` against three real nodes: every type, size and number of parameters beside the local driver, statements
# that are finalized, leaders that are killed. It installs the nodes. `--long`: 100 kills of the leader, for 20 minutes.
. "$(dirname "$0")/common.sh"
command -v dqlite-demo >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends go-dqlite; }
[ "${1:-}" = --long ] && export FINALITE_DQLITE_KILLS=100
cargo test --quiet -p finalite-dqlite --test cluster -- --ignored --test-threads=1 --nocapture
