"""Takes a program out of a package of Debian without installing it: no service starts, and nobody has to be root."""

import shutil
import subprocess
from pathlib import Path

from hack.cluster.programs import Program
from hack.cluster.progress import Progress


def take(program: Program, scratch: Path, target: Path, progress: Progress) -> bool:
    """Put a program to `target` out of its package; return whether that was possible.

    apt checks the package's sum and signature. Not possible, and no error: no package is named, this is no Debian,
    or its package is not to be had.
    """
    if program.debian is None or shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return False
    folder = scratch / f"debian-{program.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    progress.status(f"downloading {program.debian} of Debian")
    if not _run(folder, "apt-get", "download", "-q", program.debian):
        return False
    found = False
    for package in folder.glob("*.deb"):
        unpacked = folder / "unpacked" / "usr" / "bin" / program.name
        if _run(folder, "dpkg-deb", "--extract", package.name, "unpacked") and unpacked.is_file():
            unfinished = target.with_name(f".{target.name}.debian")
            shutil.copy(unpacked, unfinished)
            unfinished.rename(target)
            progress.say(f"took {program.name} out of {package.name.replace('%3a', ':')}")
            found = True
    shutil.rmtree(folder)
    return found


def _run(folder: Path, *command: str) -> bool:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.returncode == 0
