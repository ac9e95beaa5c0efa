#!/bin/sh
# Instructions per operation, counted by valgrind's callgrind: C, finalite and rusqlite, the same work.
#
#   benches/peers/callgrind.sh [--profile release|plain] [--csv FILE] [WORKLOAD-PREFIX]
#
# Every competitor runs twice, with N and with 2 N operations; the difference over N is one operation, without what
# the program does before and after. Counts do not depend on what else the machine does.
set -eu
cd "$(dirname "$0")"

profile=release
csv=
while [ $# -gt 0 ]; do
    case $1 in
        --profile) profile=$2; shift 2 ;;
        --csv) csv=$2; shift 2 ;;
        -*) echo "usage: $0 [--profile release|plain] [--csv FILE] [WORKLOAD-PREFIX]" >&2; exit 2 ;;
        *) break ;;
    esac
done
only=${1:-}
target=${CARGO_TARGET_DIR:-target}
tab=$(printf '\t')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Two programs: the second has every tracing event compiled out.
cargo build --quiet --profile "$profile" --bin fixed
cp "$target/$profile/fixed" "$work/fixed"
cargo build --quiet --profile "$profile" --bin fixed --features no-tracing --target-dir "$target/no-tracing"
cp "$target/no-tracing/$profile/fixed" "$work/fixed-no-tracing"

# count PROGRAM WORKLOAD COMPETITOR N: instructions of the whole program
count() {
    # The log goes to stderr and its last line but one says "Collected : <instructions>".
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" "$2" "$3" "$4" 2>"$work/log" >/dev/null || {
        cat "$work/log" >&2
        return 1
    }
    sed -n 's/.*Collected : //p' "$work/log"
}

# per_operation PROGRAM WORKLOAD COMPETITOR: with one decimal
per_operation() {
    case $2 in
        open* | backup | list* | table*) n=50 ;;
        *) n=2000 ;;
    esac
    once=$(count "$1" "$2" "$3" $n)
    twice=$(count "$1" "$2" "$3" $((2 * n)))
    awk -v a="$once" -v b="$twice" -v n=$n 'BEGIN { printf "%.1f", (b - a) / n }'
}

"$work/fixed" --environment
echo
"$work/fixed" --list | grep "^$only" >"$work/all" || { echo "no workload begins with $only" >&2; exit 2; }
# What SQLite's memory comes from matters to these, and is compared below.
native='malloc and free|prepare|prepare without lookaside|records'
grep -vE "^($native)$tab" "$work/all" >"$work/list" || :
grep -E "^($native|scan wide)$tab(C|finalite|counters|records|finalite value)\$" "$work/all" >"$work/native" || :
printf 'workload,competitor,instructions_per_operation,without_tracing\n' >"$work/csv"
[ ! -s "$work/list" ] || {
    printf '| %-12s | %-22s | %12s | %15s |\n' workload competitor instructions 'without tracing'
    printf '|%.14s|%.24s|%.13s:|%.16s:|\n' -------------- ------------------------ ------------- ----------------
}
while IFS=$tab read -r workload competitor; do
    with=$(per_operation "$work/fixed" "$workload" "$competitor")
    case $competitor in
        finalite*) without=$(per_operation "$work/fixed-no-tracing" "$workload" "$competitor") ;;
        *) without= ;;
    esac
    printf '| %-12s | %-22s | %12s | %15s |\n' "$workload" "$competitor" "$with" "$without"
    printf '%s,%s,%s,%s\n' "$workload" "$competitor" "$with" "$without" >>"$work/csv"
done <"$work/list"

# What the drivers add to the C calls that they make: `C as …` makes the same ones.
[ ! -s "$work/list" ] || awk -F, '
    { count[$1 "," $2] = $3; without[$1 "," $2] = $4 }
    function above(workload, driver, c, rival, rival_c,    own, other) {
        if (!((workload "," driver) in count)) return
        own = count[workload "," driver] - count[workload "," c]
        other = count[workload "," rival] - count[workload "," rival_c]
        printf "| %-8s | %-17s | %6.0f | %-21s | %6.0f | %.2f |\n", workload, driver, own, rival, other, own / other
    }
    function tracing(workload, driver,    with) {
        if (!((workload "," driver) in count)) return
        with = count[workload "," driver]
        printf "| %-10s | %-17s | %6.1f |\n", workload, driver, with - without[workload "," driver]
    }
    END {
        print "\nAbove the same C calls, per query:\n"
        print "| | finalite | | rusqlite | | ratio |\n|---|---|---:|---|---:|---:|"
        above("lookup", "finalite borrowed", "C as finalite", "rusqlite borrowed", "C as rusqlite")
        above("lookup", "finalite borrowed", "C as finalite", "rusqlite borrowed one", "C as rusqlite one")
        above("lookup", "finalite owned", "C as finalite", "rusqlite owned", "C as rusqlite")
        above("lookup", "finalite owned", "C as finalite", "rusqlite owned one", "C as rusqlite one")
        above("insert", "finalite cached", "C as finalite", "rusqlite cached", "C as rusqlite cached")
        above("insert", "finalite kept", "C as finalite", "rusqlite kept", "C as rusqlite")
        print "\nWhat tracing costs while nobody listens, per query or row. Without it the compiler inlines otherwise,"
        print "so that a few instructions are gained or lost elsewhere:\n"
        print "| | | instructions |\n|---|---|---:|"
        tracing("lookup", "finalite borrowed")
        tracing("lookup", "finalite owned")
        tracing("insert", "finalite cached")
        tracing("insert", "finalite kept")
        tracing("scan one", "finalite value")
        tracing("scan wide", "finalite value")
    }
' "$work/csv"

# count_in COLUMN WORKLOAD COMPETITOR: per operation, in a process of that column
count_in() {
    case $1 in
        finalite) COLUMN=$1 FINALITE_ALLOCATOR= per_operation "$work/fixed" "$2" "$3" ;;
        *) COLUMN=$1 FINALITE_ALLOCATOR=stock per_operation "$work/fixed" "$2" "$3" ;;
    esac
}

if [ -s "$work/native" ]; then
    printf '\nBy what SQLite'"'"'s memory comes from:\n\n'
    printf '| workload | competitor | stock | uncounted | finalite | finalite / uncounted |\n'
    printf '|---|---|---:|---:|---:|---:|\n'
fi
while IFS=$tab read -r workload competitor; do
    stock=$(count_in stock "$workload" "$competitor")
    uncounted=$(count_in uncounted "$workload" "$competitor")
    finalite=$(count_in finalite "$workload" "$competitor")
    ratio=$(awk -v a="$finalite" -v b="$uncounted" 'BEGIN { printf "%.3f", a / b }')
    printf '| %s | %s | %s | %s | %s | %s |\n' "$workload" "$competitor" "$stock" "$uncounted" "$finalite" "$ratio"
    for column in stock uncounted finalite; do
        eval "figure=\$$column"
        printf '%s,%s in %s,%s,\n' "$workload" "$competitor" "$column" "$figure" >>"$work/csv"
    done
done <"$work/native"

[ -z "$csv" ] || cp "$work/csv" "$csv"
