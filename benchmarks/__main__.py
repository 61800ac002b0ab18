"""`make bench`: every benchmark with its own settings, or those that are named; each leaves its dated result.

    python -m benchmarks [batch_size] [images] [keyframes] [reader] [uploads]        python -m benchmarks.images --help

One benchmark with other settings is started by its own name.
"""

from __future__ import annotations

import argparse
import importlib

BENCHMARKS = ("batch_size", "images", "keyframes", "reader", "uploads")


def main() -> None:
    """Measure one after the other, in processes that each benchmark starts itself."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; default: all")
    names = parser.parse_args().names or BENCHMARKS
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"expected benchmarks of {', '.join(BENCHMARKS)}, got {', '.join(unknown)}")
    for name in names:
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main([])


if __name__ == "__main__":
    main()
