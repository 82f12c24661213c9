# SPDX-License-Identifier: AGPL-3.0-only
"""Multi-GPU training as ultralytics does it, on two processes of a CPU: gloo for NCCL, nothing else replaced."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import torch
import torch.distributed as dist
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import unwrap_model

from offline_tools.distill import DistillTrainer


class TwoProcessTrainer(DistillTrainer):
    """DistillTrainer that ultralytics takes for one of two GPUs' workers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.world_size = 2

    def _setup_ddp(self) -> None:
        dist.init_process_group("gloo", rank=RANK, world_size=2)
        # A module on a CPU takes no device numbers.
        wrap = torch.nn.parallel.DistributedDataParallel
        torch.nn.parallel.DistributedDataParallel = functools.partial(_without_devices, wrap)

    def final_eval(self) -> None:
        """Notes this process's weights instead: ultralytics' workers validate on a GPU only."""
        model = unwrap_model(self.model)
        digest = hashlib.sha256()
        for part in (model.student_model, model.projector):
            for parameter in part.parameters():
                digest.update(parameter.detach().numpy().tobytes())
        (self.save_dir / f"rank{RANK}.txt").write_text(digest.hexdigest())


def _without_devices(wrap: Any, module: Any, device_ids: Any, **kwargs: Any) -> Any:
    return wrap(module, **kwargs)
