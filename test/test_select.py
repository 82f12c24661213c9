# SPDX-License-Identifier: Apache-2.0
"""The best engine that fits serves, and the log says why; where none fits, the error says what to do."""

from dataclasses import replace

import pytest
from doubles import ALL_PASSES, MANIFEST_320, MANIFEST_640

from cone_detector.engine.contract import EngineError
from cone_detector.engine.manifest import Evaluation, Runtime, write_manifest
from cone_detector.engine.select import choose, choose_for, find_candidates
from cone_detector.settings import Settings

PASSES = ("320", "640")


def put(directory, stem: str, map50: float = 0.0, manifests=(MANIFEST_320, MANIFEST_640), **changes) -> None:
    """Writes the manifests of all passes of one engine."""
    evaluation = Evaluation("val", map50, map50 / 2, "0" * 64) if map50 else None
    for base in manifests:
        manifest = replace(base, file=f"{stem}-{base.name}.onnx", evaluation=evaluation, **changes)
        write_manifest(directory / f"{stem}-{base.name}.json", manifest)


def test_int8_goes_before_float_and_then_the_better_evaluated(tmp_path):
    put(tmp_path, "a", map50=0.9, model="a")
    put(tmp_path, "b", map50=0.7, model="b", precision="int8", runtime=Runtime("openvino", "2026.3"))
    put(tmp_path, "c", map50=0.8, model="c", precision="int8", runtime=Runtime("openvino", "2026.3"))
    choice = choose(tmp_path, PASSES)
    assert [path.name for path in choice.candidate.paths] == ["c-320.json", "c-640.json"]
    assert "openvino int8 c" in choice.reason


@pytest.mark.parametrize(
    ("wanted", "chosen"), [({"model": "a"}, "a"), ({"precision": "fp32"}, "a"), ({"precision": "int8"}, "b"), ({}, "b")]
)
def test_model_and_precision_narrow_the_choice(tmp_path, wanted, chosen):
    put(tmp_path, "a", model="a")
    put(tmp_path, "b", model="b", precision="int8")
    assert choose(tmp_path, PASSES, **wanted).candidate.model == chosen


def test_a_qdq_file_is_never_offered_to_the_cpu(tmp_path):
    put(tmp_path, "a", precision="int8", qdq=True)
    with pytest.raises(EngineError, match="make engines"):
        choose(tmp_path, PASSES)


def test_both_passes_must_be_there(tmp_path):
    put(tmp_path, "a")
    (tmp_path / "a-320.json").unlink()
    with pytest.raises(EngineError, match="passes 320, 640"):
        choose(tmp_path, PASSES)


def test_a_broken_manifest_is_passed_over_and_named(tmp_path):
    put(tmp_path, "a")
    (tmp_path / "b-640.json").write_text("{")
    assert "b-640.json: not JSON" in choose(tmp_path, PASSES).reason


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"runtime": "tflite"}, "runtime 'tflite' is unknown"),
        ({"runtime": "tensorrt"}, "runtime 'tensorrt'"),
        ({"model": "yolo99"}, "model 'yolo99'"),
        ({"precision": "fp16"}, "precision 'fp16'"),
    ],
)
def test_what_cannot_be_had_is_named_with_the_fix(tmp_path, wanted, named):
    put(tmp_path, "a")
    with pytest.raises(EngineError, match=named):
        choose(tmp_path, PASSES, **wanted)


def test_where_nothing_fits_the_error_tells_what_is_there_and_the_fix(tmp_path):
    with pytest.raises(EngineError, match=r"there is no engine file with a manifest; name another engine\.directory"):
        choose(tmp_path, PASSES)
    put(tmp_path, "a", model="yolo11n")
    there = r"there is openvino fp32 yolo11n \(320, 640\); "
    with pytest.raises(EngineError, match=there + "ask for one of these, or run `make engines`"):
        choose(tmp_path, PASSES, model="yolo12n")
    with pytest.raises(EngineError, match=there + "make zoom with `cone-tools export WEIGHTS --pass zoom`"):
        choose(tmp_path, (*PASSES, "zoom"))


def test_named_manifests_replace_the_search(tmp_path):
    put(tmp_path, "a", map50=0.5, model="a")
    put(tmp_path, "b", map50=0.9, model="b")
    named = {f"engine.manifest_{name}": str(tmp_path / f"a-{name}.json") for name in PASSES}
    assert choose_for(Settings(named), tmp_path, PASSES).candidate.model == "a"
    with pytest.raises(EngineError, match="set both or neither"):
        choose_for(Settings({"engine.manifest_320": named["engine.manifest_320"]}), tmp_path, PASSES)
    mixed = named | {"engine.manifest_640": str(tmp_path / "b-640.json")}
    with pytest.raises(EngineError, match="do not belong together"):
        choose_for(Settings(mixed), tmp_path, PASSES)


def test_plans_of_both_tensorrts_in_one_folder_are_never_mixed(tmp_path):
    for name in ("tensorrt", "tensorrt-rtx"):
        put(tmp_path, name, runtime=Runtime(name, "10.3.0"))
    both = [["tensorrt-320.json", "tensorrt-640.json"], ["tensorrt-rtx-320.json", "tensorrt-rtx-640.json"]]
    found, _ = find_candidates(tmp_path, PASSES)
    assert [[path.name for path in one.paths] for one in found] == both
    mixed = {
        "engine.manifest_320": str(tmp_path / "tensorrt-320.json"),
        "engine.manifest_640": str(tmp_path / "tensorrt-rtx-640.json"),
    }
    with pytest.raises(EngineError, match="do not belong together"):
        choose_for(Settings(mixed), tmp_path, PASSES)
    (tmp_path / "tensorrt-320.json").unlink()
    (found,), _ = find_candidates(tmp_path, PASSES)
    assert [path.name for path in found.paths] == both[1]


FIXED = {"policy.name": "fixed_640"}
BAND = {"policy.name": "band"}


def test_the_band_comes_along_where_there_is_one_and_must_be_there_for_its_policy(tmp_path):
    put(tmp_path, "plain", map50=0.9, model="plain")
    put(tmp_path, "full", map50=0.5, model="full", manifests=ALL_PASSES)
    assert choose_for(Settings(FIXED), tmp_path, PASSES).candidate.model == "plain"
    chosen = choose_for(Settings(FIXED | {"engine.model": "full"}), tmp_path, PASSES).candidate
    assert [path.name for path in chosen.paths] == [f"full-{name}.json" for name in ("320", "640", "band", "zoom")]
    assert choose_for(Settings(BAND), tmp_path, PASSES).candidate.model == "full"
    with pytest.raises(EngineError, match="passes 320, 640, band"):
        choose_for(Settings(BAND | {"engine.model": "plain"}), tmp_path, PASSES)


def test_a_named_engine_must_name_the_band_for_its_policy(tmp_path):
    put(tmp_path, "a", manifests=ALL_PASSES)
    named = {f"engine.manifest_{name}": str(tmp_path / f"a-{name}.json") for name in PASSES}
    with pytest.raises(EngineError, match=r"set engine\.manifest_band too"):
        choose_for(Settings(BAND | named), tmp_path, PASSES)
    named["engine.manifest_band"] = str(tmp_path / "a-band.json")
    assert len(choose_for(Settings(BAND | named), tmp_path, PASSES).candidate.paths) == 3
