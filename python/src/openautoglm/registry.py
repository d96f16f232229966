"""Where the names of models are kept. The library looks only into the file that it is given; this is
the choice of the `autoglm` command (docs/models.md)."""
from __future__ import annotations

import os


def default_registry() -> str | None:
    """$AUTOGLM_REGISTRY, else autoglm/models.db below $XDG_DATA_HOME or ~/.local/share; None when no home
    folder is known. The file need not exist."""
    given = os.environ.get("AUTOGLM_REGISTRY")
    if given:
        return given
    data = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):  # a relative one is invalid, says its standard
        home = os.environ.get("HOME")
        if not home:
            return None
        data = os.path.join(home, ".local", "share")
    return os.path.join(data, "autoglm", "models.db")
