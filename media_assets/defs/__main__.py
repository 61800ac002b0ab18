"""Print the Dagster home of the configured lake, set up and claimed: `make dev` opens it, as every command does."""

from __future__ import annotations

import sys

from media_assets.defs.home import prepare_home
from media_assets.defs.resources import Settings
from media_assets.errors import MediaAssetsError

if __name__ == "__main__":
    try:
        print(prepare_home(Settings.from_environment().location()))
    except MediaAssetsError as error:
        sys.exit(f"{type(error).__name__}: {error}")
