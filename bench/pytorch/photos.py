"""Makes JPEGs like ImageNet's of the photographs that scikit-image ships.

    python photos.py SOURCES FOLDER
"""

import random
import sys
from pathlib import Path

from PIL import Image

NAMES = ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg"]
# The most common size of ImageNet, and some others.
SIZES = [(500, 375), (500, 375), (500, 375), (375, 500), (500, 333), (500, 333), (333, 500), (500, 400)]
COUNT = 96
QUALITY = 96


def main(sources, folder):
    draw = random.Random(1)
    photos = [Image.open(Path(sources) / name).convert("RGB") for name in NAMES]
    for i in range(COUNT):
        photo, (width, height) = photos[i % len(photos)], draw.choice(SIZES)
        # Crops at least as large as the result, so that nothing is blurred; smaller photographs are used whole.
        most = min(photo.width / width, photo.height / height)
        scale = draw.uniform(min(0.9 * most, 1), most)
        left = draw.uniform(0, photo.width - scale * width)
        top = draw.uniform(0, photo.height - scale * height)
        box = (left, top, left + scale * width, top + scale * height)
        image = photo.resize((width, height), Image.LANCZOS, box)
        target = Path(folder) / f"class{i % 2}"
        target.mkdir(parents=True, exist_ok=True)
        image.save(target / f"{i:03d}.jpg", quality=QUALITY)


main(*sys.argv[1:])
