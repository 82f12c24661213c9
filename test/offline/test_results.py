# SPDX-License-Identifier: AGPL-3.0-only
"""The trainer's table is read as the weights were kept."""

import pytest

from offline_tools.results import MAP50, MAP50_95, best_epoch, read_epochs


def write(path, rows):
    lines = [
        f"epoch,time,{MAP50},{MAP50_95}",
        *(",".join(map(str, (epoch, 1.0, *figures))) for epoch, *figures in rows),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("rows", "kept", "map50"),
    [
        ([(1, 0.5, 0.2), (2, 0.6, 0.3), (3, 0.7, 0.25)], 2, 0.6),
        ([(1, 0.5, 0.3), (2, 0.6, 0.3), (3, 0.4, 0.1)], 2, 0.6),  # ultralytics writes best.pt again for an equal figure
        ([(1, 0.5, 0.2), (2, 0.9, 0.9), (2, 0.6, 0.3)], 2, 0.6),  # epoch 2 was repeated after a kill
    ],
)
def test_the_kept_epoch(tmp_path, rows, kept, map50):
    epochs = read_epochs(write(tmp_path / "results.csv", rows))
    assert [row["epoch"] for row in epochs] == sorted({row[0] for row in rows})
    best = best_epoch(epochs)
    assert (best["epoch"], best[MAP50]) == (kept, map50)


@pytest.mark.parametrize("content", ["", "epoch,time\n", "epoch,time\n1,2.0\n"])
def test_a_table_without_figures_is_refused(tmp_path, content):
    (tmp_path / "results.csv").write_text(content)
    with pytest.raises(ValueError, match=r"results\.csv holds no epochs"):
        read_epochs(tmp_path / "results.csv")
