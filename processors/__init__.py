"""Books to factors: the pure core and the Faust application around it."""
