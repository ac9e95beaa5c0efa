#!/bin/sh
# Builds every driver, measures, and leaves tables on standard output, samples in scan.csv and the chart in docs/.
#
#   benches/peers/reproduce.sh [--quick] [--headline] [--processes N] [--rounds N] [--rows N] [WORKLOAD-PREFIX]
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$PWD/target}
docs=$(cd ../../docs && pwd)

# Each links a SQLite of its own version, so each is a program of its own. One that cannot be built is left out.
for peer in sqlite diesel sqlx; do
    (cd "others/$peer" && CARGO_TARGET_DIR="$target/others" cargo build --quiet --release --locked) ||
        echo "$peer is not built, and is left out" >&2
done
cargo build --quiet --release --bin scan

svg=$docs/scan.svg
case " $* " in
    *' --quick '*) svg=$target/release/scan.svg ;;
esac
"$target/release/scan" --others "$target/others/release" --svg "$svg" "$@"

if [ -f "$svg" ]; then
    png=${svg%.svg}.png
    new=$target/release/scan.new.png
    rm -f "$new"
    for tool in rsvg-convert magick convert inkscape; do
        command -v "$tool" >/dev/null || continue
        case $tool in
            rsvg-convert) rsvg-convert --zoom 2 --output "$new" "$svg" ;;
            magick | convert) "$tool" -density 192 "$svg" -strip "$new" ;;
            inkscape) inkscape --export-dpi 192 --export-filename "$new" "$svg" ;;
        esac || :
        # Whatever it said, the picture is what counts.
        [ ! -f "$new" ] || break
    done
    if [ -f "$new" ]; then
        mv "$new" "$png"
    else
        echo "no tool here turns SVG into PNG: librsvg, ImageMagick or Inkscape; $png is as it was" >&2
    fi
fi
