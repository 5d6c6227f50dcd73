#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Breaks the scheduler's policy in one place at a time: a test of tests/sched must notice each.

  tests/sched/mutate.py [NAME]…     CC: the compiler
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
SIM = [f"tests/sched/{name}.c" for name in ("main", "scenarios", "fleet", "check", "program", "sim")]
UNIT = ["tests/sched/test_sched.c"]

# name: (file, what is there once, what is there instead, scenarios of the simulator; none: the unit test)
MUTANTS = {
    "idle processors take nothing over": ("look.c", "if (entity && (idle ||", "if (entity && (false ||", ["caps", "cheats", "odd"]),
    "busy processors take nothing over": ("look.c", "if (called || before(", "if (false && before(", ["odd", "wide"]),
    "work moves wherever it must not": ("look.c", "if (skip || !mask_holds(", "if (skip || false && !mask_holds(", ["fleet-zones"]),
    "locks in the wrong order": ("look.c", "if (victim_cpu < queue->cpu) {", "if (victim_cpu > queue->cpu) {", []),
    "the lock is let go on a stack": ("sched.c", "idle_or_steal(sched, queue, !was_idle,", "idle_or_steal(sched, queue, false,", []),
    "nobody is called for help": ("sched.c", "    if (released || !went_on)\n", "    if (false)\n", []),
    "an idle processor does not pass help on": ("sched.c", "if (was_idle && entity && !help)", "if (false)", []),
    "a wake-up is lost": ("sched.c", "entity->wake_again = true;", "entity->wake_again = false;", []),
    "who wakes up stays where it was": ("look.c", "return cpu == SCHED_NOBODY ? home : cpu;", "return home;", ["latency"]),
    "who wakes up interrupts nobody": ("queue.c", "return entity->due || before(entity->deadline, running->deadline);", "return false;", ["latency"]),
    "shares do not count": ("sched-internal.h", "return ns * VTIME_UNIT / get(&group->shares);", "return ns;", ["shares"]),
    "each vCPU has all shares": ("queue.c", "        entity->vtime = get(&group->vtime);", "        entity->vtime += vtime_of(group, SLICE);", ["wide"]),
    "short turns are free": ("account.c", "    if (contended)\n", "    if (contended && ns >= SLICE)\n", ["cheats"]),
    "sleep earns time": ("queue.c", "        entity->vtime = queue_woken_vtime(sched, queue, entity, &queue->random);",
                         "        set(&group->vtime, entity->vtime = get(&queue->level) - vtime_of(group, LAG));", ["cheats"]),
    "who cannot use its shares is owed them for good": ("look.c", "return any ? least - behind : vtime;", "return vtime;", ["latency", "wide", "tickless"]),
    "caps do not hold": ("account.c", "    if (!cap)\n        return SCHED_NEVER;", "    if (true)\n        return SCHED_NEVER;", ["caps"]),
    "caps let too much be saved up": ("sched-internal.h", "#define CAP_SAVED  MILLISECONDS(4)", "#define CAP_SAVED  MILLISECONDS(40)", ["caps"]),
    "a cap is each vCPU's": ("account.c", "        begin = MAX(old, now - MIN(now, CAP_SAVED));", "        begin = now - MIN(now, CAP_SAVED);", ["caps"]),
    "reservations do not hold": ("account.c", "return get(&group->reservation) && get(&group->due) <= now;", "return false;", ["reservations"]),
    "real-time waits its turn": ("sched.c", "queue->rt.root ? entity_of(queue->rt.root)", "queue->rt.root && !queue_first(queue) ? entity_of(queue->rt.root)", ["real-time"]),
    "real-time does not interrupt": ("queue.c", "        return !running->group->params.budget ||", "        return false && !running->group->params.budget &&", ["real-time"]),
    "real-time in no order": ("queue.c", "heap_insert(&queue->rt, &entity->ready, group->deadline);", "heap_insert(&queue->rt, &entity->ready, 0);", ["deadlines"]),
    "real-time budgets have no end": ("account.c", "        group->left -= (int64_t)ns;\n", "", ["real-time"]),
    "promises are not held against each other": ("group.c", "    if (promised <= cpus * SCHED_PROMISES)", "    if (true)", []),
    "real-time homes are never full": ("group.c", "    if (sched->queues[best]->promised + group->rt_load <= SCHED_PROMISES)", "    if (true)", []),
    "who is alone has a timer": ("sched.c", "        queue->tickless = true;\n        queue->contended = false;\n        return SCHED_NEVER;", "        return SLICE;", ["tickless"]),
    "spinners are not heard": ("sched.c", "        queue->resched = true;\n    }\n    unlock(sched, queue);\n    return there;", "    }\n    unlock(sched, queue);\n    return false;", ["spinners"]),
    "a hint starts a new turn": ("sched.c", "queue->turn_end = MIN(queue->turn_end, queue->next_end);", ";", []),
    "a slow processor holds on to who may leave": ("look.c", "    queue_bring_forward(queue, queue->behind);", "    ;", ["affinity"]),
    "the displaced call nobody": ("look.c", "    cpu = look_later(sched, entity->group, deadline, SCHED_NOBODY, &queue->random,", "    return SCHED_NOBODY;\n    cpu = look_later(sched, entity->group, deadline, SCHED_NOBODY, &queue->random,", ["displaced"]),
    "only who waits sets the level": ("queue.c", "*least = queue->current;", "*least = NULL;", ["wide"]),
    "interrupts are paid for by who is interrupted": ("sched.c", "    queue->other_ns += ns;\n", "", ["interrupts"]),
    "interrupts are paid for by nobody": ("account.c", "    if (kept)\n", "    if (false)\n", ["interrupts"]),
    "interrupts do not count for a cap": ("account.c", "    if (cap)\n        add(&group->cap_free, stretch(ns, cap));\n", "", ["interrupts"]),
    "a heap forgets its order": ("heap.c", "    if (before(b->key, a->key)) {", "    if (false) {", []),
    "a heap leans to the wrong side": ("heap.c", "        if (up->rank == old)\n            break;", "        if (up->rank == old || old > 1)\n            break;", []),
}


def run(name):
    file, old, new, scenarios = MUTANTS[name]
    with tempfile.TemporaryDirectory() as scratch:
        for part in ("base", "sched", "tests/sched"):
            shutil.copytree(TOP / part, pathlib.Path(scratch, part))
        path = pathlib.Path(scratch, "sched", file)
        text = path.read_text()
        if text.count(old) != 1:
            return name, f"its place is there {text.count(old)} times: {old!r}"
        path.write_text(text.replace(old, new))
        sources = [str(p.relative_to(scratch)) for part in ("base", "sched") for p in pathlib.Path(scratch, part).glob("*.c")]
        command = [os.environ.get("CC", "cc"), "-std=gnu17", "-O1", "-w", "-D_GNU_SOURCE", "-I.", "-o", "test", *sources]
        command += [*SIM, "-lm"] if scenarios else [*UNIT, "-lcmocka"]
        built = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        if built.returncode:
            return name, "does not compile:\n" + built.stderr
        try:
            done = subprocess.run([scratch + "/test", *scenarios], cwd=scratch, capture_output=True, timeout=120)
        except subprocess.TimeoutExpired:
            return name, None  # it hangs: that is noticed, too
        if scenarios and done.returncode == 2:
            return name, "no such scenario"
        return name, None if done.returncode else "nobody noticed"


def main():
    names = sys.argv[1:] or list(MUTANTS)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, wrong in pool.map(run, names):
            print(f"{name}: {wrong or 'noticed'}")
            bad += wrong is not None
    print(f"{len(names) - bad} of {len(names)} mutants noticed")
    return 1 if bad else 0


sys.exit(main())
