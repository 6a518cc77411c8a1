"""Faults in the rooms above the wings and below them."""

from tests.planted.fault import faults

FAULTS = [
    faults(
        "checks",
        "doors",
        {
            "rank in long double's eps": (
                " or array.dtype == np.longdouble:",
                ":",
                "subspaces/rank[longdouble]",
            ),
            "NaN let in": (
                "if bad:",
                "if False:",
                "refused[FourSubspaces.of-A-NaN]",
            ),
            "infinite sums let in": (
                "if np.isfinite(array.sum()):",
                "if not np.isnan(array.sum()):",
                "refused[FourSubspaces.of-A-infinity]",
            ),
        },
    ),
    faults(
        "ledger",
        "ledger",
        {
            "normal quantile for Student's": (
                "scipy.stats.t.ppf(0.975, n - 1)",
                "scipy.stats.norm.ppf(0.975)",
                "the_prediction_interval_by_a_table",
            ),
            "interval of the mean, not of one more seed": (
                "np.sqrt(1 + 1 / n)",
                "np.sqrt(1 / n)",
                "the_prediction_interval_covers_one_more_seed",
            ),
            "printed precision ignored": (
                "half = 0.5 * 10.0 **",
                "half = 0.0 * 10.0 **",
                "a_value_meets_the_interval_give_or_take_half_a_digit",
            ),
            "the control has no say": (
                'if claim.rule.get("artefact") and',
                "if False and",
                "an_artefact_is_what_the_control_gives_too",
            ),
            "an exact check that cannot fail": (
                "if worst <= bound < broken else",
                "if worst <= bound else",
                "an_exact_claim_holds_for_every_run_and_can_fail",
            ),
            "half a ledger, all of it open": (
                "for part in PARTS)",
                "for part in PARTS[:1])",
                "a_package_without_its_evidence_says_so_when_asked[claims]",
            ),
        },
    ),
    faults(
        "plots",
        "plots",
        {
            "series beyond the styles dropped": (
                "if len(series) > len(styles):",
                "if False:",
                "more_series_than_looks_are_refused_and_another_axis_takes_the_rest[curves]",
            ),
            "several images drawn as one": (
                "not in ((side**2,), (side, side), ()) or",
                "is None or",
                "several_images_are_not_one[shape0]",
            ),
        },
    ),
    faults(
        "cli",
        "command_line",
        {
            "a finished run forgotten before it is saved": (
                "            accuracy = training.evaluate(model, split.test)",
                ("            state.unlink()\n            accuracy = training.evaluate(model, split.test)"),
                "resuming/a_training_survives_what_comes_after_it",
            ),
            "an error that exits with 0": (
                "sys.exit(2)",
                "sys.exit(0)",
                "the_command_line_prints_one_line_and_exits_with_2[unknown claim]",
            ),
            "a folder for the resume state that is tried too late": (
                "    _check_writable(state.parent)\n",
                "",
                "a_cache_that_cannot_be_written_is_one_line",
            ),
        },
    ),
    faults(
        "__main__",
        "command_line",
        {
            "an interruption of an import that is raised": (
                "signal.signal(signal.SIGINT, lambda *_: os._exit(130))",
                "pass",
                "ctrl_c_while_libraries_are_imported_is_no_traceback[arguments0-numpy._core.multiarray]",
            ),
        },
    ),
]
