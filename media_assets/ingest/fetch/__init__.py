"""The guarded downloader: many URLs in, stored bodies out, one coded outcome each (see `fetch_all`)."""
