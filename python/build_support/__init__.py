"""How the package is built; nothing of it is installed."""
