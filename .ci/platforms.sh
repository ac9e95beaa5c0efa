#!/usr/bin/env bash
# The driver and its crates on other platforms: built, and tests run by an emulator where there is one. Each platform
# that is named, or all, gets its row in docs/platforms.md; the rows of others stay. Installs cross compilers, qemu and
# wine where they are missing.
#
# What a platform runs: the tests of the library, and those of `it`, the page reader and the formats of values among them.
# Of an emulator that is not asked for what depends on time, for programs that start themselves again, and for extensions,
# which the tests compile for this machine.
. "$(dirname "$0")/common.sh"
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=false
CARGO_TARGET_DIR="$(realpath -m "$(target_dir platforms)")"; export CARGO_TARGET_DIR
logs="$CARGO_TARGET_DIR/logs"
mkdir -p "$logs"
EMULATED=(--skip totals_are_of_one_snapshot --skip deadlines:: --skip contention:: --skip pool:: --skip scan::partitions
    --skip extension:: --skip watch::)
CRATES=(-p finalite -p finalite-arrow -p finalite-endpoint -p finalite-tokio)

install() { # command, packages
    command -v "$1" > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${@:2}"; } \
        > "$logs/apt" 2>&1 || { tail -5 "$logs/apt"; exit 1; }
}
variable() { # target, prefix, suffix, value
    local name="${1//-/_}"
    export "$2${name^^}$3=$4"
}
# Compiler, linker and emulator of a target, from its GNU triple.
cross() { # target, triple, emulator
    export "CC_${1//-/_}=$2-gcc"
    variable "$1" CARGO_TARGET_ _LINKER "$2-gcc"
    variable "$1" CARGO_TARGET_ _RUNNER "$3 -L /usr/$2"
}
# A C compiler that compiles nothing: what is left is the check of the Rust side.
without_c() { # target
    # The library that MSVC's `lib` is asked for is there, and empty.
    printf '#!/bin/sh\nfor it; do case "$it" in -out:*) : > "${it#-out:}" ;; esac; done\n' > "$logs/nothing"
    chmod +x "$logs/nothing"
    export "CC_${1//-/_}=$logs/nothing" "AR_${1//-/_}=$logs/nothing" SDKROOT="$logs"
}

built= ran=
build() { # target
    built="it does not compile"
    cargo build -q --target "$1" "${CRATES[@]}" 2>&1 | tee "$logs/$1.build" || { status=1; return; }
    built="driver, arrow, endpoint, tokio"
}
# Runs the tests, and counts what the closing lines say.
run() { # target, emulator and its version, further arguments
    local result=0
    cargo test -q --no-fail-fast --target "$1" -p finalite --lib --test it --test types -- "${@:3}" > "$logs/$1.run" 2>&1 ||
        result=$?
    local passed failed
    passed="$(sed -n 's/^test result: .* \([0-9]*\) passed.*/\1/p' "$logs/$1.run" | paste -sd+ | bc)"
    failed="$(sed -n 's/^test result: .* \([0-9]*\) failed.*/\1/p' "$logs/$1.run" | paste -sd+ | bc)"
    # A program that ends early says nothing of its tests.
    [ "$result" = 0 ] || [ "${failed:-0}" != 0 ] || failed="an unknown number"
    ran="${passed:-0} passed, ${failed:-?} failed, $2"
    [ "$result" = 0 ] || grep -E '^test .* FAILED|^    [a-z_:]+$|error|overflowed' "$logs/$1.run" | sort -u | head -40
}
check() { # target
    ran="no" built="it does not compile"
    cargo check -q --target "$1" "${CRATES[@]}" 2>&1 | tee "$logs/$1.build" || { status=1; return; }
    built="Rust alone is checked: driver, arrow, endpoint, tokio"
}
qemu() { echo "$1 $("$1" --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')"; }

aarch64-unknown-linux-gnu() {
    install aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    install qemu-aarch64 qemu-user
    cross "$1" aarch64-linux-gnu qemu-aarch64
    build "$1"; run "$1" "$(qemu qemu-aarch64)" "${EMULATED[@]}"
}
i686-unknown-linux-gnu() {
    install i686-linux-gnu-gcc gcc-i686-linux-gnu libc6-dev-i386-cross
    install qemu-i386 qemu-user
    cross "$1" i686-linux-gnu qemu-i386
    build "$1"; run "$1" "$(qemu qemu-i386)" "${EMULATED[@]}"
}
# Big-endian.
s390x-unknown-linux-gnu() {
    install s390x-linux-gnu-gcc gcc-s390x-linux-gnu libc6-dev-s390x-cross
    install qemu-s390x qemu-user
    cross "$1" s390x-linux-gnu qemu-s390x
    build "$1"; run "$1" "$(qemu qemu-s390x)" "${EMULATED[@]}"
}
x86_64-unknown-linux-musl() {
    install musl-gcc musl-tools
    # Linked statically: nothing can be loaded.
    build "$1"; run "$1" "natively" --skip extension::
}
x86_64-pc-windows-gnu() {
    install x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64-posix
    install wine wine64 wine
    export WINEPREFIX="$CARGO_TARGET_DIR/wine" WINEDEBUG=-all
    variable "$1" CARGO_TARGET_ _RUNNER wine
    # Rust's standard library takes random numbers from a library that wine 8 lacks.
    cat > "$logs/prng.c" << 'EOC'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) { return SystemFunction036(bytes, (ULONG)count); }
EOC
    mkdir -p "$CARGO_TARGET_DIR/$1/debug/deps"
    x86_64-w64-mingw32-gcc -shared -o "$CARGO_TARGET_DIR/$1/debug/deps/bcryptprimitives.dll" "$logs/prng.c" -ladvapi32
    build "$1"; run "$1" "$(wine --version 2> /dev/null | sed 's/ .*//')" "${EMULATED[@]}"
}
aarch64-apple-darwin() { without_c "$1"; check "$1"; }
x86_64-pc-windows-msvc() { without_c "$1"; check "$1"; }

ALL=(aarch64-unknown-linux-gnu i686-unknown-linux-gnu s390x-unknown-linux-gnu x86_64-unknown-linux-musl
    x86_64-pc-windows-gnu aarch64-apple-darwin x86_64-pc-windows-msvc)
status=0
for target in "${@:-${ALL[@]}}"; do
    say "$target"
    rustup target add "$target" > "$logs/rustup" 2>&1 || { tail -3 "$logs/rustup"; exit 1; }
    built=no ran=no
    "$target" "$target" || status=1
    case "$ran" in *" 0 failed"* | no) ;; *) status=1 ;; esac
    echo "$target: $built; $ran"
    python3 .ci/report.py docs/platforms.md platforms "\`$target\`" "$built" "$ran" "$(date -u +%F)" "$(rustc -V | cut -d' ' -f2)"
done
exit "$status"
