"""What --shard says, and that shares are all of the work, once."""

from __future__ import annotations

import pytest

from genbench.errors import UsageError
from genbench.runtime.sharing import ALONE, MERGED, Sharing, as_ranges, sharing_of


@pytest.mark.parametrize(("count", "shards"), [(1, 5), (3, 10), (16, 100), (16, 3)])
def test_shares_are_all_of_the_work_once_and_in_order(count: int, shards: int) -> None:
    work = list(range(shards))
    shares = [sharing_of(f"{number}/{count}").share(work) for number in range(1, count + 1)]
    assert [item for share in shares for item in share] == work
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_only_a_whole_share_gives_figures() -> None:
    assert sharing_of("") == ALONE
    assert sharing_of("1/1").is_whole
    assert sharing_of(MERGED).is_whole
    assert not sharing_of("2/3").is_whole
    assert not sharing_of("pull").is_whole


@pytest.mark.parametrize("text", ["17/16", "0/16", "3", "3/0", "a/b", "-1/3", "3 of 16", "merge"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        sharing_of(text)


def slurm(monkeypatch: pytest.MonkeyPatch, **told: str) -> None:
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)


@pytest.mark.parametrize(
    ("told", "share"),
    [
        ({"ID": "0", "COUNT": "16", "MIN": "0", "MAX": "15"}, Sharing(1, 16)),
        ({"ID": "16", "COUNT": "16", "MIN": "1", "MAX": "16"}, Sharing(16, 16)),
        ({"ID": "14", "COUNT": "3", "MIN": "10", "MAX": "14", "STEP": "2"}, Sharing(3, 3)),
    ],
)
def test_slurm_says_which(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], share: Sharing
) -> None:
    slurm(monkeypatch, **told)
    assert sharing_of("slurm") == share


def test_outside_of_slurm_there_is_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    with pytest.raises(UsageError, match=r"sbatch --array=1-16"):
        sharing_of("slurm")


def test_an_array_with_gaps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch, ID="7", COUNT="2", MIN="3", MAX="7")
    with pytest.raises(UsageError, match="gaps"):
        sharing_of("slurm")


def test_numbers_as_people_write_them() -> None:
    assert as_ranges([3, 7, 8, 9, 12]) == "3, 7-9, 12"
    assert as_ranges([]) == ""


def test_a_share_says_what_it_holds() -> None:
    def told(share: str, samples: int) -> str:
        return sharing_of(share).told("toy", samples, 500, "features", "merge")

    assert told("1/2", 100) == (
        "share 1/2 of toy is empty: 100 samples are 1 shard of 500, too few for 2 shares"
    )
    assert told("2/2", 100) == (
        "share 2/2 of toy, 1 shard (100 samples are 1 shard of 500, too few for 2 shares), is in "
        "features, merge"
    )
    assert told("3/3", 2001) == (
        "share 3/3 of toy, 2 shards (2,001 samples are 5 shards of 500), is in features, merge"
    )
    assert told("pull", 100) == "what was pulled of toy is in features, merge"
