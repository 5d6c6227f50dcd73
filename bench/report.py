# SPDX-License-Identifier: GPL-2.0-or-later
"""What is made of the rows: ratios, means of groups, tables for the terminal and for README.md."""

import math

from subjects import NATIVE, TCG

# What each group has to reach: of the groups' means and of each row. Speed beside TCG (more is better), time beside native.
WANTED = {
    "integer": {"speed": 2.0, "native": 1.8, "least": 1.0},
    "fp": {"speed": 12.0, "least": 1.0},
    "memory": {"speed": 3.0, "least": 1.0},
    "system": {"speed": 1.5, "least": 1.0},
    "boots": {"least": 1 / 0.6},
    "programs": {"speed": 3.0, "least": 1.2},
    "smp": {},
    "idle": {},
}
TITLES = {
    "integer": "integer kernels", "fp": "floating point and vectors", "memory": "memory", "system": "system calls",
    "boots": "boots", "programs": "real programs", "smp": "two processors", "idle": "idle guests",
}
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def speed_beside(row, who, peer):
    """How many times as fast as the peer; None where one of them has no value."""
    mine, theirs = row["values"].get(who), row["values"].get(peer)
    if not mine or not theirs:
        return None
    return theirs / mine if row["better"] == "less" else mine / theirs


def geomean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def group_mean(rows, who, peer):
    """Geometric mean over the group's programs; rows of a family are one program."""
    families = {}
    for row in rows:
        ratio = speed_beside(row, who, peer)
        if ratio:
            families.setdefault(row["family"], []).append(ratio)
    return geomean([geomean(ratios) for ratios in families.values()])


def by_group(rows):
    return {group: members for group in WANTED if (members := [row for row in rows if row["group"] == group])}


def verdicts(group, rows, engine):
    """Sentences: what was wanted, and whether it was reached."""
    wanted = WANTED[group]
    speed, native = group_mean(rows, engine, TCG), group_mean(rows, engine, NATIVE)
    ratios = {row["what"]: speed_beside(row, engine, TCG) for row in rows}
    known = {what: ratio for what, ratio in ratios.items() if ratio}
    lines = []

    def judge(text, value, good):
        lines.append(f"{'ok    ' if good else 'MISSED'} {text}: {value:.2f}")

    if "speed" in wanted and speed:
        judge(f"mean speed ≥ {wanted['speed']:.3g} × TCG", speed, speed >= wanted["speed"])
    if "native" in wanted and native:
        judge(f"mean time ≤ {wanted['native']:.3g} × native", 1 / native, 1 / native <= wanted["native"])
    if "least" in wanted and known:
        least = min(known, key=known.get)
        judge(f"none below {wanted['least']:.3g} × TCG, the least is {least}", known[least], known[least] >= wanted["least"])
    missing = [what for what, ratio in ratios.items() if not ratio and "least" in wanted]
    if missing and TCG in {name for row in rows for name in row["values"]}:
        lines.append(f"MISSED no ratio for {', '.join(missing)}")
    return lines + (single_verdicts(rows, engine) if group in ("smp", "idle") else [])


def single_verdicts(rows, engine):
    """Rows with a limit of their own."""
    limits = {"two processes beside one": (">=", 1.8), "memory beside RAM and code cache": ("<=", 16),
              "an idle guest": ("<=", 2), "ten idle guests": ("<=", 10)}
    lines = []
    for row in rows:
        value = row["values"].get(engine)
        if value is None:
            continue
        sign, limit = limits.get(row["what"], ("×", 1))
        if sign == "×":
            value = speed_beside(row, engine, TCG) or 0
            lines.append(f"{'ok    ' if value >= 1 else 'MISSED'} {row['what']} not slower than TCG: {value:.2f}")
        else:
            good = value >= limit if sign == ">=" else value <= limit
            lines.append(f"{'ok    ' if good else 'MISSED'} {row['what']} {sign} {limit} {row['unit']}: {value:.2f}")
    return lines


def number(value):
    if value is None:
        return "-"
    return f"{value:.3g}" if 0.001 <= abs(value) < 1000 else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.2e}"


def print_columns(table):
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def seconds_text(row, who):
    value = row["values"].get(who)
    if value is None or row["unit"] != "s":
        return number(value)
    for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def print_side_by_side(rows, engines):
    """One table a group; the ratios are of the first engine."""
    engine = engines[0] if engines else TCG
    for group, members in by_group(rows).items():
        subjects = [name for name in (NATIVE, *engines, TCG) if any(name in row["values"] for row in members)]
        table = [(TITLES[group], *subjects, "× TCG", "÷ native")]
        for row in members:
            native = speed_beside(row, engine, NATIVE)
            unit = "" if row["unit"] == "s" else f" ({row['unit']})"
            table.append((row["what"] + unit, *(seconds_text(row, who) for who in subjects),
                          number(speed_beside(row, engine, TCG)), number(1 / native if native else None)))
        if "speed" in WANTED[group]:
            native = group_mean(members, engine, NATIVE)
            table.append(("geometric mean", *("" for _ in subjects), number(group_mean(members, engine, TCG)),
                          number(1 / native if native else None)))
        print()
        print_columns(table)
        for line in verdicts(group, members, engine) if engines else []:
            print(f"  {line}")


def print_light(rows):
    light = [row for row in rows if row["group"] == "light"]
    if not light:
        return
    head = ("what", "unit", "batuta", "peer", "", "ratio", "wanted")
    print()
    print_columns([head] + [(row["what"], row["unit"], number(row["batuta"]), number(row["peer"]), row["peer_name"],
                             number(row["ratio"]), row["wanted"]) for row in light])


def markdown(document):
    """README.md's table: a line a group, with the best and the worst in it."""
    engine, rows = document["engines"][0], document["rows"]
    lines = [f"| `--engine {engine}` | speed beside QEMU TCG | from … to | time beside native |", "|---|---|---|---|"]
    for group, members in by_group(rows).items():
        ratios = sorted((ratio, row["what"]) for row in members if (ratio := speed_beside(row, engine, TCG)))
        if not ratios or group == "idle":
            continue
        if group in ("smp", "boots"):
            lines += [f"| {row['what']} | **{ratio:.1f} ×** | | {time_beside_native([row], engine)} |" for row in members
                      if row["unit"] == "s" and (ratio := speed_beside(row, engine, TCG))]
            continue
        (low, worst), (high, best) = ratios[0], ratios[-1]
        lines.append(f"| {TITLES[group]} ({len(members)}) | **{group_mean(members, engine, TCG):.1f} ×** | "
                     f"{low:.1f} ({worst}) … {high:.1f} ({best}) | {time_beside_native(members, engine)} |")
    lines.append("")
    for row in (row for group in by_group(rows).values() for row in group):
        if row["unit"] != "s" and engine in row["values"]:
            lines.append(f"- {row['what']}: {number(row['values'][engine])} {row['unit']}"
                         f" (QEMU TCG: {number(row['values'].get(TCG))})")
    lines += ["", f"{document['date']}, {document['host']}; QEMU {document['qemu']}; medians of {document['repeat']}, one vCPU, "
              "the same kernel, root and binaries on all. Made by `make bench bench-readme`."]
    return "\n".join(lines)


def time_beside_native(rows, engine):
    native = group_mean(rows, engine, NATIVE)
    return f"{1 / native:.1f} ×" if native else ""


def rewrite_readme(path, document):
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{path}: the lines '{BEGIN}' and '{END}', between which the table belongs, are missing")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{markdown(document)}\n{END}{after}", encoding="utf-8")
