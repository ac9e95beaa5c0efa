"""Writes the wrappers of `.ci/c_calls.sh`: a `__wrap_` for each function of C that finalite calls and that can fail.

Arguments: sqlite3.h, faults.txt, docs/c_api.md (which `tests/tidy` keeps true to src/raw), the file to write. Prints the
arguments for the linker."""

import re
import sys

header, faults, api, target = sys.argv[1:]
HEAD = r"""
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include "sqlite3.h"

struct function { const char *name; uint64_t calls; };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int armed = -1, counting;
static uint64_t after, fired;
static const void *last;
extern char __executable_start;
enum { SITES = 4096 };
static const void *reached[SITES], *faulted[SITES];
static sqlite3 *left_open[64];
static int left_count;

static void note(const void **sites, const void *site) {
    for (int i = 0; i < SITES; i++) {
        if (sites[i] == site) return;
        if (!sites[i]) { sites[i] = site; return; }
    }
}

static uint64_t count(const void **sites) {
    uint64_t n = 0;
    while (n < SITES && sites[n]) n++;
    return n;
}

static struct function functions[];

/* Whether this call fails. */
static int is_due(int function, const void *site) {
    int due = 0;
    pthread_mutex_lock(&lock);
    if (counting) {
        functions[function].calls++;
        note(reached, site);
        if (function == armed) {
            if (after > 0) after--;
            else if (!fired) { due = 1; fired = 1; last = site; note(faulted, site); }
        }
    }
    pthread_mutex_unlock(&lock);
    return due;
}

static void tell(sqlite3 *db, int code) { if (db) sqlite3_set_errmsg(db, code, 0); }

/* Lets the call of a function fail that comes after `n` others; -1 counts calls alone. */
void finalite_faults_arm(int function, uint64_t n) {
    pthread_mutex_lock(&lock);
    armed = function; after = n; fired = 0; counting = 1;
    pthread_mutex_unlock(&lock);
}

/* Returns how many calls have failed. */
uint64_t finalite_faults_disarm(void) {
    pthread_mutex_lock(&lock);
    armed = -1; counting = 0;
    uint64_t n = fired;
    pthread_mutex_unlock(&lock);
    return n;
}

const char *finalite_faults_name(int function) { return functions[function].name; }
uint64_t finalite_faults_calls(int function) { return functions[function].calls; }
/* The address that the call that failed last returns to, for addr2line. */
uint64_t finalite_faults_site(void) { return (uint64_t)((const char *)last - &__executable_start); }
uint64_t finalite_faults_reached(void) { return count(reached); }
uint64_t finalite_faults_faulted(void) { return count(faulted); }

int __real_sqlite3_close(sqlite3 *);

/* Closes the connections whose closing has failed and that nobody has closed since. */
int finalite_faults_close_left(void) {
    int n = 0;
    for (; left_count > 0; left_count--) {
        if (!left_open[left_count - 1]) continue;
        __real_sqlite3_close(left_open[left_count - 1]);
        n++;
    }
    return n;
}

static int close_again(sqlite3 *db) {
    for (int i = 0; i < left_count; i++) if (left_open[i] == db) left_open[i] = 0;
    return __real_sqlite3_close(db);
}
"""


def arguments(text):
    """The arguments as declared, each with the name p0, p1 and so on."""
    if text.strip() in ("", "void"):
        return []
    parts, depth, part = [], 0, ""
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += character
    declared = []
    for number, argument in enumerate([*parts, part]):
        argument = " ".join(argument.split())
        if argument == "...":
            declared += [f"long p{number}", f"long p{number + 1}", f"long p{number + 2}"]
        elif re.search(r"\(\s*\*", argument):
            declared.append(re.sub(r"\(\s*\*\s*\w*\s*\)", f"(*p{number})", argument, count=1))
        else:
            words = re.match(r"^(.*[\s*])(\w+)$", argument)
            types = {"int", "char", "double", "long", "unsigned", "sqlite3", "void"}
            if words and words[2] not in types and not words[2].startswith("sqlite3_") and words[1].strip() != "const":
                argument = words[1]
            declared.append(f"{argument} p{number}")
    return declared


text = re.sub(r"/\*.*?\*/", "", open(header).read(), flags=re.S)
declared = {}
for match in re.finditer(r"SQLITE_API\s+([^;{}()]*?)\b(sqlite3\w+)\s*\((.*?)\)\s*;", text, flags=re.S):
    declared.setdefault(match[2], (" ".join(match[1].split()), match[3]))
called = {line.split("`")[1] for line in open(api) if "| called |" in line}
table = {}
for line in open(faults):
    if line.strip() and not line.startswith("#"):
        name, rest = line.split(maxsplit=1)
        table[name] = rest
if called != set(table):
    sys.exit(f"{faults}: too much or missing: {sorted(called ^ set(table))}")

code, wrapped = HEAD, []
for name, rest in table.items():
    how, *more = rest.split()
    if how == "no:":
        continue
    returned, given = declared[name]
    number = len(wrapped)
    wrapped.append(name)
    given = arguments(given)
    names = ", ".join(f"p{index}" for index in range(len(given)))
    signature = ", ".join(given) or "void"
    db = "0"
    if given and re.match(r"sqlite3 ?\* ?p0", given[0].replace("*p0", "* p0")):
        db = "p0"
    elif given and given[0].startswith("sqlite3_stmt"):
        db = "sqlite3_db_handle(p0)"
    variadic = "..." in declared[name][1]
    real = f"{returned} __real_{name}({', '.join(given[:2]) + ', ...' if variadic else signature});"
    body = [f"if (!is_due({number}, __builtin_return_address(0))) return __real_{name}({names});"]
    if how == "keep":
        body[0] = body[0].replace(f"__real_{name}", "close_again")
    if how == "null":
        if more:
            body[0] = body[0].replace("if (", f"if (!p{more[1]} || ", 1)
        body.append("return 0;")
    elif how == "keep":
        body.append(f"left_open[left_count++] = p0; tell({db}, SQLITE_BUSY); return SQLITE_BUSY;")
    elif how == "lie":
        # Asked before, as what it belongs to may be free afterwards.
        body += [] if name == "sqlite3_open_v2" else [f"sqlite3 *db = {db};"]
        opened = "*p1" if name == "sqlite3_open_v2" else "db"
        body.append(f"__real_{name}({names}); tell({opened}, SQLITE_NOMEM); return SQLITE_NOMEM;")
    elif how == "refuse":
        while more:
            if more[0] == "out":
                body.append(f"*p{more[1]} = 0;")
                more = more[2:]
            else:
                destructor = f"p{more[2]}"
                body.append(
                    f"if ({destructor} && {destructor} != SQLITE_TRANSIENT) {destructor}((void *)p{more[1]});"
                )
                more = more[3:]
        body.append(f"tell({db}, SQLITE_NOMEM); return SQLITE_NOMEM;")
    else:
        sys.exit(f"{faults}: {name} {how}")
    code += f"\n{real}\n{returned} __wrap_{name}({signature}) {{\n    " + "\n    ".join(body) + "\n}\n"
code += "\nstatic struct function functions[] = {\n" + "".join(f'    {{"{name}", 0}},\n' for name in wrapped)
code += "    {0, 0},\n};\n"
open(target, "w").write(code)
print("\n".join(f"-Clink-arg=-Wl,--wrap={name}" for name in wrapped))
