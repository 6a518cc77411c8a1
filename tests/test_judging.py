"""The four kinds of rule: what gives which verdict, and that data drawn under a hypothesis follow it."""

import numpy as np
import pytest
import scipy.stats

from vsbook.checks import BadInput
from vsbook.judging import LEVEL, Law, Mean, Number, Theorem, confidence_interval, prediction_interval, rule_of

ROOT_OF_THREE = np.sqrt(3)
T = 4.302653  # Student's, 0.975, two degrees of freedom: in any printed table


def even(low, high):
    """A law's draws, as they are on file."""
    return np.linspace(low, high, 999).tolist()


def around(mean, half):
    """Three seeds whose prediction interval ends at mean - half and mean + half."""
    sd = half / (T * np.sqrt(1 + 1 / 3))
    return [mean - sd, mean, mean + sd]


def about(mean, half):
    """Three seeds the confidence interval of whose mean ends there."""
    sd = half * ROOT_OF_THREE / T
    return [mean - sd, mean, mean + sd]


def test_the_prediction_interval_covers_one_more_seed():
    """In 4000 repetitions with five normal seeds, 95 % within Monte Carlo error (4 deviations: 1.4 %)."""
    draws = np.random.default_rng(0).standard_normal((4000, 6))
    inside = [low <= more <= high for *seeds, more in draws for low, high in [prediction_interval(seeds)]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.014)


def test_the_confidence_interval_covers_the_mean():
    draws = np.random.default_rng(0).standard_normal((4000, 5))
    inside = [low <= 0 <= high for seeds in draws for low, high in [confidence_interval(seeds)]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.014)


def test_the_intervals_by_a_table():
    assert prediction_interval([9.0, 10.0, 11.0]) == pytest.approx((10 - T * np.sqrt(4 / 3), 10 + T * np.sqrt(4 / 3)))
    assert confidence_interval([9.0, 10.0, 11.0]) == pytest.approx((10 - T / ROOT_OF_THREE, 10 + T / ROOT_OF_THREE))
    assert confidence_interval([10.0] * 3, least_variance=1.0) == confidence_interval([9.0, 10.0, 11.0])


def test_a_theorem_holds_for_every_run_and_can_fail():
    rule = Theorem(1e-9)

    def verdict(errors, broken):
        return rule.decide(errors, {"runs": dict(enumerate(broken))})

    assert verdict([0.0, 1e-15, 1e-9], [0.1, 0.2, 1.0]) == "theorem"
    assert verdict([0.0, 1e-15, 1.1e-9], [0.1, 0.2, 1.0]) == "contradicted"
    assert verdict([0.0, 0.0, 0.0], [1e-9, 0.2, 1.0]) == "contradicted"  # broken on purpose, the check must fail


# The stated 7.22 reaches from 7.215 to 7.225.
@pytest.mark.parametrize(
    ("stated", "runs", "verdict"),
    [
        ("7.22", around(7.22, 0.001), "reproduced"),
        ("7.22", around(7.0, 0.214), "contradicted"),
        ("7.22", around(7.0, 0.216), "reproduced"),
        ("7.22", around(7.5, 0.274), "contradicted"),
        ("7.22", around(7.5, 0.276), "reproduced"),
        ("7.2", around(7.3, 0.049), "contradicted"),
        ("7.2", around(7.3, 0.051), "reproduced"),
        ("92", around(91.0, 0.49), "contradicted"),
        ("92", around(91.0, 0.51), "reproduced"),
        ("92", around(92.0, 0.99), "reproduced"),
        ("92", around(92.0, 1.01), "undecided"),  # another number would have met so wide an interval as well
        ("4096", [4096.0] * 3, "reproduced"),
        ("4096", [4097.0] * 3, "contradicted"),
    ],
)
def test_a_number_meets_the_interval_give_or_take_half_a_digit(stated, runs, verdict):
    assert Number(stated, 1.0).decide(runs, {}) == verdict


@pytest.mark.parametrize(
    ("rule", "runs", "verdict"),
    [
        (Mean(2.0, 0.0), about(2.0, 0.99), "reproduced"),
        (Mean(2.0, 0.0), about(2.0, 1.01), "undecided"),
        (Mean(2.0, 0.0), about(0.0, 0.99), "contradicted"),
        (Mean(0.0, 2.0), about(0.0, 0.99), "reproduced"),
        (Mean(0.0, 2.0), about(2.0, 0.99), "contradicted"),
        (Mean(2.0, 0.0), [1.0, 1.0, 1.0], "undecided"),
        (Mean(4.0, 1.0, "log"), [2.01] * 3, "reproduced"),  # the middle of factors is 2, not 2.5
        (Mean(4.0, 1.0, "log"), [1.99] * 3, "contradicted"),
        (Mean(0.9, 0.5, "logit"), [0.76] * 3, "reproduced"),  # of odds of 9 and 1 it is 3 to 1
        (Mean(0.9, 0.5, "logit"), [0.74] * 3, "contradicted"),
        (Mean(0.9, 0.5, "logit", 1000), [1.0] * 3, "reproduced"),
        (Mean(0.9, 0.5, "logit", 1000), [0.0] * 3, "contradicted"),
        (Mean(0.9, 0.5, "logit", 10), [0.8] * 3, "undecided"),  # ten outcomes scatter more than these seeds do
        (Mean(0.9, 0.5, "logit", 1000), [0.8] * 3, "reproduced"),
    ],
)
def test_the_mean_lies_on_one_side_of_the_middle(rule, runs, verdict):
    assert rule.decide(runs, {}) == verdict


def binomial_tail(k, n, p, above):
    """By hand: the sum of the probabilities."""
    law = [scipy.special.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(n + 1)]
    return sum(law[k:]) if above else sum(law[: k + 1])


@pytest.mark.parametrize(("hits", "verdict"), [(7, "contradicted"), (8, "undecided"), (9, "reproduced")])
def test_a_count_has_the_exact_law_of_its_tries(hits, verdict):
    rule = Law(of=10, null=0.5, claimed=0.95, seeds="alike")
    wanted = binomial_tail(hits, 10, 0.5, True), binomial_tail(hits, 10, 0.95, False)
    assert rule.p_values([hits] * 3, {}) == pytest.approx(wanted)
    assert rule.decide([hits] * 3, {}) == verdict


def test_independent_seeds_are_combined_and_alike_ones_count_once():
    control = {"null": even(0, 1), "claimed": even(0.5, 1.5)}
    runs, ps = [0.9, 0.8, 0.6], np.array([0.1, 0.2, 0.4])
    fisher = scipy.stats.chi2(2 * 3).sf(-2 * np.log(ps).sum())
    assert Law().p_values(runs, control)[0] == pytest.approx(fisher, rel=0.02)
    assert Law(seeds="alike").p_values(runs, control)[0] == pytest.approx(0.2, abs=0.002)
    below = Law(side="below").p_values([1 - v for v in runs], {"null": even(0, 1), "claimed": even(-0.5, 0.5)})
    assert below == pytest.approx(Law().p_values(runs, control))


def test_a_law_rejects_one_side_or_decides_nothing():
    far = {"null": even(0, 1), "claimed": even(2, 3)}
    near = {"null": even(0, 1), "claimed": even(0, 1)}
    assert Law().decide([2.5] * 3, far) == "reproduced"
    assert Law().decide([0.5] * 3, far) == "contradicted"
    assert Law().decide([1.5] * 3, far) == "undecided"  # like neither
    assert Law().decide([0.5] * 3, near) == "undecided"  # like both


def holm_by_hand(ps, own):
    """The smallest times how many there are, the next times one less: the largest of these up to the own."""
    return max(min(1, (len(ps) - rank) * p) for rank, p in enumerate(sorted(ps)) if p <= own)


def test_a_family_is_adjusted_by_holm():
    control = {"null": even(0, 1), "claimed": even(0.5, 1.5)}
    own = Law().p_values([0.99, 0.9, 0.8], control)
    others = [(0.01, 0.5), (0.2, 0.9), (0.6, 0.03)]
    for side, found in enumerate(Law().adjusted([0.99, 0.9, 0.8], control, others)):
        ps = [own[side], *(other[side] for other in others)]
        assert found == pytest.approx(holm_by_hand(ps, own[side]))
    assert own[0] <= LEVEL < Law().adjusted([0.99, 0.9, 0.8], control, others)[0]


@pytest.mark.parametrize("hypothesis", ["claimed", "null"])
@pytest.mark.parametrize(
    "rule",
    [
        Mean(3.0, 1.0),
        Mean(3.0, 1.0, "log"),
        Mean(0.9, 0.1, "logit"),
        Mean(0.9, 0.1, "logit", 1000),
        Law(of=10, null=0.2, claimed=0.8),
    ],
    ids=str,
)
def test_drawn_data_follow_their_hypothesis(rule, hypothesis):
    runs, generator = [0.4, 0.5, 0.6], np.random.default_rng(0)
    drawn = rule.draw(hypothesis, 2000, [4, 5, 6] if isinstance(rule, Law) else runs, {}, generator)
    wanted = getattr(rule, hypothesis) * (rule.of if isinstance(rule, Law) else 1)
    assert np.median(drawn) == pytest.approx(wanted, rel=0.05)
    if isinstance(rule, Mean) and not rule.outcomes:
        assert np.std(rule.on_scale(drawn)) == pytest.approx(np.std(rule.on_scale(runs), ddof=1), rel=0.1)


def test_a_number_is_drawn_around_itself_and_around_others():
    generator = np.random.default_rng(0)
    drawn = {h: np.array(Number("5", 2.0).draw(h, 1, [1.0, 1.1, 0.9], {}, generator)) for h in ("claimed", "null")}
    assert drawn["claimed"] == pytest.approx(5, abs=0.5)
    assert abs(drawn["null"] - 5) == pytest.approx(2, abs=0.5)


def test_alike_seeds_are_drawn_as_one():
    drawn = Law(of=10, null=0.5, claimed=0.9, seeds="alike").draw("null", 5, [], {}, np.random.default_rng(1))
    assert len(drawn) == 5
    assert len(set(drawn)) == 1


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"kind": "vote"}, "^rule: expected one of theorem, number, mean, law"),
        ({}, "^rule: expected one of"),
        ({"kind": "mean", "claimed": 1.0}, "^rule: expected the settings of Mean"),
        ({"kind": "mean", "claimed": 1.0, "null": 0.0, "side": "above"}, "^rule: expected the settings of Mean"),
        ({"kind": "mean", "claimed": 1.0, "null": 0.0, "scale": "square"}, "^scale: expected one of plain, log, logit"),
        ({"kind": "law", "side": "beside"}, "^side: expected one of above, below"),
        ({"kind": "law", "seeds": "few"}, "^seeds: expected one of"),
        ({"kind": "number", "apart": 1.0, "artefact": "perhaps"}, "^artefact: expected one of"),
    ],
    ids=str,
)
def test_a_rule_that_does_not_exist_is_refused(rule, message):
    with pytest.raises(BadInput, match=message):
        rule_of(rule, "1")
