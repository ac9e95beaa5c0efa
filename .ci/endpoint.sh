#!/usr/bin/env bash
# The endpoint of the example `service` before those who read it: promtool, a Prometheus server, the Python parser of
# OpenMetrics, and a browser, whose screenshots stay in ${FINALITE_CI_OUTPUT:-target/ci}/screenshots. Installs what is
# missing; what cannot be installed is an error.
. "$(dirname "$0")/common.sh"
scratch="$(mktemp -d)"
started=()
finish() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2> /dev/null || true; done
    rm -rf "$scratch"
}
trap finish EXIT
fail() { echo "$*" >&2; exit 1; }

# Waits for this to succeed, for as long as a busy machine may take.
eventually() {
    local deadline=$((SECONDS + 60))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "it does not come: $*"
        sleep 0.2
    done
}

# Runs in the background until the end, into a file of its own.
start() { # name, command
    "${@:2}" > "$scratch/$1.log" 2>&1 < /dev/null &
    started+=($!)
}

is_running() { kill -0 "$1" 2> /dev/null; }

packages() {
    local commands=(prometheus promtool chromium chromedriver) package missing=()
    local -A of=([prometheus]=prometheus [promtool]=prometheus [chromium]=chromium [chromedriver]=chromium-driver)
    for package in "${commands[@]}"; do
        command -v "$package" > /dev/null || missing+=("${of[$package]}")
    done
    [ "${#missing[@]}" = 0 ] && return
    echo "installing ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
        > "$scratch/apt.log" 2>&1 || { tail -5 "$scratch/apt.log"; fail "${missing[*]} cannot be installed"; }
    for package in "${commands[@]}"; do
        command -v "$package" > /dev/null || fail "$package is not there, though ${of[$package]} was installed"
    done
}

# A Python that knows prometheus_client.
python_with_parser() {
    PYTHON=python3
    command -v python3 > /dev/null || fail "python3 is not here"
    python3 -c 'import prometheus_client.openmetrics.parser' 2> /dev/null && return
    { python3 -m venv "$scratch/venv" && "$scratch/venv/bin/pip" install --quiet prometheus_client; } \
        > "$scratch/pip.log" 2>&1 || { tail -5 "$scratch/pip.log"; fail "prometheus_client cannot be installed"; }
    PYTHON="$scratch/venv/bin/python"
}

fetch() { # url, file, what is accepted
    python3 - "$@" << 'EOP'
import sys, urllib.request
url, file, *accept = sys.argv[1:]
request = urllib.request.Request(url, headers={"Accept": accept[0]} if accept else {})
with urllib.request.urlopen(request, timeout=20) as answer:
    print(answer.headers["Content-Type"])
    open(file, "wb").write(answer.read())
EOP
}

say "packages"
packages
python_with_parser
prometheus --version 2>&1 | head -1
chromium --version 2> /dev/null | head -1

say "the service"
cargo build --quiet --release -p finalite-endpoint --example service
start service "${CARGO_TARGET_DIR:-target}/release/examples/service" --address 127.0.0.1:0 --seconds 600
SERVICE="${started[-1]}"
has_url() {
    is_running "$SERVICE" || { cat "$scratch/service.log"; fail "the service has ended"; }
    URL="$(sed -n 's|^endpoint: \(http://.*/\)$|\1|p' "$scratch/service.log" | head -1)"
    [ -n "$URL" ]
}
eventually has_url
echo "$URL"

say "promtool: text 0.0.4"
type="$(fetch "${URL}metrics" "$scratch/text")"
echo "$type"
[ "$type" = "text/plain; version=0.0.4; charset=utf-8" ]
promtool check metrics < "$scratch/text"
grep -q '^sqlite_native_memory_bytes [1-9]' "$scratch/text"
# Each copy is damaged in one way, and refused.
sed 's/^# TYPE sqlite_handles gauge$/# TYPE sqlite_handles gauges/' "$scratch/text" > "$scratch/damaged-1"
sed 's/^sqlite_native_memory_bytes .*/sqlite_native_memory_bytes many/' "$scratch/text" > "$scratch/damaged-2"
sed 's/{kind="rows"}/{kind="rows}/' "$scratch/text" > "$scratch/damaged-3"
{ cat "$scratch/text"; echo '# TYPE sqlite_handles gauge'; } > "$scratch/damaged-4"
for n in 1 2 3 4; do
    ! cmp -s "$scratch/text" "$scratch/damaged-$n" || fail "copy $n is not damaged"
    ! promtool check metrics < "$scratch/damaged-$n" > /dev/null 2>&1 || fail "promtool accepts the damaged copy $n"
done
echo "accepted; 4 damaged copies are refused"

say "prometheus_client: OpenMetrics"
type="$(fetch "${URL}metrics" "$scratch/openmetrics" 'application/openmetrics-text; version=1.0.0')"
echo "$type"
[ "$type" = "application/openmetrics-text; version=1.0.0; charset=utf-8" ]
"$PYTHON" - "$scratch/openmetrics" << 'EOP'
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

text = open(sys.argv[1], encoding="utf-8").read()
families = {family.name: family for family in parse(text)}
memory = families["sqlite_native_memory_bytes"]
assert (memory.type, memory.unit) == ("gauge", "bytes") and memory.samples[0].value > 0, memory
assert families["sqlite_handles_opened"].type == "counter"
assert families["sqlite_native_allocation_size_bytes"].type == "histogram"
assert families["sqlite_build"].type == "info"
damage = [
    ("# EOF\n", ""),
    ("# TYPE sqlite_handles gauge\n", "# TYPE sqlite_handles gauges\n"),
    ("# UNIT sqlite_native_memory_bytes bytes\n", "# UNIT sqlite_native_memory_bytes seconds\n"),
    ('sqlite_handles{kind="rows"} ', 'sqlite_handles{kind="rows} '),
    ('le="+Inf"} ', 'le="+Inf"} 1'),
    ("\nsqlite_native_allocs_total ", "\nsqlite_native_allocs_total -"),
]
for part, instead in damage:
    assert part in text, part
    try:
        list(parse(text.replace(part, instead, 1)))
    except ValueError:
        continue
    sys.exit(f"the parser accepts {instead!r} instead of {part!r}")
print(f"{len(families)} families; {len(damage)} damaged copies are refused")
EOP

say "a Prometheus server"
# Prometheus asks for OpenMetrics. This passes its question on without saying what is accepted, as one that knows no
# other format than the older; below /damaged, what comes back is spoilt.
cat > "$scratch/proxy.py" << 'EOP'
import http.server, sys, urllib.request

class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with urllib.request.urlopen(sys.argv[1] + "metrics", timeout=20) as answer:
            body, of = answer.read(), answer.headers["Content-Type"]
        if self.path == "/damaged":
            body = body.replace(b'{kind="rows"}', b'{kind="rows}')
        self.send_response(200)
        self.send_header("Content-Type", of)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
print(server.server_port, flush=True)
server.serve_forever()
EOP
start proxy python3 "$scratch/proxy.py" "$URL"
has_proxy() { [ -s "$scratch/proxy.log" ]; }
eventually has_proxy
PROXY="127.0.0.1:$(head -1 "$scratch/proxy.log")"
SERVED="${URL#http://}"
cat > "$scratch/prometheus.yml" << EOC
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - {job_name: openmetrics, static_configs: [{targets: ["${SERVED%/}"]}]}
  - {job_name: text, static_configs: [{targets: ["$PROXY"]}]}
  - {job_name: damaged, metrics_path: /damaged, static_configs: [{targets: ["$PROXY"]}]}
EOC
promtool check config "$scratch/prometheus.yml" > /dev/null
PORT="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
start prometheus prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/data" \
    --web.listen-address="127.0.0.1:$PORT"
SERVER="${started[-1]}"
cat > "$scratch/ask.py" << 'EOP'
import json, sys, urllib.error, urllib.parse, urllib.request

def ask(path, **query):
    url = f"{sys.argv[1]}/api/v1/{path}?" + urllib.parse.urlencode(query)
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)["data"]

def by_job(query):
    return {one["metric"]["job"]: float(one["value"][1]) for one in ask("query", query=query)["result"]}

good = ("openmetrics", "text")
try:
    memory = by_job("sqlite_native_memory_bytes")
    # More than one scrape: a counter that moves, which the load sees to.
    moving = by_job('increase(sqlite_handles_opened_total{kind="rows"}[30s])')
    healths = {target["labels"]["job"]: target["health"] for target in ask("targets")["activeTargets"]}
    # What only OpenMetrics tells.
    about = ask("targets/metadata", metric="sqlite_native_memory_bytes")
    units = {one["target"]["job"]: one["unit"] for one in about if one["target"]["job"] in good}
except (urllib.error.URLError, ConnectionError, KeyError) as error:
    sys.exit(str(error))
told = (memory, moving, healths, units)
is_good = (
    set(memory) == set(good)
    and all(memory[job] > 0 and moving.get(job, 0) > 0 for job in good)
    and healths == {"openmetrics": "up", "text": "up", "damaged": "down"}
    and units == {"openmetrics": "bytes", "text": ""}
)
if not is_good:
    sys.exit(str(told))
for job in good:
    print(f"{job}: up, sqlite_native_memory_bytes {memory[job]:.0f}, rows opened in 30 s {moving[job]:.0f}")
print("damaged: down")
EOP
answers() {
    is_running "$SERVER" || { tail -5 "$scratch/prometheus.log"; fail "Prometheus has ended"; }
    python3 "$scratch/ask.py" "http://127.0.0.1:$PORT" > "$scratch/answer" 2>&1 && return
    # Shown where it never comes.
    [ "$SECONDS" -lt "$((asked + 55))" ] || cat "$scratch/answer"
    return 1
}
asked="$SECONDS"
eventually answers
cat "$scratch/answer"

say "a browser"
output="${FINALITE_CI_OUTPUT:-target/ci}/screenshots"
mkdir -p "$output"
timeout 150 python3 .ci/endpoint/browser.py "$URL" "$output"
ls -l "$output"/*.png
is_running "$SERVICE" || fail "the service has ended"
say "the endpoint: done"
