"""How a command that cannot go on ends: a message, an exit code, and with `--json` one document.

Not here: what the commands do (`cli.py`), or how a message looks (`cli_output.py`).
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from media_assets.cli_output import Output
from media_assets.errors import MediaAssetsError, StoreFailed


class Commands(click.Group):
    """Turns our own errors into a message and exit code 1; anything else is a bug and keeps its traceback.

    Ctrl-C is no error: what is done stays done, and the exit code is the one that shells expect.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the program; with `--json`, what the arguments lack is told in JSON as well."""
        words = list(sys.argv[1:] if args is None else args)
        if not standalone_mode or "--json" not in words:
            return super().main(words, prog_name, complete_var, standalone_mode, **extra)
        try:
            code = super().main(words, prog_name, complete_var, False, **extra)
        except click.ClickException as error:
            error.show()
            Output(as_json=True).error_document(error, error.format_message())
            sys.exit(error.exit_code)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        output = Output("--json" in [*ctx._protected_args, *ctx.args])
        try:
            return super().invoke(ctx)
        except MediaAssetsError as error:
            output.failure(error)
            ctx.exit(1)
        except KeyboardInterrupt as interrupt:
            output.interrupted()
            ctx.exit(128 + getattr(interrupt, "signal_number", signal.SIGINT))
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):  # a reader that has seen enough
            raise
        except Exception as error:
            if (told := _told(error)) is None:
                raise
            output.failure(told)
            ctx.exit(1)


def _told(error: Exception) -> MediaAssetsError | None:
    """What to say of a store that failed, which is not our bug: its own error may be a page long, or hold a key."""
    from media_assets.defs.resources import Settings
    from media_assets.lake.store_errors import READ_ERRORS, STORE_ERRORS, refused, store_code

    if isinstance(error, READ_ERRORS) and store_code(error) is not None:
        return refused(error, Settings.from_environment().location().root)
    if not isinstance(error, STORE_ERRORS):
        return None
    lines = [re.sub(r"\x1b\[[0-9;]*m|↳", "", line).strip() for line in str(error).splitlines()]
    told = ": ".join(line for line in lines if line)[:500]
    return StoreFailed(
        f"Expected the lake and the files named to be read and written, got {type(error).__name__}: {told}. See "
        f"`media-assets doctor`, mend what it names, then run the same again."
    )
