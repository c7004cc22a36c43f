"""RoIAlign of torchvision on the CPU, forward and backward.

    python roi_align.py '{"boxes": 512, "channels": 256, "size": 200, "rounds": 5}'

Prints the milliseconds of each round, and sums that both sides must agree on. Exit status 3: torchvision has no operators.
"""

import json
import sys
import time

try:
    import torch
    from torchvision.extension import _assert_has_ops
    from torchvision.ops import roi_align

    # Without its compiled operators, torchvision uses a composition in Python that needs far more time and memory.
    _assert_has_ops()
except (ImportError, RuntimeError) as error:
    print(error, file=sys.stderr)
    sys.exit(3)

case = json.loads(sys.argv[1])
torch.set_num_threads(case["threads"])
size, channels = case["size"], case["channels"]
place = torch.arange(size * size * channels, dtype=torch.int64)
features = ((place * 7919 % 1009).float() / 1009).view(1, size, size, channels).permute(0, 3, 1, 2).contiguous()
i = torch.arange(case["boxes"], dtype=torch.float32)
left, top = i * 37 % (4 * size - 240), i * 61 % (4 * size - 240)
boxes = torch.stack([torch.zeros_like(i), left, top, left + 64 + i * 13 % 96, top + 64 + i * 29 % 96], 1)
times = []
for _ in range(case["rounds"] + 1):
    leaf = features.clone().requires_grad_()
    start = time.perf_counter()
    aligned = roi_align(leaf, boxes, 7, 0.25, 0, True)
    aligned.sum().backward()
    times.append(1000 * (time.perf_counter() - start))
print(json.dumps({"times": times[1:], "sum": aligned.double().sum().item(), "gradient": leaf.grad.double()[0, 0].square().sum().item()}))
