"""Puts the library of ONNX Runtime, out of its wheel on PyPI, into a folder: `onnxruntime.py FOLDER MACHINE`.

Only Python's standard library and pip are needed. The wheel is checked against its digest by pip, the library against its own
each time. The last line is the library's path. `cargo xtask onnxruntime` calls it.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.32.0"
LIBRARY = f"libonnxruntime.so.{VERSION}"
# Of each machine the wheel's platform, the wheel's SHA-256 and the library's.
WHEELS = {
    "x86_64": (
        "manylinux_2_28_x86_64",
        "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
        "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
    ),
    "aarch64": (
        "manylinux_2_28_aarch64",
        "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
        "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
    ),
}


def is_whole(library: Path, digest: str) -> bool:
    return library.is_file() and hashlib.sha256(library.read_bytes()).hexdigest() == digest


def fetch(folder: Path, machine: str) -> Path:
    platform, wheel_digest, library_digest = WHEELS[machine]
    library = folder / LIBRARY
    if is_whole(library, library_digest):
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        wanted = Path(place, "wanted.txt")
        wanted.write_text(f"onnxruntime=={VERSION} --hash=sha256:{wheel_digest}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        pip += ["--platform", platform, "--implementation", "cp", "--python-version", "3.12", "--dest", place, "-r", str(wanted)]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        [wheel] = Path(place).glob("*.whl")
        part = Path(place, LIBRARY)
        with zipfile.ZipFile(wheel) as files:
            part.write_bytes(files.read(f"onnxruntime/capi/{LIBRARY}"))
            Path(folder, "LICENSE").write_bytes(files.read("onnxruntime/LICENSE"))
        if not is_whole(part, library_digest):
            sys.exit(f"the library in {wheel.name} is not the one that was expected")
        os.replace(part, library)
    return library


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in WHEELS:
        sys.exit(f"usage: onnxruntime.py FOLDER {'|'.join(WHEELS)}")
    try:
        print(fetch(Path(sys.argv[1]), sys.argv[2]))
    except subprocess.CalledProcessError:
        sys.exit("pip could not fetch the wheel; is there a network?")
