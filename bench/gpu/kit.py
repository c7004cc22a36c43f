"""Settings and report of the GPU kit, shared by its Python parts."""

import json
import os
import pathlib

OUT = pathlib.Path(os.environ.get("OUT", "."))
WORK = pathlib.Path(os.environ.get("KIT_WORK", "/tmp/gpu-kit"))
# PyTorch does not know the fake accelerator.
DEVICE = os.environ.get("KIT_DEVICE") or "cuda:0"
IS_CUDA = DEVICE.startswith("cuda")
TORCH_DEVICE = DEVICE if IS_CUDA else "cpu"
IS_TINY = os.environ.get("KIT_SCALE") == "tiny"


def report(section, **fields):
    """Appends a finding, a line of JSON, to $OUT/report.jsonl."""
    line = json.dumps({"section": section, **fields})
    with open(OUT / "report.jsonl", "a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def wait(torch):
    if IS_CUDA:
        torch.cuda.synchronize()
