"""Exchange frames in, normalised records out."""
