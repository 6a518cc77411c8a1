"""Chromium for the page tests: find it, or install it where that can be done."""

import os
import shutil
import subprocess
import sys

NAMES = (
    *("chromium", "chromium-browser", "google-chrome"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",  # on macOS none is on the PATH
)
PACKAGES = ("chromium", "fonts-dejavu-core")


def find() -> str | None:
    """The path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def install() -> None:
    """Install the distribution's Chromium; needs root and apt-get."""
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES], check=True)


if __name__ == "__main__":
    if not find():
        if os.geteuid() or not shutil.which("apt-get"):
            sys.exit(
                f"The page tests drive Chromium, and none of {', '.join(NAMES)} is there. Install it, for "
                f"example with `sudo apt-get install {' '.join(PACKAGES)}`, then run `make test` again."
            )
        print("Chromium is missing: installing it with apt-get")
        install()
