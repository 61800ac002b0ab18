"""Projects: those that come along are sound, and what is wrong with one of your own is said."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from media_assets.curation.answers import QuestionKind
from media_assets.errors import SetupError
from media_assets.labeling.project_files import open_project, open_projects, require_valid, shipped_projects

PROJECTS = ("boxes", "image-classes", "real-or-fake", "real-or-fake-video", "video-timeline")


def test_these_come_with_the_package() -> None:
    assert shipped_projects() == PROJECTS
    kinds = {open_project(name).kind for name in PROJECTS}
    assert kinds == set(QuestionKind), "each kind of question has a project ready"


@pytest.mark.parametrize("name", PROJECTS)
def test_each_of_them_is_a_configuration_for_label_studio(name: str) -> None:
    project = open_project(name)
    assert project.name == name
    assert "{{" not in project.config
    require_valid(project)


def test_the_real_or_fake_question_has_method_and_region() -> None:
    project = open_project("real-or-fake")
    assert project.labels == ("real", "fake", "unsure")
    assert project.abstentions == ("unsure",)
    for method in project.methods:
        assert f'<Choice value="{method}"/>' in project.config
    assert 'whenChoiceValue="fake"' in project.config


def own(tmp_path: Path, xml: str | None = None, **changes: Any) -> str:
    """The path of a project of one's own."""
    shipped = files("media_assets.labeling.projects")
    lines = (shipped / "image-classes.toml").read_text("utf-8").splitlines()
    fields = dict(line.split(" = ", 1) for line in lines if " = " in line)
    fields |= {key: str(value) for key, value in changes.items()}
    (tmp_path / "own.toml").write_text("\n".join(f"{key} = {value}" for key, value in fields.items()))
    xml = xml or (shipped / "image-classes.xml").read_text("utf-8")
    (tmp_path / "image-classes.xml").write_text(xml)
    return str(tmp_path / "own.toml")


def test_a_project_of_ones_own_takes_its_labels_into_the_template(tmp_path: Path) -> None:
    project = open_project(own(tmp_path, name='"mine"', labels="['a < b', 'say \"x\"', 'unsure']"))
    assert '<Choice value="a &lt; b"/>' in project.config
    require_valid(project)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": '"Not a name"'}, "expected a name that matches"),
        ({"labels": "[]"}, "expected labels"),
        ({"labels": "['a', 'a', 'unsure']"}, "no two alike"),
        ({"abstentions": "['maybe']"}, "expected abstentions among the labels"),
        ({"annotators": "0"}, "annotators and per_batch of 1 or more"),
        ({"per_day": "-1"}, "per_day of 0 or more"),
        ({"gold_share": "1.5"}, "gold_share of 0 to 1"),
        ({"kind": '"timeline"'}, "subject video"),
        ({"kind": '"song"'}, "song"),
        ({"colour": '"red"'}, "colour"),
        ({"labels": "'x"}, "own.toml"),
        ({"title": '"x"'}, "three characters"),
        ({"weights": "{uncertainty = 0, diversity = 0}"}, "expected weights"),
        ({"template": '"elsewhere.xml"'}, "No such file"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SetupError, match=told):
        open_project(own(tmp_path, **changes))


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("<View>", "expected a Label Studio configuration"),
        ('<View><Image name="media" value="$media"/></View>', r"expected one `name=\"media\""),
        (
            '<View><Image name="media" value="$picture"/><Choices name="label" toName="media">{{Choice labels}}'
            "</Choices></View>",
            "expected one",
        ),
        (
            '<View><Image name="media" value="$media"/><Choices name="label" toName="media"><Choice value="x"/>'
            "</Choices></View>",
            "in label",
        ),
    ],
)
def test_a_template_that_answers_could_not_be_read_by_is_refused(tmp_path: Path, template: str, told: str) -> None:
    project = open_project(own(tmp_path, template))
    with pytest.raises(SetupError, match=told):
        require_valid(project)


def test_several_are_named_by_commas_and_none_by_nothing(tmp_path: Path) -> None:
    assert open_projects("") == ()
    mine = own(tmp_path, name='"mine"')
    assert [each.name for each in open_projects(f"boxes, {mine},")] == ["boxes", "mine"]
    with pytest.raises(SetupError, match="different names"):
        open_projects("boxes,boxes")
    with pytest.raises(SetupError, match="real-or-fake-video"):
        open_project("no-such-project")
