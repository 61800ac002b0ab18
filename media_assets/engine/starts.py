"""How starting workers goes, over all lanes of a run: when to give up, and what machines do not offer."""

from __future__ import annotations

import threading

from media_assets.errors import SetupError

_MAX_FAILED_IN_A_ROW = 3


class Starts:
    """Counts what lanes tell; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_failed_in_a_row = 0
        self.missing: frozenset[str] = frozenset()

    def succeeded(self, missing: list[str]) -> None:
        """A worker is ready; it told which protections are missing."""
        with self._lock:
            self._n_failed_in_a_row = 0
            self.missing |= frozenset(missing)

    def failed(self, function: str, cause: str) -> None:
        """A worker for that function did not get ready.

        Raises:
            SetupError: that was the third in a row.
        """
        with self._lock:
            self._n_failed_in_a_row += 1
            n_failed = self._n_failed_in_a_row
        if n_failed >= _MAX_FAILED_IN_A_ROW:
            raise SetupError(
                f"expected a worker process for {function}, {n_failed} in a row did not start: {cause}. "
                "Mend the installation or the limits, then run again; no item was blamed"
            )
