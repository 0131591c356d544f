"""The usage experiment against a farm: starts it, probes it, and tells what was found.

    python -m thalweg.deploy.fleet_farm --good 20 --sweeps 3

All that it starts is gone when it ends, however it ends; what it found stays in the folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from ...operators.fleet import Target, usage_page, usage_table
from .farm import Farm, FarmError

__all__ = ["main"]


def _inventory(targets: list[Target]) -> str:
    """The farm as an inventory."""
    lines = [
        f"{target.name} ansible_host={target.host} ansible_port={target.port}" for target in targets
    ]
    return "[farm]\n" + "\n".join(lines) + "\n"


def main() -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="fleet", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="the usage experiment against SSH servers that it starts on this machine",
    )  # fmt: skip
    parser.add_argument("--machines", type=int, default=20, help="how many there are in all")
    parser.add_argument("--sweeps", type=int, default=3, help="how often each is asked")
    parser.add_argument("--every", default="5s", help="from one sweep to the next")
    parser.add_argument("--out", type=Path, default=Path("out/fleet"), help="what is found")
    options = parser.parse_args()
    # As in a classroom: some are switched off, and at some nobody answers the door.
    silent, refusing = options.machines // 7, options.machines // 7
    out = options.out / time.strftime("%Y-%m-%d_%H-%M-%S")
    out.mkdir(parents=True)
    try:
        with Farm(options.machines - silent - refusing, refusing=refusing, silent=silent) as farm:
            inventory = farm.folder / "inventory.ini"
            inventory.write_text(_inventory(farm.targets))
            settings = {
                "inventory": inventory, "every": options.every, "minimum_gap": "1s",
                "sweeps": options.sweeps, "user": farm.user, "identity": farm.identity,
                "known_hosts": farm.known_hosts, "out": out,
            }  # fmt: skip
            given = [
                word for name, value in settings.items() for word in ("--set", f"{name}={value}")
            ]
            command = [sys.executable, "-m", "thalweg.deploy.cli", "run", "fleet_usage", *given]
            status = subprocess.run(command, check=False).returncode
    except FarmError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1
    if status:
        return status
    database, page = out / "usage.db", out / "usage.html"
    page.write_text(usage_page(database), encoding="utf-8")
    print(f"\n{usage_table(database)}\n\nthe database: {database}\nthe page:     {page}")
    print(f"again later:  thalweg usage {database}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
