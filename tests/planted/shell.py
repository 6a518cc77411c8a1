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
        "judging",
        "judging",
        {
            "normal quantile for Student's": (
                "scipy.stats.t.ppf(1 - LEVEL, freedom)",
                "scipy.stats.norm.ppf(1 - LEVEL)",
                "the_intervals_by_a_table",
            ),
            "interval of the mean, not of one more seed": (
                "np.sqrt(1 + 1 / values.size)",
                "np.sqrt(1 / values.size)",
                "the_prediction_interval_covers_one_more_seed",
            ),
            "printed precision ignored": (
                "half = 0.5 * 10.0 **",
                "half = 0.0 * 10.0 **",
                "a_number_meets_the_interval_give_or_take_half_a_digit",
            ),
            "an interval that any number meets": (
                'return "reproduced" if (high - low) / 2 <= self.apart else "undecided"',
                'return "reproduced"',
                "a_number_meets_the_interval_give_or_take_half_a_digit",
            ),
            "a theorem's check that cannot fail": (
                "<= self.bound < broken else",
                "<= self.bound else",
                "a_theorem_holds_for_every_run_and_can_fail",
            ),
            "the middle on the plain scale": (
                "np.mean(self.on_scale([self.claimed, self.null]))",
                "self.on_scale(np.mean([self.claimed, self.null]))",
                "the_mean_lies_on_one_side_of_the_middle",
            ),
            "outcomes that scatter no more than seeds": (
                "return confidence_interval(self.on_scale(_seeds(runs)), self._within(runs))",
                "return confidence_interval(self.on_scale(_seeds(runs)))",
                "the_mean_lies_on_one_side_of_the_middle",
            ),
            "a tail without its end": (
                "law.sf(value - 1) if above",
                "law.sf(value) if above",
                "a_count_has_the_exact_law_of_its_tries[9-reproduced]",
            ),
            "alike seeds counted as many": (
                'median(ps) if self.seeds == "alike" else',
                "median(ps) if False else",
                "independent_seeds_are_combined_and_alike_ones_count_once",
            ),
            "a family not adjusted for": (
                "float(holm(ps)[0])",
                "float(ps[0])",
                "a_family_is_adjusted_by_holm",
            ),
        },
    ),
    faults(
        "ledger",
        "ledger",
        {
            "the control has no say": (
                'getattr(rule, "artefact", ""):',
                '"" and getattr(rule, "artefact", ""):',
                "a_control_that_may_speak_makes_an_artefact[control too-control0-artefact]",
            ),
            "a verdict without power": (
                "and not goes_both_ways(power(claim_id)):",
                "and False:",
                "a_rule_that_can_not_tell_decides_nothing[claimed-reproduced-0.79]",
            ),
            "another claim's measurement": (
                'found["claim_sha256"] != claims()[claim_id].digest',
                "False",
                "what_was_measured_for_other_words_is_not_measured",
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
