"""Faults in the rooms of linear algebra."""

from tests.planted.fault import faults

FAULTS = [
    faults(
        "subspaces",
        "subspaces",
        {
            "the left null space is the column space": (
                "return _complement(self.column_space)",
                "return self.U[:, : self.rank]",
                "what_the_null_spaces_promise",
            ),
            "Vh taken for V": (
                "return self.Vh[: self.rank].T",
                "return self.Vh[:, : self.rank]",
                "what_the_null_spaces_promise[5x5-rank2]",
            ),
            "absolute tolerance": (
                'min(eps, SPACINGS["float32"][0]) * max(shape) * singular_values[0]',
                "1e-10",
                "default_tolerance_is_the_written_policy",
            ),
            "zero counts as signal": (
                "np.count_nonzero(s > tol)",
                "np.count_nonzero(s >= 0)",
                "rank[zero]",
            ),
            "tiny tolerances rounded to zero": (
                "np.ldexp(A, -exponent)",
                "np.ldexp(A, exponent := 0)",
                "a_power_of_two_changes_no_bit",
            ),
            "no driver to take over": (
                'lapack_driver="gesvd"',
                'lapack_driver="gesdd"',
                "the_safer_driver_takes_over",
            ),
            "rank in float64's eps for float32": (
                "rank_tolerance(s, A.shape, dtype, exponent)",
                "rank_tolerance(s, A.shape, float, exponent)",
                "float32_rounding_is_not_rank",
            ),
            "rank of the Gram matrix": (
                "np.count_nonzero(s > tol)",
                "np.linalg.matrix_rank(A.T @ A)",
                "rank_is_not_that_of_the_gram_matrix",
            ),
            "projection without the square of the length": (
                "unit = unit / np.linalg.norm(unit)",
                "unit = unit",
                "neuron_by_hand",
                "the_neurons_scale_makes_no_difference",
            ),
            "signal and residual swapped": (
                "_energy(signal), _energy(x - signal)",
                "_energy(x - signal), _energy(signal)",
                "energies_by_hand",
            ),
            "residual's share of what is seen": (
                "return _fraction(self.residual, self.total)",
                "return _fraction(self.residual, self.signal)",
                "energies_by_hand",
            ),
            "transpose for pseudo-inverse": (
                "@ self.column_space / self.singular_values",
                "@ self.column_space * self.singular_values",
                "pseudo_inverse_is_numpys",
            ),
            "condition number counts rounding": (
                "self.singular_values[self.rank - 1]",
                "self.singular_values[-1]",
                "condition_number_leaves_rounding_out",
            ),
            "bias dropped": (
                "np.column_stack([W, column])",
                "np.column_stack([W, 0 * column])",
                "bias_absorbed_is_the_affine_map",
            ),
            "rounding in a null space of dimension 0": (
                "x.copy() if basis.shape[0] == basis.shape[1] else (x @ basis) @ basis.T",
                "(x @ basis) @ basis.T",
                "nothing_is_left_over_where_the_row_space_is_all",
            ),
            "LAPACK's rule for bfloat16": (
                'min(eps, SPACINGS["float32"][0]) * max(shape)',
                "eps * max(shape)",
                "stored/the_rank_is_that_of_the_stored_digits[one product-(256, 784)-bfloat16]",
            ),
            "the grid around zero forgotten": (
                " + np.ldexp(least, -exponent) * np.sqrt(shape[0] * shape[1])",
                "",
                "stored/rounding_once_adds_no_rank[float16-1e-06]",
            ),
            "the bias in float64": (
                "return stored_as(np.column_stack([W, column]), stored)",
                "return np.column_stack([W, column])",
                "stored/a_bias_as_one_more_column_has_the_digits_that_it_had",
            ),
        },
    ),
    faults(
        "kernels",
        "kernels",
        {
            "kernels turned by half a turn": (
                "weight[:, :, a, b]",
                "weight[:, :, -1 - a, -1 - b]",
                "the_matrix_of_a_convolution_by_loops[1-0]",
                "the_matrix_of_a_convolution_is_pytorchs_exactly",
            ),
            "rows and columns of the maps swapped": (
                "moves[0][a], moves[1][b]",
                "moves[1][b], moves[0][a]",
                "the_matrix_of_a_convolution_by_loops[1-0]",
            ),
            "zeros around on one side": (
                "outputs * stride + tap - padding",
                "outputs * stride + tap",
                "the_matrix_of_a_convolution_by_loops[1-1]",
            ),
            "a place too few": (
                "(side + 2 * padding - size) // stride + 1)",
                "(side + 2 * padding - size) // stride)",
                "on_maps_as_large_as_the_kernel_im2col_is_the_convolution",
            ),
            "one view taken for the other": (
                "weight.reshape(weight.shape[0] * weight.shape[1], -1)",
                "weight.reshape(weight.shape[0], -1)",
                "flattened_kernels_on_patches_summed_over_channels_convolve_exactly",
            ),
            "input channels first": (
                "rows = weight.reshape(weight.shape[0], -1)",
                "rows = weight.swapaxes(0, 1).reshape(weight.shape[0], -1)",
                "im2col_on_patches_of_all_channels_convolves_exactly",
            ),
            "diagonals swapped": (
                ('"falling diagonal": np.diag(_PIXELS),\n    "rising diagonal": np.diag(_PIXELS[:, ::-1]),'),
                ('"rising diagonal": np.diag(_PIXELS),\n    "falling diagonal": np.diag(_PIXELS[:, ::-1]),'),
                "patterns/patterns_as_they_are_drawn[falling diagonal]",
            ),
            "sizes for energies": (
                "_of_size_one(kernels) ** 2",
                "np.abs(_of_size_one(kernels))",
                "patterns/share_of_a_random_direction_follows_the_beta_law[top row]",
            ),
            "the brightest line for the strongest": (
                "np.max([pattern_share(kernels, line)",
                "np.mean([pattern_share(kernels, line)",
                "patterns/shares_by_hand",
            ),
            "two halves for two levels": (
                "k * (n - k) / n**2",
                "0.25",
                "patterns/two_levels_against_every_threshold",
            ),
            "the median for the best threshold": (
                "between.max(axis=-1)",
                "between[..., (n - 1) // 2]",
                "patterns/two_levels_against_every_threshold",
            ),
            "rounding taken for variance": (
                "(x[..., 0] < x[..., -1]) & ",
                "",
                "patterns/equal_pixels_have_no_levels[0.1]",
            ),
        },
    ),
    faults(
        "activations",
        "activations",
        {
            "SELU's alpha and scale swapped": (
                "elu(SELU_ALPHA, SELU_SCALE)",
                "elu(SELU_SCALE, SELU_ALPHA)",
                "values_and_slopes_are_pytorchs[SELU]",
            ),
            "a bound counts as taken": (
                "np.nextafter(self.low, np.inf), np.nextafter(self.high, -np.inf)",
                "self.low, self.high - 1e-16",
                "at_inside_and_beyond_a_bound",
            ),
            "depth from the upper end alone": (
                "np.maximum(self.low - y, y - self.high)",
                "y - self.high",
                "at_inside_and_beyond_a_bound",
            ),
            "the slope of ELU without its scale": (
                "lambda x: np.where(x > 0, scale, edge",
                "lambda x: np.where(x > 0, 1.0, edge",
                "values_and_slopes_are_pytorchs[SELU]",
            ),
            "leaky ReLU not undone below zero": (
                "np.where(y > 0, y, y / slope)",
                "np.where(y > 0, y, y * slope)",
                "the_inverse_undoes_the_function[LeakyReLU]",
            ),
            "softplus of an underflow": (
                "np.maximum(-np.expm1(-beta * y), TINY)",
                "-np.expm1(-beta * y)",
                "what_comes_back_is_finite_and_outside_means_outside[Softplus of 0.25]",
            ),
        },
    ),
    faults(
        "exact",
        "certificates",
        {
            "sums rounded to nearest": (
                "return nearest if Fraction(nearest) >= number else float(np.nextafter(nearest, np.inf))",
                "return nearest",
                "sums_are_rounded_outwards_to_the_next_number",
            ),
        },
    ),
    faults(
        "nullmodel",
        "nullmodel",
        {
            "parameters of the energy's law doubled": (
                "scipy.stats.beta(r / 2, (n - r) / 2)",
                "scipy.stats.beta(r, n - r)",
                "law_of_the_energy_fraction",
            ),
            "random subspaces with a preferred direction": (
                "np.linalg.qr(generator.standard_normal((n, r)))",
                "np.linalg.qr(generator.random((n, r)))",
                "random_subspaces_have_no_preferred_direction",
            ),
            "a degree of freedom too few": (
                "generator.chisquare(longer - np.arange(k))",
                "generator.chisquare(longer - 1 - np.arange(k))",
                "spectra_by_the_triangular_factor_are_those_of_full_matrices[(30, 3)]",
            ),
            "degrees of freedom that rise": (
                "generator.chisquare(longer - np.arange(k))",
                "generator.chisquare(longer)",
                "spectra_by_the_triangular_factor_are_those_of_full_matrices[(7, 4)]",
            ),
            "shuffled without signs": (
                "return signs * generator.permutation",
                "return generator.permutation",
                "shuffled_spectra_by_every_arrangement",
                "significance/arrangement_is_found[a common mean]",
            ),
            "rows shuffled, not entries": (
                "generator.permutation(A.ravel()).reshape(A.shape)",
                "generator.permutation(A)",
                "shuffled_spectra_by_every_arrangement",
                "significance/arrangement_is_found[columns of different size]",
            ),
            "random bases with a preferred sign": (
                "scipy.stats.ortho_group.rvs(n, size, random_state=generator)",
                "np.linalg.qr(generator.standard_normal((size, n, n)))[0]",
                "sampled_bases_have_no_preferred_sign[5]",
            ),
            "random rotations for random bases": (
                "scipy.stats.ortho_group.rvs",
                "scipy.stats.special_ortho_group.rvs",
                "sampled_bases_have_no_preferred_sign[5]",
            ),
        },
    ),
    faults(
        "significance",
        "significance",
        {
            "a p-value of zero": (
                "(1 + np.count_nonzero(reached)) / (1 + null.size)",
                "np.count_nonzero(reached) / null.size",
                "p_values_are_uniform_over_ranks[4]",
            ),
            "ties not reached": (
                " | np.isclose(null, value, rtol=1e-12, atol=0)",
                "",
                "ties_count_as_reached[rounding]",
            ),
            "an infinite value beyond infinite ones": (
                "(null > value) | np.isclose(null, value, rtol=1e-12, atol=0)",
                "null >= value - 1e-12 * np.abs(value)",
                "ties_count_as_reached[all infinite]",
            ),
            "Holm without the running maximum": (
                "np.maximum.accumulate((k - np.arange(k)) * p_values[order])",
                "(k - np.arange(k)) * p_values[order]",
                "holm_is_the_smallest_level_at_which_the_step_down_rejects",
            ),
            "Bonferroni for Holm": (
                "(k - np.arange(k)) *",
                "k *",
                "holm_is_the_smallest_level_at_which_the_step_down_rejects",
            ),
            "adjusted p-values left in rising order": (
                "adjusted[order] =",
                "adjusted[:] =",
                "holm_is_monotone_and_knows_no_order",
            ),
            "sphericity without the logarithm's mean": (
                "np.log(squares).mean(axis=-1)",
                "np.log(squares).sum(axis=-1)",
                "sphericity_by_hand",
            ),
            "singular values not squared": (
                "squares = (spectra / spectra[..., :1]) ** 2",
                "squares = spectra / spectra[..., :1]",
                "sphericity_by_hand",
            ),
            "the test in the wrong tail": (
                "(null > value)",
                "(null < value)",
                "a_pattern_well_above_the_threshold_is_found",
            ),
            "the smallest angle for the largest": (
                "scipy.linalg.subspace_angles(one.T, other.T)[0]",
                "scipy.linalg.subspace_angles(one.T, other.T)[-1]",
                "angles_are_those_of_the_projectors",
            ),
            "small angles by their cosines": (
                "scipy.linalg.subspace_angles(one.T, other.T)[0]",
                "np.arccos(min(1, np.linalg.svd(one @ other.T, compute_uv=False)[-1]))",
                "a_planted_angle_is_found_however_small",
            ),
            "an angle between the whole space and itself": (
                "if len(one) == one.shape[1]:",
                "if False:",
                "angles_are_those_of_the_projectors",
            ),
            "gaps to one side": (
                "np.minimum(steps[:, :-1], steps[:, 1:])",
                "steps[:, 1:]",
                "gaps_by_hand",
            ),
            "squares of singular values out of range": (
                "1 / np.sqrt(((spectra / spectra[..., :1]) ** 2).mean(axis=-1))",
                "spectra[..., 0] / np.sqrt((spectra**2).mean(axis=-1))",
                "statistics_know_no_scale",
            ),
        },
    ),
    faults(
        "arrangement",
        "arrangement",
        {
            "pieces without signs": (
                ".reshape(self.places), _signs(generator, self.places)",
                ".reshape(self.places), np.ones(self.places)",
                "tall_and_wide_matrices_by_copies_written_out[(1100, 2)--sphericity]",
            ),
            "pieces that stay in their places": (
                "return generator.permutation(len(self.pieces)).reshape(self.places)",
                "return self.unmoved()[0]",
                "arrangement_of_tall_matrices_is_found[columns of different size]",
            ),
            "rows cut in the order they have": (
                "A = _signs(generator, (len(A), 1)) * generator.permutation(A)",
                "A = _signs(generator, (len(A), 1)) * A",
                "tall_and_wide_matrices_by_copies_written_out[(1100, 2)--sphericity]",
            ),
            "rows left over that stay": (
                "[part.moved(generator) for part in parts]",
                "[parts[0].moved(generator), parts[1].unmoved()]",
                "tall_and_wide_matrices_by_copies_written_out[(1100, 2)--sphericity]",
            ),
            "squares whatever is lost": (
                "if squares[0] > SQUARED * squares[-1]:",
                "if squares[0] > 0:",
                "tall_and_wide_matrices_by_copies_written_out[(1599, 3)-large-sphericity]",
            ),
            "squares that leave the range": (
                " / np.abs(A).max()  #",
                "  #",
                "tall_and_wide_matrices_by_copies_written_out[(512, 2)-huge-sphericity]",
            ),
            "p-values of all layers left as they are": (
                "holm([test.p_value for test in tests.values()]).tolist()",
                "[test.p_value for test in tests.values()]",
                "other_shapes_are_tested_as_ever",
            ),
            "single columns tested": (
                "if (reason := nothing_to_test(A))}",
                "if not A.any() and (reason := nothing_to_test(A))}",
                "what_has_nothing_to_test_is_skipped_with_a_reason",
            ),
        },
    ),
]
