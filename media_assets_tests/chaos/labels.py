"""`labels`: a real Label Studio is pushed into and pulled from while everything between breaks, at random.

A round pushes some tasks and pulls what people have answered, in a process of its own, through a proxy that breaks one
kind of call, or until that process is killed: at any moment, or between an import and its record. Meanwhile people
answer. At the end each task must be there once, every answer back once, and nothing that anybody worked on deleted.
Not here: the process (`label_errand.py`), the proxy (`services/fault_proxy.py`), and the server.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from media_assets_tests.chaos.label_errand import LabelErrand, Ledger, begin, run_errand
from media_assets_tests.chaos.result import Options, Result, say
from media_assets_tests.services.availability import Unavailable
from media_assets_tests.services.fault_proxy import Fault, FaultProxy, running_fault_proxy
from media_assets_tests.services.label_studio import LabelStudioServer, running_label_studio
from media_assets_tests.services.labels import CONFIG, chosen, counted

KILL, KILL_BEFORE_RECORD, NOTHING = "kill -9", "kill -9 before the record", "nothing"
KINDS = (*Fault, KILL, KILL, KILL_BEFORE_RECORD, KILL_BEFORE_RECORD, NOTHING)
N_ROUNDS, N_ROUNDS_SMALL = 200, 10
_PER_ROUND = (1, 9)
_TIMEOUT_SECONDS = 1.0


@dataclass
class Drill:
    """One drill under way. `answers`: what people have answered, by the server's id of the answer."""

    server: LabelStudioServer
    proxy: FaultProxy
    project: int
    ledger: Ledger
    result: Result
    draw: random.Random
    n_tasks: int = 0
    answers: dict[int, str] = field(default_factory=dict)
    people: list[int] = field(default_factory=list)


def run(folder: Path, options: Options) -> Result:
    """All rounds, then one undisturbed, then the count; skipped where there is no Label Studio."""
    result = Result("labels", options.seed)
    try:
        with running_label_studio(folder / "server") as server:
            endure(server, folder / "ledger.sqlite", result, N_ROUNDS_SMALL if options.small else N_ROUNDS)
    except Unavailable as reason:
        result.skipped = str(reason)
    return result


def endure(server: LabelStudioServer, ledger: Path, result: Result, n_rounds: int) -> None:
    """The drill on a server that runs."""
    draw = random.Random(f"{result.seed}/labels")
    with running_fault_proxy(server.url) as proxy, Ledger(ledger) as kept:
        proxy.stall_seconds, proxy.late_seconds = 2 * _TIMEOUT_SECONDS, 0.7
        drill = Drill(server, proxy, server.project(CONFIG, annotators=2), kept, result, draw)
        drill.people = [server.user(name) for name in ("anna", "ben", "cleo")]
        for number in range(n_rounds):
            _round(drill, KINDS[number % len(KINDS)] if number < len(KINDS) else draw.choice(KINDS))
            if number % 20 == 19:
                say(f"labels: {number + 1} rounds, {result.kills} kills, {result.faults} faults")
        proxy.judge = lambda _method, _path: None
        proxy.settle()
        for _ in range(2):  # what a killed process left behind is for the next to find
            drill.result.promise("an undisturbed round ends well", holds=run_errand(_errand(drill, server.url)) == 0)
        _count(drill)


def _round(drill: Drill, kind: str) -> None:
    drill.n_tasks += drill.draw.randint(*_PER_ROUND)
    drill.proxy.judge = _judge(drill.draw, Fault(kind)) if kind in tuple(Fault) else lambda _method, _path: None
    errand = _errand(drill, drill.proxy.url, dies_at=drill.draw.randint(1, 3) if kind == KILL_BEFORE_RECORD else 0)
    drill.result.count("rounds", kind)
    broken = drill.proxy.n_broken
    process = begin(errand)
    people = threading.Thread(target=_answer, args=(drill, drill.draw.randint(0, 3)), daemon=True)
    people.start()
    if kind == KILL:
        time.sleep(drill.draw.uniform(0.05, 1.5))
        process.kill()
    process.join(120)
    people.join(120)
    was_killed = process.exitcode == -9
    drill.result.kills += was_killed
    drill.result.faults += was_killed + drill.proxy.n_broken - broken
    is_expected = process.exitcode in (0, 1) or (was_killed and kind in (KILL, KILL_BEFORE_RECORD))
    drill.result.promise("a push ends well, or says why it does not", holds=is_expected, case=f"{process.exitcode}")


def _judge(draw: random.Random, fault: Fault) -> Callable[[str, str], Fault | None]:
    """Break some imports always, and other calls now and then."""
    left = draw.randint(1, 3)

    def judge(method: str, path: str) -> Fault | None:
        nonlocal left
        is_import = method == "POST" and "/import" in path
        if left and (is_import or draw.random() < 0.1):
            left -= 1
            return fault
        return None

    return judge


def _errand(drill: Drill, url: str, dies_at: int = 0) -> LabelErrand:
    return LabelErrand(url, drill.project, drill.n_tasks, str(drill.ledger.path), dies_at, _TIMEOUT_SECONDS)


def _answer(drill: Drill, n_answers: int) -> None:
    """People answer tasks that they find in Label Studio, change an answer, or take one back."""
    for _ in range(n_answers):
        task_id = drill.server.any_task(drill.project, drill.draw.random())
        if task_id is None:
            return
        label = drill.draw.choice(("cat", "dog"))
        what = drill.draw.random()
        if drill.answers and what < 0.3:
            known = drill.draw.choice(sorted(drill.answers))
            if what < 0.1:
                drill.server.call("DELETE", f"/api/annotations/{known}/")
                del drill.answers[known]
            else:
                drill.server.call("PATCH", f"/api/annotations/{known}/", {"result": chosen(label)})
                drill.answers[known] = label
        else:
            answer = drill.server.annotate(task_id, chosen(label), drill.draw.choice(drill.people))
            drill.answers[answer] = label


def _count(drill: Drill) -> None:
    """Hold what the server and the ledger have against what was asked and answered."""
    result, stored = drill.result, drill.server.tasks(drill.project)
    keys = {task.task_key for task in _errand(drill, "").tasks()}
    times = counted(stored)
    answered = Counter(task["data"]["task_key"] for task in stored if task["annotations"])
    lost = keys - set(times)
    twice = {key: n for key, n in times.items() if n > max(1, answered[key])}
    result.lost, result.twice = len(lost), sum(n - 1 for n in twice.values())
    result.promise("each task is there once", holds=not lost and not twice, case=f"{len(lost)} lost, {twice}")
    result.promise("nothing else is there", holds=set(times) <= keys)
    result.promise("each has its prediction once", holds={len(task["predictions"]) for task in stored} == {1})
    there = {each["id"]: _label(each) for task in stored for each in task["annotations"]}
    result.promise("we delete no answer", holds=there == drill.answers, case=f"{len(there)}/{len(drill.answers)}")
    recorded = drill.ledger.answers()
    result.promise("every answer is back once, as it is now", holds=recorded == drill.answers, case=f"{len(recorded)}")
    ids = {task["data"]["task_key"]: task["id"] for task in stored if times[task["data"]["task_key"]] == 1}
    known = drill.ledger.ids()
    result.promise("what is recorded is what is there", holds=all(known.get(key) == each for key, each in ids.items()))
    result.detail |= {
        "tasks": len(times),
        "answers": len(there),
        "copies_that_people_worked_on": sum(n - 1 for n in answered.values() if n > 1),
        "unanswered_imports_that_came_late": len(drill.proxy.late),
    }


def _label(answer: Any) -> str:
    return str(answer["result"][0]["value"]["choices"][0])
