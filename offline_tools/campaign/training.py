# SPDX-License-Identifier: AGPL-3.0-only
"""The training phases: which run each variant and seed is, and where its weights lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offline_tools.campaign.config import PASSES, CampaignConfig, Variant
from offline_tools.campaign.phase import CampaignError, External, Phase


def views(config: CampaignConfig, variant: Variant) -> list[tuple[str, str]]:
    """The engines that a variant is measured as, (name, pass): one for each of its stages that is called like a pass.

    The last one has the variant's own name.
    """
    stages = variant.stages or config.stages
    passes = [stage for stage in stages if stage in PASSES]
    return [(variant.name if view == passes[-1] else f"{variant.name}-{view}", view) for view in passes]


def weights_of(config: CampaignConfig, variant: Variant, seed: int, stage: str = "") -> str:
    """The weights of a variant as an input, "PHASE/PATH"; those of its first seed where it has no such seed.

    stage: whose weights; the last one's where not given.
    """
    known = seed if seed in variant.seeds else variant.seeds[0]
    stage = stage or (variant.stages or config.stages)[-1]
    return f"train-{variant.name}-s{known}/{stage}/weights/best.pt"


def train_phase(config: CampaignConfig, base: dict[str, Any], variant: Variant, seed: int) -> Phase:
    """The training of one variant with one seed. base: content of the training configuration that all share.

    Raises CampaignError where a stage is not in `base`.
    """
    stages = [_stage(config, base, variant, name) for name in variant.stages or config.stages]
    by_name = {other.name: other for other in config.variants}
    inputs = {f"weights:{name}": weights_of(config, by_name[name], seed) for name in variant.references}
    external = {}
    if variant.model.endswith(".pt"):
        external["model"] = External(Path(variant.model), "file")
    for key, value in (variant.technique or {}).items():
        if isinstance(value, str) and value.endswith(".pt"):
            external[f"technique:{key}"] = External(Path(value), "file")
    if config.data:
        external["data"] = External(Path(config.data), "prepared")
    else:
        inputs["data"] = "prepare/figures.json"
    return Phase(
        f"train-{variant.name}-s{seed}",
        "train",
        {
            "model": variant.model,
            "technique": dict(variant.technique) if variant.technique else None,
            "stages": stages,
            "settings": {**base.get("settings", {}), "seed": seed},
            "epochs": sum(stage["epochs"] for stage in stages),
        },
        inputs,
        external,
        tuple(
            f"{stage['name']}/{file}"
            for stage in stages
            for file in ("weights/best.pt", "results.csv", "stage.json", "args.yaml")
        ),
        device=True,
        labels={
            "variant": variant.name,
            "branch": variant.branch,
            "seed": seed,
            "loader": {**config.loader, **variant.loader},
        },
    )


def _stage(config: CampaignConfig, base: dict[str, Any], variant: Variant, name: str) -> dict[str, Any]:
    known = {str(stage["name"]): stage for stage in base.get("stages", [])}
    if name not in known:
        raise CampaignError(f"variant {variant.name}: {config.train} has no stage '{name}', only {', '.join(known)}")
    epochs = variant.epochs or config.epochs
    # Of few epochs the last ones without mosaic must still be few.
    close = min(int(known[name].get("close_mosaic", 10)), epochs // 5)
    # In a stage they win over the file's, whose stages win over its own settings.
    own = {**config.settings, **variant.settings}
    return {**known[name], "close_mosaic": close, **own, "name": name, "epochs": epochs}
