"""Training steps of PyTorch on the cases of $KIT_WORK/cases.json, which the kit's Node side writes.

    pytorch_steps.py step CASE WAY...   times each way: eager, best, compile
    pytorch_steps.py warm CASE...       compiles, so that a later `step CASE compile` finds the kernels in the cache

eager: as the official code does it, the loss read at each step.
best: scaled_dot_product_attention, fused AdamW, TF32 for float32, no gradients for a frozen suffix, no wait in a step.
compile: torch.compile of best.
"""

import gc
import json
import os
import sys
import time

import torch

from kit import IS_CUDA, IS_TINY, TORCH_DEVICE, WORK, report, wait

sys.path.insert(0, "bench/pytorch")
from official import LabelSmoothingCrossEntropy, StagedViT  # noqa: E402

# Warm-up steps; minimum and maximum number of timed steps; seconds after which the minimum is enough.
WARM_UP, LEAST, MOST, SECONDS = (1, 2, 2, 2) if IS_TINY else (8, 10, 40, 8)
# A dry run shows that the call works; compiling takes a minute there.
BACKEND = os.environ.get("KIT_COMPILER", "inductor")


def case_of(name):
    cases = json.loads((WORK / "cases.json").read_text())
    return next(case for case in cases if case["name"] == name)


class Steps:
    """A model, its optimiser and batches, stepped in one of the ways."""

    def __init__(self, case, way):
        is_best = way != "eager"
        if IS_CUDA:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = is_best
        torch.manual_seed(0)
        vit = {"channels": 3, **case["vit"]}
        with torch.device(TORCH_DEVICE):
            self.model = StagedViT(vit, case["depths"], case["target"], is_best, is_best)
        self.optimizer = self.adamw(is_best)
        self.loss = LabelSmoothingCrossEntropy(0.1)
        self.forward = torch.compile(self.model, backend=BACKEND) if way == "compile" else self.model
        self.reads_loss = not is_best
        self.is_bfloat16 = case["precision"] == "bfloat16"
        self.batches = [self.batch(case["batch"], vit) for _ in range(2)]
        self.count = 0

    def adamw(self, fused):
        parameters = [parameter for _, parameter in self.model.trained()]
        groups = [
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
        ]
        return torch.optim.AdamW(groups, lr=1e-4, fused=True if fused else None)

    @staticmethod
    def batch(size, vit):
        """Float images in pinned memory, as PyTorch's loader leaves them."""
        images = torch.randn(size, vit["channels"], vit["imageSize"], vit["imageSize"])
        labels = torch.randint(vit["classes"], (size,))
        return (images.pin_memory(), labels.pin_memory()) if IS_CUDA else (images, labels)

    def step(self):
        images, labels = self.batches[self.count % len(self.batches)]
        self.count += 1
        images, labels = images.to(TORCH_DEVICE, non_blocking=True), labels.to(TORCH_DEVICE, non_blocking=True)
        with torch.autocast(TORCH_DEVICE.split(":")[0], torch.bfloat16, enabled=self.is_bfloat16):
            loss = self.loss(self.forward(images), labels)
        if self.reads_loss:
            loss.item()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss


def mark():
    """A point in the device's time: events do not make it wait."""
    if not IS_CUDA:
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def milliseconds(begin, end):
    return begin.elapsed_time(end) if IS_CUDA else 1e3 * (end - begin)


def measure(case, way):
    if IS_CUDA:
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    steps = Steps(case, way)
    steps.step()
    wait(torch)
    first = time.perf_counter() - begun
    for _ in range(WARM_UP):
        steps.step()
    wait(torch)
    marks = [mark()]
    started, cpu = time.perf_counter(), time.process_time()
    while len(marks) <= MOST and (len(marks) <= LEAST or time.perf_counter() - started < SECONDS):
        loss = steps.step()
        marks.append(mark())
    cpu = time.process_time() - cpu
    wait(torch)
    total = time.perf_counter() - started
    count = len(marks) - 1
    each = sorted(milliseconds(a, b) for a, b in zip(marks, marks[1:]))
    median = each[count // 2]
    return {
        "ms": median,
        "mean_ms": 1e3 * total / count,
        "min_ms": each[0],
        "max_ms": each[-1],
        "images_per_s": 1e3 * case["batch"] / median,
        "steps": count,
        "host_cpu_ms": 1e3 * cpu / count,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if IS_CUDA else None,
        "first_step_ms": 1e3 * first,
        "loss_last": loss.item(),
    }


def step(name, *ways):
    case = case_of(name)
    for way in ways:
        try:
            report("step", case=name, who=way, **measure(case, way))
        except ModuleNotFoundError as error:  # torch.compile needs packages that eager steps do not need
            report("step", case=name, who=way, ok=None, skipped=str(error))
        except Exception as error:  # the other ways may work
            report("step", case=name, who=way, ok=False, error=f"{type(error).__name__}: {error}"[:1000])
        gc.collect()
        if IS_CUDA:
            torch.cuda.empty_cache()


def warm(*names):
    for name in names:
        started = time.perf_counter()
        steps = Steps(case_of(name), "compile")
        for _ in range(2):
            steps.step()
        wait(torch)
        report("warm", case=name, seconds=time.perf_counter() - started)


if __name__ == "__main__":
    {"step": step, "warm": warm}[sys.argv[1]](*sys.argv[2:])
