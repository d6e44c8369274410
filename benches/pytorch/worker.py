"""Does in PyTorch what `biorule bench` does, on request: one JSON object a line on
standard input, one answer a line on standard output.

hello     who is here
sgemm     {"size": [m, n, k], "seconds": s}            best rate of torch.mm
prepare   {"case", "params", "inputs", "folder"}       builds every variant, runs it once
burst     {"variant", "seconds"}                       median seconds of a call
batches   {"variant", "count"}                         mean seconds of a call
memory    {"case", "params", "inputs", "variant"}      with --fork: in a child, watched
quit
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time

import torch

import protocol
from protocol import CASES

import maps  # noqa: F401  registers its cases
import modules  # noqa: F401
import networks  # noqa: F401
import rules  # noqa: F401
import supernets  # noqa: F401


def synchronize():
    if protocol.DEVICE.type == "cuda":
        torch.cuda.synchronize()


class Prepared:
    """Variants of one case, ready to be called."""

    def __init__(self, request, only=None):
        inputs = protocol.load(request["inputs"], protocol.DEVICE)
        builders = CASES[request["case"]](request["params"], inputs)
        self.variants = {}
        self.skipped = {}
        for name, build in builders.items():
            if only is not None and name != only:
                continue
            try:
                built = build()
            except (RuntimeError, NotImplementedError, AttributeError) as e:
                # This build of PyTorch does not have it; the plain one it must have.
                if name == "plain":
                    raise
                self.skipped[name] = str(e)
                continue
            self.variants[name] = built if isinstance(built, tuple) else (built, None)

    def first_results(self, folder):
        told = []
        for number, (name, (call, results)) in enumerate(self.variants.items()):
            out = call()
            out = results() if results is not None else out
            told.append({"name": name, "results": protocol.save(folder, f"out-{number}", out)})
        return told


def burst(call, seconds):
    call()
    synchronize()
    start = time.perf_counter()
    if protocol.DEVICE.type == "cpu":
        each = []
        while not each or time.perf_counter() - start < seconds:
            t = time.perf_counter()
            call()
            each.append(time.perf_counter() - t)
        return statistics.median(each)
    call()
    synchronize()
    count = max(1, int(seconds / max(time.perf_counter() - start, 1e-9)))
    return batches(call, count)


def batches(call, count):
    call()
    synchronize()
    start = time.perf_counter()
    for _ in range(count):
        call()
    synchronize()
    return (time.perf_counter() - start) / count


def sgemm(m, n, k, seconds):
    a = torch.randn(m, k, device=protocol.DEVICE)
    b = torch.randn(k, n, device=protocol.DEVICE)
    torch.mm(a, b)
    synchronize()
    least, start = float("inf"), time.perf_counter()
    while least == float("inf") or time.perf_counter() - start < seconds:
        t = time.perf_counter()
        torch.mm(a, b)
        synchronize()
        least = min(least, time.perf_counter() - t)
    return 2e-9 * m * n * k / least


def status(key):
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1]) / 1024.0
    return None


def memory(request):
    """Peak of a process that does nothing but some calls of one variant."""
    prepared = Prepared(request, only=request["variant"])
    call, _ = prepared.variants[request["variant"]]
    before = status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    for _ in range(3):
        call()
    return {"prepared": before, "peak": status("VmHWM")}


def in_child(work, request):
    """`work(request)` in a copy of this process, which has computed nothing yet."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            answer = work(request)
        except Exception as e:  # told to the other side
            answer = {"error": f"{type(e).__name__}: {e}"}
        with os.fdopen(writer, "w") as file:
            json.dump(answer, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"error": "the watched process ended"}


def hello(_request):
    build = torch.__config__.show().split("\n")
    libraries = [line.strip(" -") for line in build if "Math Kernel" in line or "CPU capability" in line]
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "onednn": torch.backends.mkldnn.is_available(),
        "built_with": "; ".join(libraries),
    }


class Server:
    def __init__(self, forks):
        self.prepared = None
        self.forks = forks

    def prepare(self, request):
        self.prepared = None  # the last case's memory first
        self.prepared = Prepared(request)
        variants = self.prepared.first_results(request["folder"])
        return {"variants": variants, "skipped": self.prepared.skipped}

    def call(self, request):
        return self.prepared.variants[request["variant"]][0]

    def answer(self, request):
        do = request["do"]
        if do == "hello":
            return hello(request)
        if do == "sgemm":
            return {"gflops": sgemm(*request["size"], request["seconds"])}
        if do == "prepare":
            return self.prepare(request)
        if do == "burst":
            return {"seconds": burst(self.call(request), request["seconds"])}
        if do == "batches":
            return {"seconds": batches(self.call(request), request["count"])}
        if do == "memory":
            if not self.forks:
                return {"error": "started without --fork"}
            return in_child(memory, request)
        return {"error": f"unknown request {do}"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--flush-denormal", action="store_true")
    parser.add_argument("--fork", action="store_true")
    options = parser.parse_args()
    # First of all: threads of a pool have the setting of the thread that starts them.
    torch.set_flush_denormal(options.flush_denormal)
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
    torch.backends.cudnn.benchmark = True
    protocol.DEVICE = torch.device(options.device)
    server = Server(options.fork)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "quit":
            break
        try:
            answer = server.answer(request)
        except Exception as e:  # told to the other side, which goes on
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
