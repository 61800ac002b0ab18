"""Tests of the guarded downloader, against servers of our own on loopback."""
