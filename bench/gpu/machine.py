"""The machine as the system and PyTorch see it: versions, the card, one matrix product."""

import os
import subprocess
import sys
import time

from kit import IS_CUDA, IS_TINY, TORCH_DEVICE, report, wait

CARD = "name,driver_version,memory.total,clocks.max.sm,power.limit,mig.mode.current"


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)


def system():
    print(output_of("nvidia-smi"))
    report(
        "identify",
        check="machine",
        gpu=output_of("nvidia-smi", f"--query-gpu={CARD}", "--format=csv,noheader"),
        cores=os.cpu_count(),
        gxx=output_of("g++", "--version").split("\n")[0],
        nvcc=output_of("nvcc", "--version").split("\n")[-1],
        glibc=output_of("ldd", "--version").split("\n")[0],
    )


def versions(torch, import_seconds):
    found = {"torch": torch.__version__, "python": sys.version.split()[0], "import_s": import_seconds}
    if IS_CUDA:
        found |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "nccl": torch.cuda.nccl.version(),
            "capability": torch.cuda.get_device_capability(0),
            "devices": torch.cuda.device_count(),
        }
    report("identify", check="PyTorch", ok=True, **found)


def matrix_product(torch):
    size, count = (256, 2) if IS_TINY else (8192, 50)
    a, b = (torch.randn(size, size, device=TORCH_DEVICE, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(1 if IS_TINY else 5):
        product = a @ b
    wait(torch)
    started = time.perf_counter()
    for _ in range(count):
        product = a @ b
    wait(torch)
    seconds = (time.perf_counter() - started) / count
    report(
        "identify",
        check=f"bfloat16 product of {size}",
        ok=bool(torch.isfinite(product).all()),
        tflops=2 * size**3 / seconds / 1e12,
    )


def main():
    system()
    started = time.perf_counter()
    import torch

    versions(torch, time.perf_counter() - started)
    matrix_product(torch)


if __name__ == "__main__":
    main()
