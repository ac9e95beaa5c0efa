#!/usr/bin/env bash
# What is made to fail, and what comes of it: each of the proofs that are named, or all, puts its figures into
# docs/reliability.md. The rows of others stay. All takes hours. `short` before the names: system calls further and
# further apart, 300 kills, and a minute of damaged files, in place of each call, 10,200 kills and ten minutes.
. "$(dirname "$0")/common.sh"
each=1 kills=3400 seconds=600
if [ "${1:-}" = short ]; then
    each="" kills=100 seconds=60
    shift
fi
logs="$(realpath -m "$(target_dir reliability)")/logs"
mkdir -p "$logs"
# The last number before these words, summed over all lines that have them.
sum() { # words, file
    sed -n "s/.*\b\([0-9][0-9]*\) $1.*/\1/p" "$2" | awk '{ n += $1 } END { printf "%d", n }'
}
row() { # what fails, how often, what came of it, control, command
    python3 .ci/report.py docs/reliability.md reliability "$@" "$(date -u +%F)"
    printf '%s: %s; %s\n' "$1" "$2" "$3"
}
# Cases of tests/alone; of the program FINALITE_ALONE, where one is built.
alone() { # log, filters
    local run=(cargo test -q -p finalite --test alone --)
    [ -z "${FINALITE_ALONE:-}" ] || run=("$FINALITE_ALONE")
    RUST_BACKTRACE=0 "${run[@]}" --nocapture "${@:2}" > "$logs/$1" 2>&1 || { tail -40 "$logs/$1"; return 1; }
}
# The closing lines of a script's tests.
tests() { grep -hoE 'test result: ok. [0-9]+ passed' "$1" | awk '{ n += $4 } END { printf "%d tests", n }'; }
sanitizer() { # name, what it watches, script and its arguments
    bash "${@:3}" > "$logs/$1" 2>&1 || { tail -40 "$logs/$1"; return 1; }
    row "$2" "$(tests "$logs/$1")" "0 reports" "" "\`${*:3}\`"
}

allocations() {
    alone allocations out_of_memory:: --skip calls::
    row "Allocations of SQLite, each: once and for good, with lookaside and without" "$(sum points "$logs/allocations") faults" \
        "0 panics, 0 leaks, 0 other errors; in $(grep -o '[a-z]* [0-9]* of them SQLite did without' "$logs/allocations" | awk '{ n += $2 } END { printf "%d", n }') SQLite did without" \
        "8 broken drivers are found" "\`cargo test --test alone -- out_of_memory\`"
}
crates() {
    FINALITE_LONG_RUN=1 cargo test -q -p finalite-arrow -p finalite-tokio --test out_of_memory -- --nocapture > "$logs/crates" 2>&1 ||
        { tail -40 "$logs/crates"; return 1; }
    points() { sed -n "s/.*Points {.* $1: \([0-9]*\).*/\1/p" "$logs/crates" | awk '{ n += $1 } END { printf "%d", n }'; }
    row "Allocations of SQLite under \`finalite-arrow\` and \`finalite-tokio\`, each: once and for good" "$(points failed) faults" \
        "0 panics, 0 leaks, 0 other errors; in $(points survived) SQLite did without" "5 broken drivers are found" \
        "\`FINALITE_LONG_RUN=1 cargo test -p finalite-arrow -p finalite-tokio --test out_of_memory\`"
}
calls() {
    bash .ci/c_calls.sh > "$logs/calls" 2>&1 || { tail -60 "$logs/calls"; return 1; }
    row "Calls of C, each: refused, or done and reported as failed" \
        "$(sum 'faults at' "$logs/calls") faults; of $(sed -n 's/^== \([0-9]*\) functions that can fail.*/\1/p' "$logs/calls") functions, $(grep 'not called by' "$logs/calls" | grep -o 'sqlite3[a-z0-9_]*' | wc -l) are called by no scenario" \
        "0 leaks; $(sed -n 's/^\([0-9]* pairs of scenario and call site are not told\).*/\1/p' "$logs/calls"), each explained in untold.txt; $(grep -c '^known: ' "$logs/calls") known findings, in calls.rs" \
        "2 drivers that drop an error are found" "\`.ci/c_calls.sh\`"
}
system() {
    local by="${each:+FINALITE_EACH_SYSTEM_CALL=1 }" which="the first ones and a part of the later"
    [ -z "$each" ] || { export FINALITE_EACH_SYSTEM_CALL=1; which="each one"; }
    alone system system_faults:: system_calls::
    row "System calls of SQLite's \`unix\` files, once and for good" \
        "$(sum 'faults, ' "$logs/system") faults in $(sed -n 's/^\([0-9]*\) system calls.*/\1/p' "$logs/system") functions: $which" \
        "0 leaks, 0 damaged files, 0 lost commits" "writes that are dropped are found" \
        "\`${by}cargo test --test alone -- system_faults\`"
}
files() {
    alone files vfs::each_operation_fails
    row "Operations of files: failed, full, half, short" "$(sum faults "$logs/files") faults" \
        "0 leaks, 0 damaged files, 0 lost commits" "see power cuts" "\`cargo test --test alone -- vfs::each_operation\`"
}
power() {
    alone power power_cut syncs_that_were_left_out
    row "Power cuts, at each operation" "$(sed '/damaged/d' "$logs/power" > "$logs/power.sound"; sum 'images of' "$logs/power.sound") images" \
        "0 damaged, 0 lost commits" \
        "without syncs, $(sed -n 's/^\([0-9]*\) of [0-9]* images.*/\1/p' "$logs/power" | paste -sd+ | bc) of $(sed -n 's/^[0-9]* of \([0-9]*\) images.*/\1/p' "$logs/power" | paste -sd+ | bc) are damaged" \
        "\`cargo test --test alone -- power_cut\`"
}
kills() {
    export FINALITE_KILLS="$kills"
    alone kills killed::a_kill_amid_commits killed::a_commit_that_is_told
    row "Writers, killed (SIGKILL)" "$(sum kills "$logs/kills") kills, $(sum commits "$logs/kills") commits" \
        "0 damaged files, 0 lost commits" "a commit that is told too early is found" \
        "\`FINALITE_KILLS=$kills cargo test --test alone -- killed\`"
}
damaged() {
    bash .ci/fuzz.sh "$seconds" > "$logs/damaged" 2>&1 || { tail -40 "$logs/damaged"; return 1; }
    row "Damaged files, read by pages and by SQLite, under AddressSanitizer" \
        "$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$logs/damaged") files" "0 differences, 0 reports" "" \
        "\`.ci/fuzz.sh $seconds\`"
}
mutants() {
    bash .ci/mutants.sh 400 1 > "$logs/mutants" 2>&1 || { tail -40 "$logs/mutants"; return 1; }
    row "The driver's own code: mutants of \`src/\`, a random sample" \
        "$(sed -n 's/.* rate .* of \([0-9]*\), .*/\1/p' "$logs/mutants") that ran, of a sample of 400 of $(sed -n 's/.* \([0-9]*\) mutants in .*/\1/p' "$logs/mutants")" \
        "$(sed -n 's/.* rate \([0-9.]* %\) of [0-9]*, \(.*\)/\1 caught (95 % interval: \2)/p' "$logs/mutants"); $(sed -n 's/.* \([0-9]* missed\),.*/\1/p' "$logs/mutants"), explained in [mutants.md](mutants.md)" \
        "each test that fails passes without the mutant" "\`.ci/mutants.sh 400 1\`"
}
asan() { sanitizer asan "Memory of Rust and C: AddressSanitizer, LeakSanitizer, SQLite without lookaside" .ci/asan.sh; }
tsan() { sanitizer tsan "Races: ThreadSanitizer, SQLite instrumented" .ci/tsan.sh; }
valgrind() { sanitizer valgrind "Memory: memcheck" .ci/valgrind.sh; }
debug() { sanitizer debug "SQLite's own assertions (SQLITE_DEBUG)" .ci/debug.sh; }

ALL=(allocations crates calls system files power kills damaged mutants asan tsan valgrind debug)
status=0
for proof in "${@:-${ALL[@]}}"; do
    say "$proof"
    "$proof" || status=1
done
exit "$status"
