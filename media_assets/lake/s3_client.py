"""botocore's client of a store, for what obstore cannot do: listings that hold keys which object_store would refuse.

Settings and credentials are the lake's (`s3_options.py`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from media_assets.lake.s3_options import S3Options, botocore_session

_CONNECT_SECONDS, _READ_SECONDS = 5, 20  # three attempts of both fit into the minute that a sensor has
_N_ATTEMPTS = 3


def list_client(options: S3Options) -> Any:
    """A client that answers, or says that it cannot, within a minute; safe for use from several threads.

    Raises:
        LakeUnfit: AWS's own configuration cannot be read.
    """
    return _client(options, botocore_session())


@lru_cache(maxsize=4)
def _client(options: S3Options, session: Any) -> Any:
    from botocore.config import Config

    place = options.place()
    config = Config(
        s3={"addressing_style": "path" if place.path_style else "virtual"},
        connect_timeout=min(_CONNECT_SECONDS, options.timeout_seconds),
        read_timeout=min(_READ_SECONDS, options.timeout_seconds),
        retries={"total_max_attempts": min(_N_ATTEMPTS, options.n_retries + 1), "mode": "standard"},
    )
    return session.create_client("s3", region_name=place.region, endpoint_url=place.endpoint or None, config=config)
