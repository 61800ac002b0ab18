"""Every `media-assets` command line in the documentation is one that the program takes."""

from __future__ import annotations

import importlib

import click
import pytest

from media_assets_tests.docs.pages import ROOT, Command, commands, markdown_pages, shell_lines

ALL_COMMANDS = sorted({command for page in markdown_pages() for command in commands(page)}, key=str)
_PLACEHOLDERS = ("…", "...", "[", "<")


def _program() -> click.Command:
    main = importlib.import_module("media_assets.cli").main
    assert isinstance(main, click.Command), "media_assets.cli.main must be the click command"
    return main


def complaint(program: click.Command, words: tuple[str, ...], *, is_whole: bool) -> str | None:
    """What is wrong with these words after `media-assets`, or None; in prose, arguments may be left out."""
    context = click.Context(program, info_name="media-assets")
    command, rest = program, list(words)
    while isinstance(command, click.Group):
        flags = {flag for parameter in command.get_params(context) for flag in parameter.opts}
        while rest and rest[0] in flags:
            rest.pop(0)
            if "--help" in flags and not rest:
                return None
        if not rest:
            return "a command is missing" if is_whole else None
        name = rest.pop(0)
        if name.startswith(_PLACEHOLDERS) and not is_whole:
            return None
        found = command.get_command(context, name)
        if found is None:
            return f"{context.command_path} has no command {name!r}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    return _bad_parameters(command, context, rest, is_whole=is_whole)


def _bad_parameters(command: click.Command, context: click.Context, words: list[str], *, is_whole: bool) -> str | None:
    known = {flag for p in command.get_params(context) for flag in (*p.opts, *p.secondary_opts)}
    if not is_whole:
        unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
        return f"no such option: {unknown}" if unknown else None
    try:
        values, extra, _ = command.make_parser(context).parse_args(args=list(words))
    except click.UsageError as error:
        return error.format_message()
    if extra:
        return f"too many arguments: {extra}"
    needed = [p.human_readable_name for p in command.params if p.required and not _is_given(values.get(p.name))]
    return f"missing: {needed}" if needed and not {"--help", "-h"} & set(words) else None


def _is_given(value: object) -> bool:
    return isinstance(value, str | int | float | tuple | list) and value not in ((), [])


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=str)
def test_command_is_one_that_the_program_takes(command: Command) -> None:
    assert complaint(_program(), command.arguments, is_whole=command.is_whole) is None


def test_the_readme_shows_commands() -> None:
    shown = {command.arguments[0] for command in ALL_COMMANDS if command.page == "README.md" and command.is_whole}
    assert {"status", "dead-letters"} <= shown


def test_make_targets_in_shell_blocks_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {line.split(":")[0] for line in makefile.splitlines() if ":" in line and not line.startswith(("\t", "#"))}
    named = set()
    for page in markdown_pages():
        for line in shell_lines(page.read_text("utf-8")):
            words = line.split(" #")[0].split()
            if words[0] == "make":
                named |= {word for word in words[1:] if "=" not in word and not word.startswith("-")}
    assert named
    assert named <= targets


@click.group()
def _example() -> None:
    """A program to judge the judge by."""


@_example.command("list")
@click.option("--stage")
@click.option("--json", "as_json", is_flag=True)
@click.argument("batch", required=True)
def _list(**_: object) -> None:
    """List."""


@pytest.mark.parametrize(
    ("words", "is_whole", "want"),
    [
        ("list b1", True, None),
        ("list --stage raw.media --json b1", True, None),
        ("list --help", True, None),
        ("--help", True, None),
        ("lists b1", True, "no command"),
        ("list --staged x b1", True, "No such option"),
        ("list", True, "missing"),
        ("list b1 b2", True, "too many"),
        ("", True, "missing"),
        ("list", False, None),
        ("list …", False, None),
        ("list --staged", False, "no such option"),
        ("lists", False, "no command"),
    ],
)
def test_wrong_commands_are_found(words: str, is_whole: bool, want: str | None) -> None:
    got = complaint(_example, tuple(words.split()), is_whole=is_whole)
    assert got is None if want is None else got is not None and want in got
