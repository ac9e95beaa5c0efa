#!/usr/bin/env bash
# Every link to docs.rs in the READMEs and the changelog leads to a page, and to a part of it, that the documentation has.
# After `cargo doc` of the workspace, which finalite-datafusion is not part of.
. "$(dirname "$0")/common.sh"
missing=0
checked=0
while IFS=: read -r file link; do
    crate="${link#https://docs.rs/}"
    crate="${crate%%/*}"
    page="${crate//-/_}/"
    case "$link" in */latest/*) page="${link#*/latest/}" ;; esac
    anchor=""
    case "$page" in *'#'*) anchor="${page#*#}" ;; esac
    page="${CARGO_TARGET_DIR:-target}/doc/${page%%#*}"
    case "$page" in */) page="${page}index.html" ;; esac
    checked=$((checked + 1))
    if [ ! -e "$page" ]; then
        echo "$file: no page for $link"
        missing=1
    elif [ -n "$anchor" ] && ! grep -q "id=\"$anchor\"" "$page"; then
        echo "$file: no such part of the page: $link"
        missing=1
    fi
done < <(grep -oH 'https://docs\.rs/finalite[^) >"]*' README.md CHANGELOG.md {arrow,derive,dqlite,endpoint,sql,tokio}/README.md |
    grep -v finalite-datafusion | sort -u)
echo "$checked links to the documentation"
[ "$checked" -gt 20 ]
exit "$missing"
