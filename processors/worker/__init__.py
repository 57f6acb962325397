"""The worker: runs a stage on Faust. Partitions, offsets, checkpoints, what is on its way out, and the watchdog."""
