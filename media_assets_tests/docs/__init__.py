"""The documentation is tested: pages are current, links resolve, commands exist, the tree is clean."""
