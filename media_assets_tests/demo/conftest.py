"""One sample set for all tests of this folder, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets.demo.corpus import Corpus, write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The smallest set with every kind in it."""
    return write_corpus(Path(tmp_path_factory.mktemp("corpus")) / "set", n_images=30, seed=11)
