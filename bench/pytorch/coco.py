"""The evaluation of pycocotools.

    python coco.py TRUTHS.json RESULTS.json

Prints for boxes and for masks: seconds of evaluation after the files were read, and the twelve figures.
"""

import contextlib
import io
import json
import sys
import time

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

out = {}
with contextlib.redirect_stdout(io.StringIO()):
    truths = COCO(sys.argv[1])
    with open(sys.argv[2]) as file:
        results = json.load(file)
    for kind, iou_type, other in (("boxes", "bbox", "segmentation"), ("masks", "segm", "bbox")):
        kept = [{key: value for key, value in each.items() if key != other} for each in results]
        found = truths.loadRes(kept)
        start = time.perf_counter()
        evaluation = COCOeval(truths, found, iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        out[kind] = {"seconds": time.perf_counter() - start, "figures": evaluation.stats.tolist()}
print(json.dumps(out))
