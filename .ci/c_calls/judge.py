"""Judges the calls whose failure nothing has told of: the lines `FUNCTION: SCENARIO, site ADDRESS, not told` of a log.
Arguments: the program, the log, untold.txt. Prints what is not accepted there, and fails."""

import re
import subprocess
import sys

program, log, accepted = sys.argv[1:]
accepted = [
    [part.strip() for part in line.split("|")]
    for line in open(accepted)
    if line.strip() and not line.startswith("#")
]
untold = sorted(set(re.findall(r"^(\w+): (.*), site (0x[0-9a-f]+), not told$", open(log).read(), re.M)))
places = {}
for site in {site for _, _, site in untold}:
    # The instruction before the one that the call returns to.
    address = hex(int(site, 16) - 1)
    places[site] = subprocess.run(
        ["addr2line", "-f", "-C", "-i", "-e", program, address], capture_output=True, text=True, check=True
    ).stdout.split("\n")[:10]
used, refused = set(), []
for function, scenario, site in untold:
    for number, (name, place, where, _) in enumerate(accepted):
        is_place = place == "*" or any(place in line for line in places[site])
        if name == function and is_place and where in ("*", scenario):
            used.add(number)
            break
    else:
        refused.append(f"{function}, {scenario}: {' '.join(places[site][:6])}")
print(f"{len(untold)} pairs of scenario and call site are not told, {len(refused)} of them not accepted")
print("\n".join(refused))
for number, line in enumerate(accepted):
    if number not in used:
        print("accepted and not found:", " | ".join(line))
sys.exit(1 if refused else 0)
