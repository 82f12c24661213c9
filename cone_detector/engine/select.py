# SPDX-License-Identifier: Apache-2.0
"""Which engine files serve: TensorRT where a GPU and fitting plans are, else OpenVINO on the CPU, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cone_detector.adaptive.passes import passes_of
from cone_detector.engine.contract import Engine, EngineError
from cone_detector.engine.manifest import MAKE_PASS, REBUILD_COMMAND, Manifest, ManifestError, read_manifest
from cone_detector.settings import Settings

RUNTIMES = ("auto", "tensorrt", "openvino")
# Taken along where a model has them, so that the policy may change while the node runs.
OPTIONAL_PASSES = ("band", "zoom")


@dataclass(frozen=True)
class Candidate:
    """The files of one model for one runtime and precision, one manifest path a pass.

    kind: the runtime that the manifests name. ms: of all wanted passes together; 0 where one was not timed.
    """

    kind: str
    model: str
    precision: str
    paths: tuple[Path, ...]
    map50: float = 0.0
    ms: float = 0.0

    @property
    def runtime(self) -> str:
        """What opens the files: "tensorrt", also for plans of TensorRT-RTX, or "openvino", also for an ONNX."""
        return "tensorrt" if self.kind.startswith("tensorrt") else "openvino"


@dataclass(frozen=True)
class Choice:
    """What was chosen. reason: one line for the log, with what was passed over and why."""

    candidate: Candidate
    reason: str


def find_candidates(directory: Path, passes: Iterable[str]) -> tuple[list[Candidate], list[str]]:
    """All complete sets of engine files in `directory`, and one line for each manifest that is unreadable or stale."""
    manifests, faults = _read_all(directory)
    sources = _sources(manifests.values())
    fresh: dict[Path, Manifest] = {}
    for path, manifest in manifests.items():
        if stale := _stale(manifest, sources):
            faults.append(f"{path}: {stale}")
        else:
            fresh[path] = manifest
    wanted = tuple(passes)
    candidates = []
    for (kind, model, precision), found in _groups(fresh).items():
        if all(name in found for name in wanted):
            extra = [name for name in OPTIONAL_PASSES if name in found and name not in wanted]
            paths = tuple(found[name][0] for name in (*wanted, *extra))
            evaluations = [found[name][1].evaluation for name in wanted]
            map50 = max(evaluation.map50 if evaluation else 0.0 for evaluation in evaluations)
            times = [found[name][1].ms for name in wanted]
            ms = sum(times) if all(times) else 0.0
            candidates.append(Candidate(kind, model, precision, paths, map50, ms))
    return candidates, faults


def choose_for(settings: Settings, installed: Path, passes: Iterable[str]) -> Choice:
    """The engine that the settings ask for: named manifests, or a search of a folder (`installed` by default).

    passes: names that all must be there, with those that the policy needs.
    Raises EngineError or ManifestError with what to do.
    """
    passes = tuple(passes)
    wanted = (*passes, *(name for name in passes_of(settings) if name not in passes))
    named = {name: path for name in (*passes, *OPTIONAL_PASSES) if (path := settings[f"engine.manifest_{name}"])}
    if named:
        if not all(name in named for name in passes):
            raise EngineError("engine.manifest_320 and engine.manifest_640 go together: set both or neither")
        if missing := [name for name in wanted if name not in named]:
            raise EngineError(
                f"policy.name is '{settings['policy.name']}': set engine.manifest_{missing[0]} too, or another policy"
            )
        return _choose_named([Path(path).expanduser() for path in named.values()])
    directory = Path(settings["engine.directory"]).expanduser() if settings["engine.directory"] else installed
    return choose(directory, wanted, settings["engine.runtime"], settings["engine.model"], settings["engine.precision"])


def _choose_named(paths: list[Path]) -> Choice:
    manifests = [read_manifest(path) for path in paths]
    for path, manifest in zip(paths, manifests, strict=True):
        beside, _ = _read_all(path.parent)
        if stale := _stale(manifest, _sources(beside.values())):
            raise EngineError(f"{path}: {stale}")
    kinds = {_key(manifest) for manifest in manifests}
    if len(kinds) > 1:
        raise EngineError(f"the named manifests do not belong together: {sorted(map(str, kinds))}")
    kind, model, precision = kinds.pop()
    # No runtime here is for a Q/DQ file: the OpenVINO engine refuses it with the reason.
    candidate = Candidate(kind, model, precision, tuple(paths))
    if obstacle := _obstacle(candidate):
        raise EngineError(f"{paths[0]}: {obstacle}")
    return Choice(candidate, f"{candidate.runtime} {precision} {model}, named by parameter")


def choose(
    directory: Path, passes: Iterable[str], runtime: str = "auto", model: str = "", precision: str = "auto"
) -> Choice:
    """Chooses among the engine files in `directory`.

    passes: names that all must be there. runtime: one of RUNTIMES. model, precision: narrow the choice where given.
    TensorRT goes before TensorRT-RTX and that before OpenVINO; then of each model the precision that was faster when
    its plans were built, INT8 where nobody timed them; then the higher mAP50 of the recorded evaluation.
    Raises EngineError with what to do.
    """
    passes = tuple(passes)
    if runtime not in RUNTIMES:
        raise EngineError(f"runtime '{runtime}' is unknown: use one of {', '.join(RUNTIMES)}")
    candidates, faults = find_candidates(directory, passes)
    asked_for = [
        c
        for c in candidates
        if model in ("", c.model) and precision in ("auto", c.precision) and runtime in ("auto", c.runtime)
    ]
    fitting = sorted(
        asked_for,
        key=lambda c: (c.runtime == "tensorrt", c.kind == "tensorrt", _preferred(c, _rivals(c, asked_for)), c.map50),
        reverse=True,
    )
    passed_over = list(faults)
    for candidate in fitting:
        obstacle = _obstacle(candidate)
        if obstacle is None:
            reason = f"{candidate.runtime} {candidate.precision} {candidate.model} from {directory}"
            slower = [c for c in _rivals(candidate, fitting) if c.ms > candidate.ms > 0]
            reason += "".join(
                f", {candidate.ms:.2f} ms for its passes where {c.precision} takes {c.ms:.2f}" for c in slower
            )
            if passed_over:
                reason += "; passed over: " + "; ".join(passed_over)
            return Choice(candidate, reason)
        passed_over.append(f"{candidate.runtime} {candidate.precision} {candidate.model}: {obstacle}")
    asked = f"runtime '{runtime}', model '{model or 'any'}', precision '{precision}', passes {', '.join(passes)}"
    raise EngineError(f"no engine in {directory} fits {asked}: {_what_is_there(directory, passes, passed_over)}")


def on_cpu(settings: Settings) -> Settings | None:
    """The settings with an engine for the CPU instead; None where they name a runtime or files."""
    if settings["engine.runtime"] != "auto" or settings["engine.manifest_640"]:
        return None
    return settings.changed({"engine.runtime": "openvino", "engine.precision": "auto"})


def load(choice: Choice, slots: int, threads: int = 0) -> Engine:
    """Loads and warms up the chosen engine with `slots` canvases. Raises EngineError or ManifestError."""
    paths = choice.candidate.paths
    if choice.candidate.runtime == "tensorrt":
        from cone_detector.engine.tensorrt import TensorRtEngine

        return TensorRtEngine(paths, slots)
    from cone_detector.engine.openvino import OpenVinoEngine

    return OpenVinoEngine(paths, slots, threads)


def _what_is_there(directory: Path, passes: Sequence[str], passed_over: Sequence[str]) -> str:
    """What lies in a folder of which nothing fits, why not, and what to do."""
    groups = _groups(_read_all(directory)[0])
    there = [
        f"{'openvino' if kind == 'onnx' else kind} {precision} {model} ({', '.join(found)})"
        for (kind, model, precision), found in groups.items()
    ]
    lacking = [name for name in passes if not any(name in found for found in groups.values())]
    if there and lacking and set(lacking) <= set(OPTIONAL_PASSES):
        fix = f"make {lacking[0]} with {MAKE_PASS.format(lacking[0])}, or choose another policy.name"
    elif there:
        fix = f"ask for one of these, or run `{REBUILD_COMMAND}`"
    else:
        fix = f"name another engine.directory, or run `{REBUILD_COMMAND}`"
    return "; ".join((f"there is {', '.join(there) or 'no engine file with a manifest'}", *passed_over, fix))


def _rivals(candidate: Candidate, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those of the same model and runtime, the candidate among them."""
    return [c for c in candidates if (c.kind, c.model) == (candidate.kind, candidate.model)]


def _preferred(candidate: Candidate, rivals: Sequence[Candidate]) -> bool:
    """Whether it is the fastest, where all were timed; INT8 is taken to be, where not."""
    if all(c.ms for c in rivals):
        return candidate.ms == min(c.ms for c in rivals)
    return candidate.precision == "int8"


def _read_all(directory: Path) -> tuple[dict[Path, Manifest], list[str]]:
    """All manifests in `directory`, in the order of their names, and one line for each that cannot be read."""
    manifests: dict[Path, Manifest] = {}
    faults = []
    for path in sorted(directory.glob("*.json")):
        try:
            manifests[path] = read_manifest(path)
        except ManifestError as error:
            faults.append(str(error))
    return manifests, faults


def _key(manifest: Manifest) -> tuple[str, str, str]:
    """What passes must share to run in one engine; plans of TensorRT and of TensorRT-RTX do not."""
    return manifest.runtime.name, manifest.model, manifest.precision


def _groups(manifests: Mapping[Path, Manifest]) -> dict[tuple[str, str, str], dict[str, tuple[Path, Manifest]]]:
    """By `_key` and pass, the manifests of what a runtime here can open: all but Q/DQ files, which are for building."""
    groups: dict[tuple[str, str, str], dict[str, tuple[Path, Manifest]]] = {}
    for path, manifest in manifests.items():
        if not manifest.qdq:
            groups.setdefault(_key(manifest), {})[manifest.name] = (path, manifest)
    return groups


def _sources(manifests: Iterable[Manifest]) -> dict[tuple[str, str, bool], set[str]]:
    """SHA-256 of the ONNX files that plans are built from, by model, pass and whether they carry Q/DQ."""
    found: dict[tuple[str, str, bool], set[str]] = {}
    for manifest in manifests:
        if manifest.runtime.name == "onnx":
            found.setdefault((manifest.model, manifest.name, manifest.qdq), set()).add(manifest.file_sha256)
    return found


def _stale(manifest: Manifest, sources: Mapping[tuple[str, str, bool], set[str]]) -> str | None:
    """Why a plan is not of the ONNX that lies beside it; None where it is, and where there is none to compare with."""
    if not manifest.is_plan:
        return None
    # `cone-tools build` makes INT8 plans of Q/DQ files, and all others of float ones.
    present = sources.get((manifest.model, manifest.name, manifest.precision == "int8"))
    if not present or manifest.onnx_sha256 in present:
        return None
    return (
        f"the plan was built from an ONNX of SHA-256 {manifest.onnx_sha256[:12]}…, now there is "
        f"{', '.join(sorted(digest[:12] for digest in present))}…: run `{REBUILD_COMMAND}`"
    )


def _obstacle(candidate: Candidate) -> str | None:
    """Why this candidate cannot run on this machine; None where it can."""
    checks: dict[str, Callable[[Candidate], str | None]] = {
        "tensorrt": _tensorrt_obstacle,
        "openvino": _openvino_obstacle,
    }
    return checks[candidate.runtime](candidate)


def _openvino_obstacle(_: Candidate) -> str | None:
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        return f"OpenVINO is not installed ({error})"
    return None


def _tensorrt_obstacle(candidate: Candidate) -> str | None:
    from cone_detector.engine.tensorrt import obstacle

    for path in candidate.paths:
        found = obstacle(read_manifest(path))
        if found:
            return found
    return None
