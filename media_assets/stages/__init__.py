"""One batch through the stages: read each item once, audit, commit, status last. Knows no Dagster.

`intake` (what enters) → `reading` (fetch and decode, one read per item) → `rows` (what was read, as table rows) →
`audit` (contracts and reconciliation, before anything is committed) → `commit`. `images.read_batch` joins them.
"""
