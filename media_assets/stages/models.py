"""The models that are configured: their sidecar files, the files those name, and which version both are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from media_assets.errors import ModelCode, ModelUnfit
from media_assets.media.models.description import ModelDescription, parse_description

_NO_FILE = Path(os.devnull)  # of a plug-in that brings its own


@dataclass(frozen=True)
class InstalledModel:
    """One model whose files are there. `version` changes with each of their bytes that matters."""

    description: ModelDescription
    sidecar: Path
    file: Path
    version: str

    @property
    def name(self) -> str:
        """Id and version, as statuses and messages name it."""
        return f"{self.description.id}@{self.version}"


def installed_models(sidecars: Sequence[Path]) -> tuple[InstalledModel, ...]:
    """The models that these sidecar files describe, by id. Hashes each file: 1 s a gigabyte.

    Raises:
        ModelUnfit: a sidecar describes no model or one that another one describes, its file is not there, or is
            another one than was declared.
    """
    models: dict[str, InstalledModel] = {}
    for sidecar in sidecars:
        model = _installed(sidecar.absolute())
        if (other := models.setdefault(model.description.id, model)) is not model:
            raise ModelUnfit(
                f"Expected models with ids of their own, {other.sidecar} and {model.sidecar} are both "
                f"{model.description.id!r}. Rename one, or leave it out.",
                ModelCode.DESCRIPTION_INVALID,
            )
    return tuple(models[name] for name in sorted(models))


def _installed(sidecar: Path) -> InstalledModel:
    try:
        description = parse_description(sidecar.read_bytes(), sidecar.name)
    except OSError as error:
        raise ModelUnfit(
            f"Expected the description of a model at {sidecar}, got: {error.strerror}. See docs/predictions.md.",
            ModelCode.DESCRIPTION_INVALID,
        ) from error
    file = sidecar.parent / description.file if description.file else _NO_FILE
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnfit(
            f"Expected the file of model {description.id} at {file}, got: {error.strerror}. Put it there, or mend "
            f"`file` of {sidecar.name}.",
            ModelCode.FILE_UNREADABLE,
        ) from error
    if description.sha256 and description.sha256.lower() != found:
        raise ModelUnfit(
            f"Expected the file of model {description.id} with the SHA-256 {description.sha256}, {file} has {found}. "
            f"Put the right one there, or declare this one and raise `version`.",
            ModelCode.FILE_CHANGED,
        )
    return InstalledModel(description, sidecar, file, description.full_version(found))
