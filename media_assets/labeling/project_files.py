"""Labelling projects: what is asked, of how many people, how often; read from TOML files with a template beside them.

Not here: Label Studio itself, but for its own judgement of a configuration.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import quoteattr

import msgspec

from media_assets.curation.answers import QuestionKind
from media_assets.curation.priorities import Weights
from media_assets.errors import SetupError
from media_assets.tables.labels import PROJECT

_MARKER = re.compile(r"(?P<indent>[ \t]*)\{\{(?P<tag>[A-Za-z]+) (?P<list>labels|methods)\}\}")
_SHIPPED = "media_assets.labeling.projects"


class LabelProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One question to people, about frames or videos of some batches.

    `annotators`: people asked about each subject. `per_day`: tasks pushed on one day. `per_batch`: tasks of one batch.
    `gold_share`: part of the tasks, 0 to 1, that an expert answers too. `accepts_agreed`: whether what people agree on
    is in use at once; else a reviewer accepts it. `batches`: the batches it is for, as a glob.
    """

    name: str
    title: str
    kind: QuestionKind
    subject: Literal["frame", "video"]
    template: str
    labels: tuple[str, ...]
    methods: tuple[str, ...] = ()
    abstentions: tuple[str, ...] = ()
    annotators: int = 2
    per_day: int = 500
    per_batch: int = 200
    gold_share: float = 0.0
    accepts_agreed: bool = True
    batches: str = "*"
    weights: Weights = Weights()
    config: str = ""  # the template with the labels in it

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        faults = [
            (re.fullmatch(PROJECT, self.name) is None, f"a name that matches {PROJECT}, got {self.name!r}"),
            (len(self.title) < 3, f"a title of three characters or more, got {self.title!r}"),
            (not self.labels or len(set(self.labels)) < len(self.labels), f"labels, no two alike, got {self.labels}"),
            (not set(self.abstentions) <= set(self.labels), f"abstentions among the labels, got {self.abstentions}"),
            (min(self.annotators, self.per_batch) < 1, "annotators and per_batch of 1 or more"),
            (self.per_day < 0, f"per_day of 0 or more, got {self.per_day}"),
            (not 0 <= self.gold_share <= 1, f"a gold_share of 0 to 1, got {self.gold_share}"),
            (
                self.kind is QuestionKind.TIMELINE and self.subject != "video",
                "the subject video where times are asked for",
            ),
            (
                self.kind is QuestionKind.BOXES and self.subject != "frame",
                "the subject frame where boxes are asked for",
            ),
        ]
        if told := [expected for is_fault, expected in faults if is_fault]:
            raise ValueError("expected " + "; ".join(told))


def shipped_projects() -> tuple[str, ...]:
    """Names of the projects that come with the package."""
    names = (entry.name for entry in files(_SHIPPED).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def open_project(name_or_path: str) -> LabelProject:
    """A project that comes with the package, by its name, or any other by the path of its TOML file.

    Raises:
        SetupError: there is no such file, or it describes no project.
    """
    file: Traversable
    if name_or_path in shipped_projects():
        file = files(_SHIPPED) / f"{name_or_path}.toml"
        folder = files(_SHIPPED)
    else:
        path = Path(name_or_path)
        file, folder = path, path.parent
    try:
        project = msgspec.convert(tomllib.loads(file.read_text("utf-8")), LabelProject)
        template = (folder / project.template).read_text("utf-8")
    except OSError as error:
        raise SetupError(
            f"Expected the name of a labelling project ({', '.join(shipped_projects())}) or the path of its TOML file "
            f"with the template beside it, got {name_or_path!r}: {error.strerror or error} ({error.filename})."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.MsgspecError, ValueError) as error:
        raise SetupError(
            f"{name_or_path}: {error}. Correct the project's file; docs/labels.md has its fields."
        ) from error
    return msgspec.structs.replace(project, config=_rendered(template, project))


def open_projects(names: str) -> tuple[LabelProject, ...]:
    """The projects of a setting, separated by commas; none for an empty one.

    Raises:
        SetupError: one cannot be opened, or two have one name.
    """
    projects = tuple(open_project(name.strip()) for name in names.split(",") if name.strip())
    if len({project.name for project in projects}) < len(projects):
        raise SetupError(f"Expected labelling projects of different names, got {[each.name for each in projects]}.")
    return projects


def _rendered(template: str, project: LabelProject) -> str:
    def elements(found: re.Match[str]) -> str:
        values: Sequence[str] = getattr(project, found["list"])
        return "\n".join(f"{found['indent']}<{found['tag']} value={quoteattr(value)}/>" for value in values)

    return _MARKER.sub(elements, template)


_CONTROLS = {"label", "method", "region"}


def require_valid(project: LabelProject) -> None:
    """Ask Label Studio's own library whether the configuration is one, and hold it against what answers are read by.

    Importing that library takes 1 s and 100 MB; it is done here and nowhere else.

    Raises:
        SetupError: it is none, or has other controls than `label`, `method` and `region` over `media`.
    """
    from label_studio_sdk.label_interface.interface import LabelInterface

    try:
        interface = LabelInterface(project.config)
        interface.validate()  # type: ignore[no-untyped-call]
        controls = {control.name: set(control.labels) for control in interface.controls}
        media = {shown.name: shown.value_name for shown in interface.objects if shown.tag in ("Image", "Video")}
    except Exception as error:  # whatever it raises, it has no public class for it
        raise SetupError(f"{project.name}: expected a Label Studio configuration, got: {error}.") from error
    choices = "region" if project.kind in (QuestionKind.BOXES, QuestionKind.TIMELINE) else "label"
    if media != {"media": "media"} or not set(controls) <= _CONTROLS or controls.get(choices) != set(project.labels):
        raise SetupError(
            f'{project.name}: expected one `name="media" value="$media"`, controls named label, method or region, and '
            f"{list(project.labels)} in {choices}; got {media} and { ({n: sorted(v) for n, v in controls.items()}) }."
        )
