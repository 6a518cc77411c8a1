"""The rule of the minutes, counted by hand on a small page."""

import pytest

from tools.minutes import counted, minutes, stated

PAGE = """\
---
kernelspec:
  name: python3
---

# A title

**Minutes**: 15.

Six words with $x = 1 + y$ here.

```{code-cell} ipython3
:tags: [hide-input]

folded = 1
```

```{code-cell} ipython3
---
mystnb:
  figure:
    caption: A figure.
    name: fig-a
---
one = 1

two = 2
```

```{prf:proof}
It is so.
```

```{exercise} By hand
:label: ex-a

Do it.
```

```{solution-start} ex-a
:class: dropdown
```

Many words that nobody counts.

```{code-cell} ipython3
uncounted = 1
```

```{solution-end}
```
"""


def test_what_is_counted():
    """2 words of the title, 2 of the minutes, five, one of them a formula; proof 3; By hand 2; Do it 2."""
    assert counted(PAGE) == {"words": 16, "lines": 2, "figures": 1, "proofs": 1, "exercises": 1}


def test_minutes_are_rounded_up_to_the_next_five():
    assert minutes(PAGE) == 15  # 16/150 + 2/10 + 1 + 3 + 8 is a little more than 12
    assert stated(PAGE) == 15


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("word " * 150 * 3, 20),
        ("```{prf:proof}\nA.\n```\n", 20),
        ("```{code-cell} ipython3\n" + "a = 1\n" * 30 + "```\n", 20),
    ],
    ids=["words", "a proof", "code"],
)
def test_each_costs_time(more, expected):
    assert minutes(f"{PAGE}\n{more}") == expected
