"""A PyTorch worker that runs training steps on request: JSON lines on stdin and stdout (see step/worker.ts).

    python worker.py '{"sdpa": false, "compile": false, "freeze_suffix": false, "fused": false}'

With torchrun's environment variables of several ranks it is DistributedDataParallel on Gloo.
"""

import contextlib
import json
import os
import struct
import sys
import time

import torch

from official import LabelSmoothingCrossEntropy, StagedViT

DTYPES = {"F32": torch.float32, "I64": torch.int64}


def read_tensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        flat = torch.frombuffer(data[start:end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"]).clone()
    return tensors


class Session:
    def __init__(self, variant, case):
        tensors = read_tensors(case["tensors"])
        self.images, self.labels = tensors.pop("images"), tensors.pop("labels")
        self.model = StagedViT(
            case["vit"], case["depths"], case["target"], variant["freeze_suffix"], variant["sdpa"]
        )
        self.model.load_state_dict(tensors)
        decayed, undecayed = [], []
        for name, parameter in self.model.trained():
            bare = name.split(".", 2)[2]
            exempt = parameter.ndim == 1 or name.endswith(".bias") or bare in case["undecayed"]
            (undecayed if exempt else decayed).append(parameter)
        groups = [{"params": undecayed, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.05}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True if variant["fused"] else None)
        self.loss = LabelSmoothingCrossEntropy(0.1)
        self.forward = torch.compile(self.model) if variant["compile"] else self.model
        if torch.distributed.is_initialized():
            self.forward = torch.nn.parallel.DistributedDataParallel(self.forward)
        self.bfloat16 = case["precision"] == "bfloat16"

    def step(self):
        cast = torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()
        with cast:
            loss = self.loss(self.forward(self.images), self.labels)
        value = loss.item()
        loss.backward()
        self.optimizer.step()
        self.model.zero_grad()
        return value

    def steps(self, count):
        ms, cpu_ms, losses = [], [], []
        for _ in range(count):
            started, cpu_started = time.perf_counter(), time.process_time()
            losses.append(self.step())
            ms.append((time.perf_counter() - started) * 1e3)
            cpu_ms.append((time.process_time() - cpu_started) * 1e3)
        return {"ms": ms, "cpuMs": cpu_ms, "losses": losses}


def main():
    variant = json.loads(sys.argv[1])
    # Output of libraries must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("gloo")
    session = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["cmd"] == "engine":
            answer = {"libtorch": torch.__version__, "threads": torch.get_num_threads()}
        elif request["cmd"] == "load":
            session = None
            torch.compiler.reset()
            session = Session(variant, request["case"])
            answer = {}
        else:
            answer = session.steps(request["n"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
