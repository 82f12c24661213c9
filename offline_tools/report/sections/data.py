# SPDX-License-Identifier: AGPL-3.0-only
"""The data, and what keeps the test split a test: guard, near twins, ledger."""

from __future__ import annotations

from offline_tools.report.archive import KNOWN, Archive
from offline_tools.report.document import Column, Row, Section, row, table
from offline_tools.report.records import Node
from offline_tools.report.text import Parts, listed, prose
from offline_tools.report.values import Value, computed, total


def data(archive: Archive) -> Section:
    """Section "Data and split hygiene"."""
    section = Section("data", "Data and split hygiene")
    _contents(section.sub("data-contents", "What the data is made of"), archive)
    _guard(section.sub("data-guard", "Guard and near twins"), archive)
    _ledger(section.sub("data-ledger", "Ledger of looks at test"), archive)
    return section


def _contents(section: Section, archive: Archive) -> None:
    check = archive.find("data_check.json")
    if check is None:
        section.miss(KNOWN["data_check.json"].what, KNOWN["data_check.json"].command)
        for split in ("val", "test"):
            _evaluated(section, archive, split)
        return
    splits = list(check.at("images").content)
    classes = list(check.at("boxes", splits[0]).content)
    rows = [row("images", *(check.at("images", split).value(0) for split in splits))]
    rows += [row(_words(name), *(check.at("boxes", split, name).value(0) for split in splits)) for name in classes]
    section.add(
        table(
            [Column("", False), *(Column(split) for split in splits)],
            rows,
            prose("Images, and boxes by class, of {name}.", name=check.at("name").label()),
        )
    )
    absent = [name for name in classes if "test" in splits and check.at("boxes", "test", name).content == 0]
    if absent:
        section.say(
            "The test split holds no {classes}: its mAP is a mean over the other classes, and says nothing of these.",
            classes=listed([_words(name) for name in absent], " and no "),
        )


def _evaluated(section: Section, archive: Archive, split: str) -> None:
    record = archive.find("accuracy.json")
    entry = next((one for one in record.at("models") if one.at("split").content == split), None) if record else None
    if entry is not None:
        section.say(
            f"The evaluations on {split} are of "
            "{images} images with {labels} labelled cones of these classes: {classes}.",
            images=entry.at("images").value(0),
            labels=total([node.at("labels").value(0) for node in entry.at("per_class")], 0),
            classes=listed([_words(name) for name in entry.at("per_class").content]),
        )


def _guard(section: Section, archive: Archive) -> None:
    registry, check = archive.find("test_split.json"), archive.find("data_check.json")
    section.say(
        "All data passes through one door. It knows {known} by what they show (a hash of the file, and a perceptual "
        "hash of the picture and of its mirror image), not by where they lie: an image of the test split that was "
        "renamed, scaled, mirrored or compressed again is refused to training, validation, calibration and tuning.",
        known=(registry.at("images").count(), " test images") if registry else "the test images",
    )
    if registry is None:
        section.miss("the registry of test images", "cone-tools data register DATASET")
    if check is None:
        section.say(
            "How many pictures of one split have a near twin in another is not recorded, so this report cannot say "
            "how far validation flatters [@barz2020]."
        )
        return
    twins = [_twins(pair) for pair in check.at("near_twins")]
    if not twins:
        section.say("No picture of one split looks nearly like one of another [@barz2020].")
        return
    section.say(
        "{twins}. Where validation has such twins it flatters, and what is chosen by it may be chosen a little "
        "wrongly; the final figure is only touched where test is named [@barz2020].",
        twins=listed(twins),
    )


def _twins(pair: Node) -> Parts:
    return prose(
        "{images} images of {split} look nearly like one of {like}",
        images=pair.at("images").value(0),
        split=pair.at("split").label(),
        like=pair.at("like").label(),
    )


def _ledger(section: Section, archive: Archive) -> None:
    ledger, accuracy = archive.find("test_ledger.json"), archive.find("accuracy.json")
    if ledger is None:
        section.miss(KNOWN["test_ledger.json"].what, KNOWN["test_ledger.json"].command)
        return
    entries = list(ledger.at("entries"))
    if not entries:
        section.say(
            "The ledger is empty: nothing was evaluated on the test split, so no figure of this report is of it."
        )
        return
    kept = {entry.at("model_sha256").content for entry in accuracy.at("models")} if accuracy else set()
    kept |= _chosen(archive)
    policies = _policies(archive)
    titles = {
        "engine file": False,
        "hash": False,
        "mAP50": True,
        "mAP50-95": True,
        "date": False,
        "look": False,
        "file": False,
    }
    section.add(
        table(
            [Column(title, numeric) for title, numeric in titles.items()],
            [_look(entry, kept, policies) for entry in entries],
            prose(
                "Every look at the test split, in order: of an engine file alone, or of all passes of a policy, which "
                "are then named. A second one of the same on the same images is refused unless it is forced, and a "
                "forced one is marked for good."
            ),
        )
    )
    _looks(section, ledger, entries, kept | policies)
    _whole_policies(section, archive)


def _whole_policies(section: Section, archive: Archive) -> None:
    looks = archive.find("policy_test.json")
    if looks is None:
        section.miss(KNOWN["policy_test.json"].what, KNOWN["policy_test.json"].command)
        return
    keys = ("map50", "map50_95", "recall_far", "recall_near", "precision")
    titles = ("mAP50", "mAP50-95", "recall of far cones", "of near ones", "precision")
    section.add(
        table(
            [Column("passes", False), *(Column(title, True) for title in titles)],
            [
                row(
                    " and ".join(str(one.content) for one in entry.at("passes")),
                    *(entry.at(key).value() for key in keys),
                )
                for entry in looks.at("policies")
            ],
            prose(
                "All passes of a policy together, on test, clip by clip. Recall and precision are at the node's "
                "default confidence."
            ),
        )
    )


def _chosen(archive: Archive) -> set[str]:
    """The hash of the engine that the campaign chose and evaluated last: nothing has taken its place."""
    campaign = archive.find("campaign.json")
    final = campaign.find("final_test") if campaign else None
    found = final.find("model_sha256") if final else None
    return {str(found.content)} if found else set()


def _policies(archive: Archive) -> set[str]:
    """The hashes under which policies, with all engine files of their passes, were looked at by `cone-tools final`."""
    looks = archive.find("policy_test.json")
    return {str(entry.at("policy_sha256").content) for entry in looks.at("policies")} if looks else set()


def _look(entry: Node, kept: set[str], policies: set[str]) -> Row:
    sha256 = entry.at("model_sha256").content
    return row(
        entry.at("model").label(),
        entry.at("model_sha256").label().cut(10),
        entry.at("map50").value(),
        entry.at("map50_95").value(),
        entry.at("date").label().cut(16),
        "repeated by force" if entry.at("forced").content else "first",
        "a policy's" if sha256 in policies else "in use" if sha256 in kept else "not in use",
    )


def _looks(section: Section, ledger: Node, entries: list[Node], kept: set[str]) -> None:
    unused = [entry for entry in entries if entry.at("model_sha256").content not in kept]
    forced = [entry for entry in entries if entry.at("forced").content]
    looks = ledger.at("entries").count()
    if not unused and not forced:
        section.say(
            "There were {looks} looks, each the only one of a file that is still in use: test chose nothing.",
            looks=looks,
        )
    if unused:
        section.say(
            "The ledger holds {looks} looks; at files that are no longer in use: {unused}. Whoever put others in "
            "their place knew a test figure: the figures of these successors are to be read with that in mind.",
            looks=looks,
            unused=_counted(entries, unused),
        )
    if forced:
        section.say("Of these looks, forced repetitions: {forced}.", forced=_counted(entries, forced))


def _counted(entries: list[Node], chosen: list[Node]) -> Value:
    """How many of the ledger's entries were chosen, as a figure of the ledger."""
    marks = [entry.at("map50").value() for entry in chosen]
    return computed(f"{len(chosen)} of {len(entries)} entries", lambda *found: float(len(found)), *marks, digits=0)


def _words(name: str) -> str:
    return name.replace("_", " ")
