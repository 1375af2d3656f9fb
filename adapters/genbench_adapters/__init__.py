"""The model families that ship with genbench; the engine finds them as it finds a stranger's."""
