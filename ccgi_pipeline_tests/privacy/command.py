"""The command ``ccgi``, in a process of its own and of this checkout."""

from __future__ import annotations

from ccgi_pipeline.cli import main

if __name__ == "__main__":
    main(prog_name="ccgi")
