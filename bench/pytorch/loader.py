"""A PyTorch DataLoader with Pillow, one worker: DeiT's transforms, as torchvision and timm write them.

    python loader.py '{"folder": ..., "transform": "train", "result": "uint8", "images": 1024}'

Prints milliseconds, also of processor time, for the given number of images, and a digest of the first batch.
"""

import hashlib
import json
import math
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

SIZE = 224
BATCH = 32
WARM_UP = 8
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
FILL = (124, 116, 104)


def random_resized_crop(image):
    width, height = image.size
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = random.randint(0, height - h), random.randint(0, width - w)
            break
    else:
        w = min(width, round(height * 4 / 3))
        h = min(height, round(width * 4 / 3))
        left, top = (width - w) // 2, (height - h) // 2
    return image.crop((left, top, left + w, top + h)).resize((SIZE, SIZE), Image.BICUBIC)


def affine(image, matrix):
    return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BICUBIC, fillcolor=FILL)


def solarize_add(image, add):
    table = [min(255, i + add) if i < 128 else i for i in range(256)]
    return image.point(table * 3)


def signed(value):
    return value if random.random() < 0.5 else -value


def enhance(kind):
    return lambda image, level: kind(image).enhance(1 + signed(0.09 * level))


OPERATIONS = [
    lambda image, level: ImageOps.autocontrast(image),
    lambda image, level: ImageOps.equalize(image),
    lambda image, level: ImageOps.invert(image),
    lambda image, level: image.rotate(signed(3 * level), resample=Image.BICUBIC, fillcolor=FILL),
    lambda image, level: ImageOps.posterize(image, max(4 - int(0.4 * level), 1)),
    lambda image, level: ImageOps.solarize(image, 256 - int(25.6 * level)),
    lambda image, level: solarize_add(image, int(11 * level)),
    enhance(ImageEnhance.Color),
    enhance(ImageEnhance.Contrast),
    enhance(ImageEnhance.Brightness),
    enhance(ImageEnhance.Sharpness),
    lambda image, level: affine(image, (1, signed(0.03 * level), 0, 0, 1, 0)),
    lambda image, level: affine(image, (1, 0, 0, signed(0.03 * level), 1, 0)),
    lambda image, level: affine(image, (1, 0, signed(0.045 * level) * image.size[0], 0, 1, 0)),
    lambda image, level: affine(image, (1, 0, 0, 0, 1, signed(0.045 * level) * image.size[1])),
]


def rand_augment(image):
    for operation in np.random.choice(OPERATIONS, 2):
        if random.random() < 0.5:
            image = operation(image, min(max(random.gauss(9, 0.5), 0), 10))
    return image


def train(image):
    image = random_resized_crop(image)
    if random.random() < 0.5:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    return rand_augment(image)


def evaluation(image):
    width, height = image.size
    short = int(256 / 224 * SIZE)
    if width <= height:
        image = image.resize((short, int(short * height / width)), Image.BICUBIC)
    else:
        image = image.resize((int(short * width / height), short), Image.BICUBIC)
    left, top = round((image.size[0] - SIZE) / 2), round((image.size[1] - SIZE) / 2)
    return image.crop((left, top, left + SIZE, top + SIZE))


def erase(tensor):
    if random.random() > 0.25:
        return
    for _ in range(10):
        area = random.uniform(0.02, 1 / 3) * SIZE * SIZE
        aspect = math.exp(random.uniform(math.log(0.3), math.log(1 / 0.3)))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if h < SIZE and w < SIZE:
            top, left = random.randint(0, SIZE - h), random.randint(0, SIZE - w)
            tensor[:, top : top + h, left : left + w] = torch.empty(3, h, w).normal_()
            return


class Images(torch.utils.data.Dataset):
    def __init__(self, settings):
        self.files = sorted(Path(settings["folder"]).glob("*/*.jpg"))
        self.is_training = settings["transform"] == "train"
        self.as_float = settings["result"] == "float32"

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with open(self.files[index], "rb") as file:
            image = Image.open(file).convert("RGB")
        image = train(image) if self.is_training else evaluation(image)
        tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        if self.as_float:
            tensor = tensor.float().div(255).sub_(MEAN).div_(STD)
            if self.is_training:
                erase(tensor)
        return tensor, index % 2


def processor_seconds(pids):
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def main():
    torch.set_num_threads(1)
    settings = json.loads(sys.argv[1])
    dataset = Images(settings)
    batches = settings["images"] // BATCH
    count = BATCH * (WARM_UP + batches)
    order = [i % len(dataset) for i in range(count)]
    loader = torch.utils.data.DataLoader(dataset, BATCH, sampler=order, num_workers=1, prefetch_factor=4)
    iterator = iter(loader)
    first, _ = next(iterator)
    for _ in range(WARM_UP - 1):
        next(iterator)
    pids = [os.getpid(), *(worker.pid for worker in iterator._workers)]
    started, used = time.perf_counter(), processor_seconds(pids)
    for _ in range(batches):
        next(iterator)
    wall, used = time.perf_counter() - started, processor_seconds(pids) - used
    digest = hashlib.sha256(first.numpy().tobytes()).hexdigest()
    print(json.dumps(dict(ms=1e3 * wall, cpuMs=1e3 * used, images=BATCH * batches, digest=digest)))


main()
