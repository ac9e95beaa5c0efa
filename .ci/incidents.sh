#!/usr/bin/env bash
# The incidents of other drivers, with full counts (docs/incidents.md): a line of JSON for each.
. "$(dirname "$0")/common.sh"
FINALITE_INCIDENTS=full cargo test --test alone -- --nocapture --test-threads=1 incidents::
