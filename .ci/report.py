"""Puts a measured row into a table of a document: between `<!-- generated: NAME -->` and `<!-- end -->`, in place of the
row with the same first cell. Arguments: the document, NAME, the cells."""

import sys

path, name, *cells = sys.argv[1:]
lines = open(path, encoding="utf-8").read().split("\n")
begin = lines.index(f"<!-- generated: {name} -->")
end = lines.index("<!-- end -->", begin)
row = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
old = [at for at in range(begin, end) if lines[at].startswith(f"| {cells[0]} |")]
lines[old[0] if old else end : old[0] + 1 if old else end] = [row]
open(path, "w", encoding="utf-8").write("\n".join(lines))
