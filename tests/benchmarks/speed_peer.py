"""One case of `speed` on PyTorch's side: wkentaro/pytorch-fcn, or torchvision's `fcn_resnet50`.

It needs nothing but PyTorch and numpy, and torchvision for its own net. The peer's model as it is;
step, groups and rates of the optimizer as its `train_fcn8s.py` sets them. In favour of the peer:
images are turned into its tensors beforehand, PyTorch's own cross entropy takes the place of its
slower one, the scores it computes from the labels at every step are left out, and bf16 inference
has weights that are bf16 already. torchvision's net has the same step, and no auxiliary loss. On a
GPU, and with `--tuned`, channels come last in memory, and images of one size have a compiled net.
"""

import importlib
import json
import resource
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

MEAN_BGR = (104.00699, 116.66877, 122.67892)


def build(task: dict[str, Any]) -> Any:
    """The net of a side, from images (N, 3, H, W) to scores (N, 21, H, W)."""
    if task["side"] == "peer":
        return peer(Path(task["peer"]))
    from torchvision.models.segmentation import fcn_resnet50

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = fcn_resnet50(weights=None, weights_backbone=None, num_classes=21)

        def forward(self, image: Any) -> Any:
            return self.net(image)["out"]

    return Plain()


def peer(checkout: Path) -> Any:
    """Its FCN8s with random weights; its packages without their `__init__`, which import what is
    not needed here.
    """
    for name in ("fcn", "torchfcn", "torchfcn.models"):
        sys.modules[name] = package = types.ModuleType(name)
        package.__path__ = [str(checkout.joinpath(*name.split(".")))]
    net = importlib.import_module("torchfcn.models.fcn8s").FCN8s(n_class=21)
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):  # it begins with zeros
            torch.nn.init.kaiming_normal_(layer.weight)
    return net


def steps(path: Path, batch: int, device: str) -> list[tuple[Any, Any]]:
    found = []
    mean = np.asarray(MEAN_BGR, np.float32)
    with np.load(path) as arrays:
        for n in range(len(arrays.files) // 2):
            image = arrays[f"image{n}"][..., ::-1].astype(np.float32) - mean
            image = torch.from_numpy(np.stack([image.transpose(2, 0, 1)] * batch))
            label = torch.from_numpy(np.stack([arrays[f"label{n}"].astype(np.int64)] * batch))
            found.append((image.contiguous().to(device), label.to(device)))
    return found


def trainer(net: Any, device: str, half: bool) -> Callable[[Any, Any], float]:
    named = [(name, value) for name, value in net.named_parameters() if "upscore" not in name]
    groups = [
        {"params": [value for name, value in named if name.endswith("weight")]},
        {
            "params": [value for name, value in named if name.endswith("bias")],
            "lr": 2e-10,
            "weight_decay": 0,
        },
    ]
    optimizer = torch.optim.SGD(groups, lr=1e-10, momentum=0.99, weight_decay=5e-4)
    net.train()

    def step(image: Any, label: Any) -> float:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            scores = net(image)
        loss = torch.nn.functional.cross_entropy(
            scores.float(), label, ignore_index=255, reduction="sum"
        )
        loss.backward()
        optimizer.step()
        return float(loss.item())  # waits for it

    return step


def predictor(net: Any, half: bool) -> Callable[[Any, Any], Any]:
    net = (net.bfloat16() if half else net).eval()

    def step(image: Any, label: Any) -> Any:
        with torch.inference_mode():
            scores = net(image.bfloat16() if half else image)
            return scores.argmax(1).to(torch.uint8).cpu().numpy()

    return step


def product(dtype: Any, device: str) -> float:
    """Operations per second of the fastest of some square matrix products."""
    best = 0.0
    for side in (1024, 2048, 4096) if device == "cpu" else (4096, 8192):
        a = torch.randn(side, side, dtype=torch.float32).to(device, dtype)
        for _ in range(5):
            begin = time.perf_counter()
            for _ in range(5):
                b = a @ a
            float(b[0, 0])  # waits for it
            best = max(best, 5 * 2 * side**3 / (time.perf_counter() - begin))
    return best


def main() -> None:
    task = json.loads(sys.argv[1])
    device, half = {"cpu": "cpu", "gpu": "cuda"}[task["device"]], task["precision"] == "bf16"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = (
        task["precision"] == "tf32"
    )
    net = build(task).to(device)
    if task["tuned"]:
        net = net.to(memory_format=torch.channels_last)
    seconds = {}
    for kind in ("static", "varying"):
        data = steps(Path(task["folder"]) / f"{kind}.npz", task["batch"], device)
        if task["tuned"]:
            data = [(x.contiguous(memory_format=torch.channels_last), y) for x, y in data]
        # Compiled anew for every size, a net of varying ones would be slower.
        called = torch.compile(net) if task["tuned"] and kind == "static" else net
        training = task["task"] == "training"
        step = trainer(called, device, half) if training else predictor(called, half)
        for _ in range(2):  # the first does not count
            begin, processor = time.perf_counter(), time.process_time()
            for image, label in data:
                step(image, label)
            seconds[kind] = time.perf_counter() - begin, time.process_time() - processor
    peak = torch.cuda.max_memory_allocated()
    if device == "cpu":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    speed = product(torch.bfloat16 if half else torch.float32, device)
    name = f"{torch.get_num_threads()} threads" if device == "cpu" else torch.cuda.get_device_name()
    result = {
        "seconds": seconds,
        "peak": peak,
        "product": speed,
        "versions": f"PyTorch {torch.__version__}",
        "device": name,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
