"""A trained model: its recipe, the file it is kept in, its compilation, and the models it falls back on."""
