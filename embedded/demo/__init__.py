"""The whole pipeline on this machine: the real parts as child processes, and what they do, shown."""
