# SPDX-License-Identifier: AGPL-3.0-only
"""A cheap trial: takes the options of `cone-tools train`, leaves its results.csv, and learns, crashes or hangs.

It learns best at lr0 = 0.003; batch 64 and more does not fit into its memory; a folder `slow` beside the data makes it
wait after its first epoch until somebody kills it, once.
"""

import argparse
import math
import os
import time
from pathlib import Path

import yaml


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--registry")
    parser.add_argument("--device", default="")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    config = yaml.safe_load(args.config.read_text())
    stage = {**config["settings"], **config["stages"][0]}
    folder = args.runs / config["name"] / stage["name"]
    print(f"Ultralytics 8.4 Python-3.11 torch-2.15 CPU (a test of group {os.environ['WANDB_RUN_GROUP']})", flush=True)
    if stage["batch"] >= 64:
        raise MemoryError(f"CUDA out of memory. Tried to allocate {stage['batch']}.5 GiB at 0x{os.getpid():x}")
    good = 0.9 - 0.3 * abs(math.log10(stage["lr0"] / 0.003))
    rows = [good * epoch / stage["epochs"] for epoch in range(1, stage["epochs"] + 1)]
    with (folder / "results.csv").open("w") as table:
        table.write("epoch,metrics/mAP50(B),metrics/mAP50-95(B)\n")
        for epoch, map50 in enumerate(rows, 1):
            table.write(f"{epoch},{map50},{map50 / 2}\n")
            table.flush()
            first_attempt = not (folder / "pid").exists()
            if epoch == 1 and first_attempt and (args.data / "slow").exists():
                (folder / "pid").write_text(str(os.getpid()))
                time.sleep(60)
            if epoch == 2 and stage["lr0"] > 0.05:
                time.sleep(60)  # hopeless: somebody should stop this


if __name__ == "__main__":
    main()
