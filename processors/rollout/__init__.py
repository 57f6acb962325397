"""How far a language model is rolled out, decided from the log of its calls. Knows no clock and no broker."""
