#!/usr/bin/env bash
# The allocator shim with each compiler and word size that is here: no warning, nothing of libatomic, a header of 16
# bytes.
. "$(dirname "$0")/common.sh"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
SOURCE=src/raw/allocator.c
FLAGS=(-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
DEFINES=("" "-DFINALITE_INSTALL" "-DFINALITE_FAULT_INJECTION" "-DFINALITE_INSTALL -DFINALITE_FAULT_INJECTION")

# The control of the header's size: without what fills it up on 32-bit.
sed '/^#if UINTPTR_MAX == 0xffffffffu$/,/^#endif$/d' "$SOURCE" > "$scratch/narrow.c"
# The control of libatomic: an operation that no compiler inlines.
cat > "$scratch/large.c" <<'EOC'
struct large { char bytes[24]; };
void copy(struct large *from, struct large *to);
void copy(struct large *from, struct large *to) { __atomic_load(from, to, __ATOMIC_RELAXED); }
EOC

# An atomic operation that the compiler calls a function for.
needs_libatomic() { nm -u "$1" | grep -E '__atomic|__sync'; }

check() { # compiler and flags
    local defines level object="$scratch/shim.o" failed=0 pointer_bytes
    for defines in "${DEFINES[@]}"; do
        for level in -O0 -O2; do
            # shellcheck disable=SC2086 # several words
            "$@" "${FLAGS[@]}" $defines $level -c "$SOURCE" -o "$object"
            if needs_libatomic "$object"; then
                echo "$* $defines $level: needs libatomic"
                failed=1
            fi
        done
    done
    "$@" -w -c "$scratch/large.c" -o "$object"
    needs_libatomic "$object" > "$scratch/large" || { echo "$*: libatomic is not seen"; failed=1; }

    pointer_bytes="$(echo __SIZEOF_POINTER__ | "$@" -E -P -x c -)"
    if [ "$pointer_bytes" = 4 ]; then
        if "$@" "${FLAGS[@]}" -c "$scratch/narrow.c" -o "$object" 2> "$scratch/narrow"; then
            echo "$*: a header of 12 bytes passes"
            failed=1
        fi
        grep -q header_is_16_bytes "$scratch/narrow" || failed=1
    fi
    [ "$failed" = 0 ] || return 1
    echo "$*: $((2 * ${#DEFINES[@]})) builds, no warning, pointers of $pointer_bytes bytes"
}

# Whether the compiler finds for this target what the shim includes.
is_here() { # header, compiler and flags
    command -v "$2" > /dev/null || return 1
    printf '#include <stdlib.h>\n#include <%s>\nint x;\n' "$1" | "${@:2}" -c -x c - -o "$scratch/probe.o" 2> /dev/null
}

try() { # header, compiler and flags
    if is_here "$@"; then check "${@:2}"; else echo "${*:2}: not here, skipped"; fi
}

is_here pthread.h gcc || { echo "gcc is not here"; exit 1; }
status=0
try pthread.h gcc -m64 || status=1
try pthread.h gcc -m32 || status=1
try pthread.h clang -m64 || status=1
try pthread.h clang -m32 || status=1
try windows.h x86_64-w64-mingw32-gcc || status=1
try windows.h i686-w64-mingw32-gcc || status=1
exit "$status"
