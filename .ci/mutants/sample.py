"""Runs a sample of cargo-mutants' mutants of the driver against its tests. Arguments: the directory to build in, the
number of mutants, the seed, and a pattern of the names that are to run. FINALITE_FEATURES has the features.

One build has all mutants of the sample, each behind a switch (switch.rs); those in constants are built one by one,
and run against the tests of the driver alone, where a failure counts without a control. Of the others, each
test is first run alone, to record the mutants that it reaches. Against a mutant run the tests that reach it: those that
reach the fewest mutants first, so that the test of the module comes before those that only pass through it. A failure
counts if the same test passes without the mutant. What no test catches runs against the programs of the documentation
and the tests of the other crates. `sample.json` in the directory has a record of each mutant."""

import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

home = pathlib.Path(sys.argv[1]).resolve()
count, seed = int(sys.argv[2]), int(sys.argv[3])
only = sys.argv[4] if len(sys.argv) > 4 else ""
scripts = pathlib.Path(__file__).resolve().parent
copy, build = home / "copy", home / "build"
WORKERS = int(os.environ.get("FINALITE_MUTANTS_WORKERS", os.cpu_count() or 1))
# By their own names: `finalite/csv` is a feature of the dependency of that name, which is for tests alone.
FEATURES = os.environ["FINALITE_FEATURES"].replace("finalite/", "")
DRIVER = ["-p", "finalite", "--features", FEATURES]
# SQLite is not what is tested here, and takes most of the time of the tests where it is not optimized.
FAST = ["--config", "profile.dev.package.libsqlite3-sys.opt-level=2"]
PROGRAMS = ["--lib", "--test", "it", "--test", "types", "--test", "alone", "--test", "scan", "--test", "pages"]
OTHERS = ["-p", "finalite-endpoint", "-p", "finalite-tokio", "-p", "finalite-arrow", "--tests"]
# In seconds, of tests that are run together against a mutant: a failure of the first ones spares the others. Tests
# beyond their sum are not run: the longest of those that reach most mutants.
SLICES = [1, 4, 16, 64, 240]
# Of what a mutant without end, or one that writes without end, may take. It ends with this program.
LIMITS = ["setpriv", "--pdeathsig", "KILL", "prlimit", "--as=17179869184", "--fsize=4294967296", "--core=0"]
environment = dict(os.environ, CARGO_TARGET_DIR=str(build), CARGO_INCREMENTAL="1", CARGO_PROFILE_DEV_DEBUG="0",
                   # The switch is also in constant functions, whose callers the compiler may evaluate.
                   RUSTC_BOOTSTRAP="finalite",
                   RUSTFLAGS="--cap-lints=warn", RUST_BACKTRACE="0", CARGO_MANIFEST_DIR=str(copy))


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def printed(*command, **variables):
    run = subprocess.run(command, cwd=copy, env=dict(environment, **variables), stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{command} fails")
    return run.stdout


# ---- the sample


def listed():
    command = ["cargo", "mutants", "--list", "--json", "-p", "finalite", "--no-shuffle"]
    mutants = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    say(f"{len(mutants)} mutants in {len({mutant['file'] for mutant in mutants})} files")
    # By what they are and not by their place, so that a change of the source leaves the rest of the sample as it is.
    times = collections.Counter()

    def rank(mutant):
        text = f"{seed} {mutant['file']} {mutant['name'].split(': ', 1)[1]}"
        times[text] += 1
        return hashlib.sha256(f"{text} {times[text]}".encode()).digest()

    ranks = {mutant["name"]: rank(mutant) for mutant in mutants}
    chosen = sorted(mutants, key=lambda mutant: ranks[mutant["name"]])[:count]
    for number, mutant in enumerate(chosen):
        mutant["number"] = number
    return [mutant for mutant in chosen if re.search(only, mutant["name"])]


def refresh_copy():
    """Files that are the same keep their time, so that cargo builds no more than it must."""
    names = subprocess.run(["git", "ls-files", "-z"], check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    names = [name for name in names if name and os.path.isfile(name)]
    for name in names:
        put(copy / name, pathlib.Path(name).read_bytes())
    for path in copy.rglob("*"):
        if path.is_file() and str(path.relative_to(copy)) not in set(names):
            path.unlink()


def put(path, content):
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_switched(mutants):
    """The mutants' verdicts by switch.rs; the copy has those that can be switched."""
    scratch = home / "switched"
    shutil.rmtree(scratch, ignore_errors=True)
    for name in {mutant["file"] for mutant in mutants} | {"src/lib.rs"}:
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, scratch / name)
    lines = []
    for mutant in mutants:
        place = mutant["span"]["start"]
        fields = mutant["number"], mutant["file"], mutant["genre"], place["line"], place["column"]
        lines.append("\t".join(map(str, (*fields, re.sub(r"\s+", " ", mutant["replacement"])))))
    (home / "list").write_text("\n".join(lines))
    features = [f'feature="{feature}"' for feature in ["bundled", "default", *FEATURES.split(",")]]
    configuration = "\n".join([printed("rustc", "--print", "cfg"), *features])
    switch = home / "tools/debug/switch"
    verdicts = printed(switch, scratch, home / "list", FINALITE_CFG=configuration).split()
    library = scratch / "src/lib.rs"
    module = (scripts / "switch_module.rs").read_text()
    library.write_text(f"#![feature(const_eval_select, core_intrinsics)] {library.read_text()}\n{module}")
    for path in pathlib.Path("src").rglob("*.rs"):
        changed = scratch / path
        put(copy / path, (changed if changed.exists() else path).read_bytes())
    return dict(zip(map(int, verdicts[::2]), verdicts[1::2]))


def cargo(*arguments):
    """The messages of a build, and whether it succeeded."""
    command = ["cargo", *arguments, *FAST, "--message-format", "json"]
    run = subprocess.run(command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return messages, run.returncode == 0, run.stderr


def culprits(message):
    """The switches nearest before each primary span of an error, and whether they are in the same line."""
    for span in message["spans"]:
        if not span["is_primary"] or not span["file_name"].startswith("src/"):
            continue
        lines = (copy / span["file_name"]).read_text().split("\n")
        at, column = span["line_start"] - 1, span["column_start"] - 1
        while at >= 0:
            text = lines[at][:column] if column is not None else lines[at]
            numbers = re.findall(r"mutant_switch::on\((\d+)\)", text)
            if numbers:
                yield int(numbers[-1]), at == span["line_start"] - 1
                break
            at, column = at - 1, None


def settle(mutants):
    """The mutants that compile behind their switches. The others are marked."""
    by_number = {mutant["number"]: mutant for mutant in mutants}
    active = list(mutants)
    for turn in range(20):
        for number, verdict in write_switched(active).items():
            if verdict != "switched":
                by_number[number]["verdict"] = "apart" if verdict == "unknown" else verdict
        active = [mutant for mutant in active if "verdict" not in mutant]
        messages, passed, errors = cargo("check", *DRIVER, "--lib")
        say(f"turn {turn}: {len(active)} behind switches, the build {'passes' if passed else 'fails'}")
        if passed:
            return active
        found = {}
        for message in (m["message"] for m in messages if m["reason"] == "compiler-message"):
            if message["level"] == "error":
                for number, inside in culprits(message):
                    code = (message.get("code") or {}).get("code")
                    found.setdefault(number, (inside, code, message["message"]))
        if not found:
            sys.exit(errors[-4000:])
        for number, (inside, code, text) in found.items():
            mutant = by_number[number]
            returns = (mutant["function"] or {}).get("return_type", "")
            # With a switch, a function has two values of what may be one type of its own, or is not constant.
            differs = "impl " in returns and mutant["genre"] == "FnValue" or code == "E0015" or not inside
            mutant["verdict"] = "apart" if differs else "unviable"
            mutant["why"] = f"{code}: {text}"
        active = [mutant for mutant in active if "verdict" not in mutant]
    sys.exit("the mutants do not compile")


# ---- the tests

Test = collections.namedtuple("Test", "program path name")
# The directories in which test programs run: those of their crates.
home_of = {}


def built(*arguments):
    messages, passed, errors = cargo("test", "--no-run", *arguments)
    if not passed:
        rendered = [m["message"]["rendered"] for m in messages if m["reason"] == "compiler-message"]
        return None, "".join(rendered)[-3000:] + errors[-1000:]
    programs = {}
    for message in messages:
        if message["reason"] == "compiler-artifact" and message["executable"] and message["profile"]["test"]:
            home_of[message["executable"]] = os.path.dirname(message["manifest_path"])
            crate, name = os.path.basename(home_of[message["executable"]]), message["target"]["name"]
            name = name if "test" in message["target"]["kind"] else f"lib of {name}"
            programs[name if crate == copy.name else f"{crate}/{name}"] = message["executable"]
    return programs, ""


def execute(command, limit, **variables):
    """The status, at the first test that fails, None at the limit; and the output."""
    scratch = tempfile.mkdtemp(dir=home / "tmp")
    # Some tests go on as another user.
    os.chmod(scratch, 0o1777)
    with tempfile.TemporaryFile() as output:
        # With its own path, the program of the documentation runs each part in a process.
        variables = dict(environment, TMPDIR=scratch, RUSTDOC_DOCTEST_BIN_PATH=command[0], **variables)
        child = subprocess.Popen([*LIMITS, *command], cwd=home_of.get(command[0], copy), env=variables,
                                 start_new_session=True, stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=output)
        end = time.monotonic() + limit
        status, failed = None, False
        while status is None and not failed and time.monotonic() < end:
            try:
                status = child.wait(0.2)
            except subprocess.TimeoutExpired:
                # The others need not end.
                failed = b" ... FAILED\n" in os.pread(output.fileno(), 1 << 24, 0)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
        status = 101 if failed else status
    shutil.rmtree(scratch, ignore_errors=True)
    return status, text


def arguments(names):
    return ["--exact", "--test-threads=1", *names] if names != [""] else []


def run_tests(program, path, names, limit, mutant):
    """The outcome, and the names of tests that failed."""
    status, text = execute([path, *arguments(names)], limit, FINALITE_MUTANT=mutant)
    if status == 0:
        return "passed", []
    failed = re.findall(r"^test (.+?)(?: - should panic)? \.\.\. FAILED", text, re.M)
    # One that ends the process has a line without an end.
    failed = failed or re.findall(r"^test (.+?)(?: - should panic)? \.\.\. (?!ok|ignored)", text, re.M)
    failed = [name for name in failed if name in names] or names[:1]
    return ("timeout" if status is None else "caught"), failed


def tests_of(programs):
    tests = []
    for program, path in programs.items():
        if program == "doc":
            # Takes no arguments, and runs all.
            tests.append(Test(program, path, ""))
            continue
        try:
            chosen, ignored = (printed(path, "--list", *only_ignored) for only_ignored in ([], ["--ignored"]))
        except SystemExit as problem:
            say(f"left out: {problem}")
            continue
        names = set(re.findall(r"^(.*): test$", chosen, re.M)) - set(re.findall(r"^(.*): test$", ignored, re.M))
        tests += [Test(program, path, name) for name in sorted(names)]
    return tests


def record(test):
    """The mutants that the test reaches, and its seconds; None if it fails or is longer than others together."""
    seen = home / "tmp" / f"seen-{threading.get_ident()}"
    seen.write_text("")
    seen.chmod(0o666)
    begin = time.monotonic()
    command = [test.path, *arguments([test.name])]
    status, text = execute(command, 120, FINALITE_MUTANT="record", FINALITE_MUTANTS_SEEN=str(seen))
    seconds = time.monotonic() - begin
    reached = set(map(int, seen.read_text().split()))
    if status != 0:
        say(f"left out, {'too long' if status is None else 'fails'} without mutants: {test.program} {test.name}",
            "" if status is None else text[-600:])
        return test, None, seconds
    return test, reached, seconds


def judge(mutant, tests, reached, seconds):
    """Runs what reaches the mutant, until something fails."""
    number = mutant["number"]
    order = [test for test in tests if number in reached[test]]
    mutant["reached_by"] = mutant.get("reached_by", 0) + len(order)
    order.sort(key=lambda test: (len(reached[test]) * (0.05 + seconds[test])))
    for limit in SLICES:
        part, total = [], 0
        while order and (not part or total + seconds[order[0]] <= limit):
            total += seconds[order[0]]
            part.append(order.pop(0))
        by_program = collections.defaultdict(list)
        for test in part:
            by_program[test.program, test.path].append(test.name)
        for (program, path), names in by_program.items():
            while names:
                allowed = 20 + 10 * sum(seconds[Test(program, path, name)] for name in names)
                outcome, failed = run_tests(program, path, names, allowed, str(number))
                if outcome == "passed":
                    break
                control, _ = run_tests(program, path, failed[:1], allowed, "none")
                if control == "passed":
                    mutant["outcome"], mutant["by"] = outcome, f"{program} {failed[0]}"
                    return
                say(f"fails without the mutant, too: {program} {failed[0]}")
                names = [name for name in names if name != failed[0]]
    mutant["outcome"] = "missed"


def tell(mutant):
    fate = mutant.get("outcome") or mutant["verdict"]
    by = mutant.get("by") or f"reached by {mutant.get('reached_by', 'all')}"
    say(f"{fate:8}{mutant['number']:5} {mutant['name']} [{by}]")


def save(mutants):
    slim = [{key: value for key, value in mutant.items() if key != "diff"} for mutant in mutants]
    (home / "sample.json").write_text(json.dumps(slim, indent=1))


def interval(hits, of):
    """Wilson's, for 95 %."""
    z = 1.959964
    middle, half = hits + z * z / 2, z * (hits * (of - hits) / of + z * z / 4) ** 0.5
    return 100 * (middle - half) / (of + z * z), 100 * (middle + half) / (of + z * z)


def documented():
    """The programs of the documentation: one that runs as a test program does, where rustdoc makes that of them."""
    programs = home / "documented"
    shutil.rmtree(programs, ignore_errors=True)
    flags = f"-Z unstable-options --no-run --persist-doctests {programs} {environment['RUSTFLAGS']}"
    variables = dict(environment, RUSTDOCFLAGS=flags, RUSTC_BOOTSTRAP="1")
    if subprocess.run(["cargo", "test", "--quiet", *DRIVER, "--doc", *FAST], cwd=copy, env=variables).returncode != 0:
        say("the programs of the documentation do not compile")
    return {"doc": str(path) for path in programs.glob("merged_doctest_2024*/rust_out")}


def prepare(programs):
    """The tests, with the mutants that they reach and the seconds that they take."""
    tests, reached, seconds = tests_of(programs), {}, {}
    say(f"{len(tests)} tests in {', '.join(programs)}")
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for test, numbers, took in pool.map(record, tests):
            if numbers is not None:
                reached[test], seconds[test] = numbers, took
    say(f"recorded: {sum(seconds.values()):.0f} seconds of tests")
    return [test for test in tests if test in reached], reached, seconds


def judge_all(mutants, programs):
    active = [mutant for mutant in mutants if "verdict" not in mutant and mutant.get("outcome", "missed") == "missed"]
    prepared = prepare(programs)
    lock = threading.Lock()

    def one(mutant):
        judge(mutant, *prepared)
        with lock:
            tell(mutant)
            save(mutants)

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, active))


def apart(mutant):
    """One that cannot be switched: a build of its own, and the tests of the driver."""
    lines = pathlib.Path(mutant["file"]).read_text().split("\n")
    places = [mutant["span"]["start"], mutant["span"]["end"]]
    (first, left), (last, right) = [(place["line"], place["column"]) for place in places]
    changed = lines[first - 1][: left - 1] + mutant["replacement"] + lines[last - 1][right - 1 :]
    for path in pathlib.Path("src").rglob("*.rs"):
        put(copy / path, path.read_bytes())
    put(copy / mutant["file"], "\n".join([*lines[: first - 1], changed, *lines[last:]]).encode())
    if not cargo("check", *DRIVER, "--lib")[1]:
        mutant["verdict"] = "unviable"
        return
    programs, _ = built(*DRIVER, *PROGRAMS)
    if not programs:
        # The tests evaluate constants, too.
        mutant["outcome"], mutant["by"] = "caught", "the compiler"
        return
    for program in ("lib of finalite", "it", "types", "alone", "scan", "pages"):
        status, text = execute([programs[program]], 1800)
        if status != 0:
            failed = re.findall(r"^test (\S+).* \.\.\. FAILED", text, re.M)
            mutant["outcome"], mutant["by"] = ("timeout" if status is None else "caught"), f"{program} {failed[:1]}"
            return
    mutant["outcome"] = "missed"


def main():
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    mutants = listed()
    if not mutants:
        sys.exit(f"no mutant of the sample has a name with {only!r}")
    refresh_copy()
    settle(mutants)
    save(mutants)
    programs, errors = built(*DRIVER, *PROGRAMS)
    if not programs:
        sys.exit(errors)
    judge_all(mutants, programs)
    programs, errors = built(*OTHERS)
    if not programs:
        say(f"the other crates do not compile: {errors}")
    judge_all(mutants, {**(programs or {}), **documented()})
    for mutant in mutants:
        if mutant.get("verdict") == "apart":
            apart(mutant)
            tell(mutant)
            save(mutants)
    report(mutants)


def report(mutants):
    outcomes = collections.Counter(mutant.get("outcome") or mutant["verdict"] for mutant in mutants)
    hits = outcomes["caught"] + outcomes["timeout"]
    of = hits + outcomes["missed"]
    if not of:
        sys.exit("none of them ran")
    low, high = interval(hits, of)
    say("missed:")
    for mutant in mutants:
        if mutant.get("outcome") == "missed":
            say(f"  {mutant['name']} [reached by {mutant.get('reached_by', 'all')}]")
    say(f"{len(mutants)} mutants, seed {seed}: {outcomes['caught']} caught, {outcomes['timeout']} timeout, "
        f"{outcomes['missed']} missed, {outcomes['unviable']} unviable, {outcomes['absent']} absent")
    say(f"rate {100 * hits / of:.1f} % of {of}, {low:.1f} to {high:.1f} %")


main()
