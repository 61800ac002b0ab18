"""`kills`: `kill -9` of runs, workers and process groups, at every named point and at random moments."""

from __future__ import annotations

from pathlib import Path

from media_assets_tests.chaos.commands import play_commands
from media_assets_tests.chaos.points import make_scenes, named_cases, play, random_cases
from media_assets_tests.chaos.result import Options, Result
from media_assets_tests.shelf import Shelf

N_ITEMS = 12


def run(folder: Path, options: Options) -> Result:
    """Light processes first, the command line after; small: named points once, a few random moments, no commands."""
    result = Result("kills", options.seed)
    with Shelf() as first, Shelf() as second:
        scenes = make_scenes(folder / "light", (first, second), N_ITEMS)
        sizes = (2, 2, 2) if options.small else (120, 80, 60)
        n_each = 1 if options.small else 5
        cases = [*named_cases(scenes, n_each, options.seed), *random_cases(scenes, *sizes, options.seed)]
        play(cases, result)
    play_commands(folder / "commands", 1 if options.small else 10, options.seed, result)
    return result
