"""Unpacks what `npm run gpu:pack` left in .gpu: packages and compiled code into place, Node into $KIT_WORK.

The archives are unpacked once; the addon is copied at each call, since a rebuild may have replaced it.
"""

import lzma
import os
import pathlib
import shutil
import sys
import tarfile

from kit import WORK

PACKED = pathlib.Path(".gpu")
ARCHIVES = ("node_modules", "dist", "dist-bench")


def unpack_archive(name):
    shutil.rmtree(name, ignore_errors=True)
    with tarfile.open(PACKED / f"{name}.tar.xz") as archive:
        archive.extractall(".", filter="fully_trusted")


def unpack_node():
    node = WORK / "node"
    with lzma.open(PACKED / "node.xz") as source, open(node, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    node.chmod(0o755)


def in_processes(jobs):
    """Runs the jobs side by side: decompression takes one core each."""
    children = []
    for job, *arguments in jobs:
        child = os.fork()
        if child == 0:
            try:
                job(*arguments)
                os._exit(0)
            except BaseException as error:
                print(f"{job.__name__} {arguments}: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
        children.append(child)
    if any(os.waitpid(child, 0)[1] != 0 for child in children):
        sys.exit("unpacking failed")


def main():
    stamp = (PACKED / "stamp").read_text()
    done = WORK / "stamp"
    is_done = done.exists() and done.read_text() == stamp and pathlib.Path("dist/index.js").exists()
    if not is_done:
        in_processes([(unpack_archive, name) for name in ARCHIVES] + [(unpack_node,)])
    build = pathlib.Path("native/build")
    build.mkdir(parents=True, exist_ok=True)
    for file in (PACKED / "addon").iterdir():
        shutil.copy(file, build / file.name)
    done.write_text(stamp)


if __name__ == "__main__":
    main()
