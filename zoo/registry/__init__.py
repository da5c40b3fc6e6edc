"""Models: immutable versions, aliases, layers of registry files, and the artefacts beside them."""
