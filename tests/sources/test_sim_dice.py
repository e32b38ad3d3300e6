"""sources.sim.dice: draws that depend on seed, trait and number only."""

from __future__ import annotations

import numpy as np

from domstats.sources.sim.dice import Dice


def test_draws_stay_what_they_are() -> None:
    assert Dice(1, 3).raw("load").tolist() == [1112178478019491150, 5387547511250778054, 2188273255934106873]
    assert Dice(1, 5).between("load", -3, 3).tolist() == [-3, -1, -3, 2, -1]


def test_more_domains_change_no_draw() -> None:
    few, many = Dice(7, 10), Dice(7, 1000)
    assert few.raw("x").tolist() == many.raw("x")[:10].tolist()
    assert few.table("x", 3, 0, 99).tolist() == many.table("x", 3, 0, 99)[:10].tolist()


def test_seeds_and_traits_have_draws_of_their_own() -> None:
    draws = {tuple(Dice(seed, 4).raw(trait).tolist()) for seed in (0, 1, 2**64 - 1) for trait in ("a", "b", "ab")}
    assert len(draws) == 9


def test_bounds_are_reached_and_kept() -> None:
    dice = Dice(1, 10_000)
    assert set(dice.between("x", 5, 7).tolist()) == {5, 6, 7}
    low = np.arange(10_000)
    drawn = dice.between("y", low, low + 2)
    assert ((drawn >= low) & (drawn <= low + 2)).all()


def test_weights_say_how_often() -> None:
    drawn = np.bincount(Dice(1, 10_000).weighted("x", (70, 0, 30)), minlength=3)
    assert drawn[1] == 0
    assert 6800 < drawn[0] < 7200


def test_no_domains_no_draws() -> None:
    assert Dice(1, 0).table("x", 2, 0, 1).shape == (0, 2)
