"""Faults for `test_mutants` to plant in the rooms of inverse maps and of many spectra, and what a fault is."""

from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent


class Mutant(NamedTuple):
    """A fault: in this room, this text becomes that text, and these tests see it."""

    room: str
    right: str
    wrong: str
    tests: list[str]


def mutants(room, file, faults):
    """The faults of one room, each seen by tests of that file; a name with a slash is of another one."""

    def found(name):
        where, _, test = name.rpartition("/")
        (path,) = TESTS.rglob(f"test_{where or file}.py")
        return f"{path.relative_to(TESTS.parent)}::test_{test}"

    return {
        name: Mutant(room, right, wrong, [found(test) for test in tests])
        for name, (right, wrong, *tests) in faults.items()
    }


EQUATION_5 = mutants(
    "layerwise",
    "layerwise",
    {
        "W' for W+": ("return S.pinv(z)", "return z @ step.weight", "one_layer_gives_back_the_signal_part"),
    },
) | mutants(
    "chains",
    "chains",
    {
        "a layer without its bias": (
            "z = x @ self.weight.T + self.bias",
            "z = x @ self.weight.T",
            "layer_outputs_are_what_hooks_see",
        ),
    },
)

STORED = {
    **mutants(
        "subspaces",
        "stored",
        {
            "LAPACK's rule for bfloat16": (
                'min(eps, SPACINGS["float32"][0]) * max(shape)',
                "eps * max(shape)",
                "the_rank_is_that_of_the_stored_digits[one product-(256, 784)-bfloat16]",
            ),
            "the grid around zero forgotten": (
                " + np.ldexp(least, -exponent) * np.sqrt(shape[0] * shape[1])",
                "",
                "rounding_once_adds_no_rank[float16-1e-06]",
            ),
            "the bias in float64": (
                "return stored_as(np.column_stack([W, column]), stored)",
                "return np.column_stack([W, column])",
                "a_bias_as_one_more_column_has_the_digits_that_it_had",
            ),
        },
    ),
    **mutants(
        "chains",
        "stored",
        {
            "a chain forgets the type of its weights": (
                "self.weight if self.dtype is None else stored_as(self.weight, self.dtype)",
                "self.weight",
                "an_output_comes_back_to_an_image_of_its_size[one product-float32]",
            ),
            "batch norm folded into what isn't linear": (
                'module.affine and steps and steps[-1].activation.name == "Identity"',
                "module.affine",
                "chains/no_chain[batch norm of an activation]",
            ),
        },
    ),
    **mutants(
        "layers",
        "layers",
        {
            "groups forgotten": (
                'im2col(self.weight, self.geometry["groups"])',
                "im2col(self.weight)",
                "a_depthwise_convolution_has_the_rank_of_all_its_channels",
            ),
            "bfloat16 without its mark": (
                "return array if in_numpy else stored_as(array, _type(tensor))",
                "return array",
                "stored/the_rank_is_that_of_the_stored_digits[one product-(48, 64)-bfloat16]",
            ),
            "a pruned weight out of date": (
                "return hook.apply_mask(module)",
                "continue",
                "stored/pruned_layers_come_as_the_next_pass_computes_them",
            ),
            "a name that isn't there is an error of `in`": (
                "return isinstance(name, Hashable) and name in self.layers",
                "return self[name] is not None",
                "the_names_are_those_of_a_mapping",
            ),
        },
    ),
}

PROOFS = (
    mutants(
        "certificates",
        "certificates",
        {
            "every certificate is a proof": (
                "return bool(least > _bound(steps, vectors, *box))",
                "return True",
                "a_proof_holds_and_its_corruptions_do_not[tanh]",
            ),
            "a bound without the negative weights": (
                "np.maximum(factors.whole, 0) @ ends.whole[1] + np.minimum(factors.whole, 0) @ ends.whole[0]",
                "np.maximum(factors.whole, 0) @ ends.whole[1]",
                "bounds_of_a_layer_are_those_of_the_corners",
            ),
            "biases that the bound forgets": (
                "terms += [_most(v, v, step.bias, step.bias)",
                "terms += [_most(0 * v, 0 * v, step.bias, step.bias)",
                "one_layer_is_what_fractions_say_at_every_corner",
            ),
            "a chord where the graph bulges": (
                "inner = (c * curvature < 0) & (v != 0)",
                "inner = np.zeros(len(c), dtype=bool)",
                "one_unit_is_bounded_as_a_fine_grid_says[1.0-0.3-tanh]",
            ),
            "beyond the range by any distance": (
                "sign * (Fraction(target[unit]) - Fraction(end)) - Fraction(distance) >",
                "sign * (Fraction(target[unit]) - Fraction(end)) >",
                "an_output_beyond_a_range",
            ),
            "without a box as in the unit box": (
                "sides = (-np.inf, np.inf) if box is None else box",
                "sides = (0.0, 1.0) if box is None else box",
                "without_a_box_the_multipliers_cancel_exactly_or_prove_nothing",
            ),
        },
    )
    | mutants(
        "relaxations",
        "reachability",
        {
            "a relaxation without biases": (
                "*(-step.bias for step in steps)",
                "*(0 * step.bias for step in steps)",
                "the_distance_of_one_layer_is_met_from_both_sides[tanh]",
            ),
            "numbers of any size for the solver": (
                "return np.where(np.abs(exponents) > PLAIN, exponents, 0)",
                "return np.zeros_like(exponents)",
                "the_programme_of_a_network_of_large_weights_has_an_answer",
            ),
            "multipliers in the solver's own unit": (
                "np.ldexp(solved.eqlin.marginals, by_row[:count] + by_column[-1])",
                "solved.eqlin.marginals",
                "scaling_is_undone_exactly",
            ),
            "a solver without a limit": (
                '"time_limit": left',
                '"time_limit": np.inf',
                "the_solver_keeps_its_limits",
            ),
            "hulls without a floor": (
                "for sign in (1, -1):",
                "for sign in (1,):",
                "both_sides_of_a_hull_count[ceiling]",
                "both_sides_of_a_hull_count[floor]",
            ),
            "bounds that let signs cancel": (
                "np.abs(step.weight) @ (high / 2 - low / 2)",
                "step.weight @ (high / 2 - low / 2)",
                "a_small_box_is_refused_with_a_proof[tanh]",
            ),
        },
    )
    | mutants(
        "bounded",
        "reachability",
        {
            "images that leave the box": (
                "x = np.clip(self.centre + y @ self.A, *self.box)",
                "x = self.centre + y @ self.A",
                "the_image_of_one_layer_is_the_nearest_to_the_minimum_norm[0]",
            ),
            "a first layer without its bias": (
                "wanted = aim - step.bias",
                "wanted = aim",
                "the_image_of_one_layer_is_the_nearest_to_the_minimum_norm[0]",
            ),
        },
    )
    | mutants(
        "exact",
        "certificates",
        {
            "sums rounded to nearest": (
                "return nearest if Fraction(nearest) >= number else float(np.nextafter(nearest, np.inf))",
                "return nearest",
                "sums_are_rounded_outwards_to_the_next_number",
            ),
        },
    )
    | mutants(
        "reachability",
        "reachability",
        {
            "near enough is a yes": (
                "near = distance <= self.atol and max(error_bounds(self.chain, image, self.target)) <= self.atol",
                "near = distance <= 1",
                "the_tolerance_parts_yes_from_no",
            ),
            "a yes that float64 gives alone": (
                "near = distance <= self.atol and max(error_bounds(self.chain, image, self.target)) <= self.atol",
                "near = distance <= self.atol",
                "no_yes_rests_on_rounding",
                "no_yes_of_large_weights_misses_its_tolerance[100000.0-4]",
            ),
            "a no that nobody checked": (
                "if check_certificate(self.chain, target, claim, self.box)",
                "if True",
                "a_claim_that_does_not_stand_the_check_is_no_answer",
            ),
            "hidden units beyond their range": (
                "return [nearest_input(self.chain.steps[0], aim, self.inner, self.until)]",
                "return [self.chain.steps[0].subspaces.pinv(aim - self.chain.steps[0].bias)]",
                "a_minimum_norm_input_beyond_the_range_gives_way_to_the_nearest_within",
            ),
        },
    )
)

WHOLE_NETWORKS = mutants(
    "newton",
    "newton",
    {
        "a line search without damping": (
            "better = found < (1 - 1e-4 * length) * miss[chosen]",
            "better = found < torch.inf",
            "no_step_makes_it_worse",
        ),
        "a single length of steps": (
            "waiting, length = waiting[~better], length / 2",
            "waiting, length = waiting[~better], 0.0",
            "no_step_makes_it_worse",
        ),
        "rounding taken for signal": (
            "torch.where(s > floors[:, None], 1 / s, 0.0)",
            "torch.where(s > 0, 1 / s, 0.0)",
            "step_is_that_of_the_pseudo_inverse",
        ),
        "the transpose for J+": (
            "inverses = torch.where(s > floors[:, None], 1 / s, 0.0)",
            "inverses = s",
            "a_linear_network_takes_one_step_to_the_nearest_image",
        ),
        "the network itself in float64": (
            "copy.deepcopy(model).double().requires_grad_(False)",
            "model.double().requires_grad_(False)",
            "the_network_is_left_as_it_was",
        ),
        "training mode let in": (
            "    refuse_training(model)",
            "    pass",
            "bad_input_is_one_clear_error[training mode]",
        ),
        "converged by luck": (
            "return Preimages(images, largest <= tolerance",
            "return Preimages(images, errors <= tolerance",
            "nothing_converges_by_rounding",
        ),
        "errors that aren't relative": (
            "(miss / sizes).numpy()",
            "miss.numpy()",
            "outputs_of_hidden_images_are_reached[0-Tanh]",
        ),
    },
) | mutants(
    "polytopes",
    "polytopes",
    {
        "facets seen from outside": (
            "-signs[:, None] * A], [*bounds, signs * c]",
            "signs[:, None] * A], [*bounds, signs * c]",
            "pattern_piece_and_network_agree",
        ),
        "pieces without biases": (
            "A, c = step.weight @ A, step.before(c)",
            "A, c = step.weight @ A, step.weight @ c",
            "pattern_piece_and_network_agree",
        ),
        "multipliers of any sign": (
            "if (units < 0).any() or",
            "if",
            "the_check_is_exact_and_refuses_what_does_not_certify",
        ),
        "a gap of the wrong sign": (
            "Exact.of(-outputs) @ Exact.of(target)",
            "Exact.of(outputs) @ Exact.of(target)",
            "the_radius_by_fractions",
        ),
        "a certificate that rounding spoils": (
            "claims = [certificate, *_in_small_ratios(certificate)]",
            "claims = [certificate]",
            "equations_that_contradict_each_other_in_small_ratios_leave_no_image_at_all",
        ),
        "arrived by float64 alone": (
            "<= Fraction(EXACT) ** 2 * length",
            "<= Fraction(EXACT) ** 2 * length or True",
            "no_walk_arrives_by_rounding",
        ),
        "a walk that goes through walls": (
            "if ends[first] >= 1:",
            "if True:",
            "walks_reach_real_outputs_of_wide_networks[0]",
        ),
        "a chain that is none": (
            "as_vector(target, _bends(chain).outputs",
            "as_vector(target, chain.outputs",
            "inverse_doors/refused[walk, None for a chain]",
        ),
    },
)

INPUTS = (
    mutants(
        "ideal",
        "ideal",
        {
            "the readings swapped": (
                '"reading") == "own minima"',
                '"reading") == "one minimum"',
                "both_readings_by_hand",
            ),
            "the farthest quarter": (
                "distances <= np.percentile(distances, QUARTER)",
                "distances >= np.percentile(distances, QUARTER)",
                "the_lowest_quarter_by_sorting",
            ),
        },
    )
    | mutants(
        "starts",
        "ideal",
        {
            "the class for the whole set": (
                "(nearest_outputs(ideal, values), np.array(inside), np.array(medoids))",
                "(np.array(inside), np.array(inside), np.array(medoids))",
                "ideal_starts_are_those_of_the_slow_search[dense-own minima]",
            ),
            "a medoid of the last part": (
                "members[np.concatenate(to_mean).argmin()]",
                "members[to_mean[-1].argmin()]",
                "ideal_starts_are_those_of_the_slow_search[dense-own minima]",
            ),
            "ideal features with the bias": (
                "targets = ideal_outputs(outputs.before, reading) - bias",
                "targets = ideal_outputs(outputs.before, reading)",
                "nearest_in_features_with_the_features_at_hand",
            ),
        },
    )
    | mutants(
        "outputs",
        "ideal",
        {
            "random parts let in": (
                "rtol=0, atol=half",
                "rtol=0, atol=torch.inf",
                "outputs/an_answer_that_has_moods_is_no_answer[invert-dropout that is always on-4]",
                "outputs/an_answer_that_has_moods_is_no_answer[output_statistics-the mean of the batch-1]",
            ),
            "the neighbours not looked at": (
                "for said in (apart, beside[:1])",
                "for said in (model(x),)",
                "outputs/an_answer_that_has_moods_is_no_answer[output_statistics-the last image-4]",
            ),
            "each batch over the one before": (
                "self.rows[start : self.filled] = part",
                "self.rows[: len(part)] = part",
                "a_pass_gives_what_one_image_at_a_time_gives[dense]",
            ),
            "training mode of a layer overlooked": (
                "for name, module in modules if module.training]",
                "for name, module in modules if module.training and not name]",
                "a_network_in_training_mode_is_refused_and_left_as_it_is",
            ),
        },
    )
    | mutants(
        "input_training",
        "input_training",
        {
            "an ascent": (
                "x = x.detach() - step",
                "x = x.detach() + step",
                "a_descent_is_that_of_each_image_alone[dense]",
            ),
            "a batch that shares its step": (
                "torch.autograd.grad(loss.sum(), x)[0]\n        losses",
                "torch.autograd.grad(loss.mean(), x)[0]\n        losses",
                "a_descent_is_that_of_each_image_alone[dense]",
            ),
            "gradients left in the weights": (
                "how.learning_rate * torch.autograd.grad(loss.sum(), x)[0]",
                "how.learning_rate * (loss.sum().backward(), x.grad)[1]",
                "inverse_doors/a_network_that_is_taken_is_left_as_it_was[train_input-dense]",
            ),
            "a box without walls": (
                "/ (root + EPSILON)).clamp(0, 1)",
                "/ (root + EPSILON))",
                "the_optimiser_in_the_box_is_adam",
            ),
            "the last image for the best": (
                "return best, torch.stack([*losses, _losses(model, best, wanted)])",
                "return x, torch.stack([*losses, _losses(model, x, wanted)])",
                "the_best_that_was_met_is_kept",
            ),
        },
    )
    | mutants(
        "training_mode",
        "input_training",
        {
            "eval mode called training": (
                "        norm.train()",
                "        norm.eval()",
                "copies_by_the_formula_of_batch_normalisation",
            ),
            "statistics moved in the network itself": (
                "learner = copy.deepcopy(model)",
                "learner = model",
                "inverse_doors/a_network_that_is_taken_is_left_as_it_was[copies_in_training_mode-convolutional]",
            ),
            "dropout that draws": (
                "    for norm in norms.values():\n        norm.train()",
                "    learner.train()",
                "dropout_does_not_draw",
            ),
        },
    )
    | mutants(
        "naturalness",
        "input_training",
        {
            "the most ink for the nearest": (
                "(half - block @ among.T)",
                "(-block @ among.T)",
                "nearest_by_all_distances",
            ),
            "the mean counted as blur": (
                "maps = maps - maps.mean(axis=(1, 2), keepdims=True)",
                "maps = maps + 0.0",
                "frequencies_by_the_slow_transform",
            ),
            "percentiles from the far end": (
                "(self.reference < self.distances[:, None])",
                "(self.reference > self.distances[:, None])",
                "a_copy_is_at_percentile_0_and_noise_beyond_all",
            ),
        },
    )
)

COUPLINGS = mutants(
    "coupling",
    "coupling",
    {
        "a shift added twice": (
            "coordinates[:, :LOGITS] - self._shift(coordinates)",
            "coordinates[:, :LOGITS] + self._shift(coordinates)",
            "test_images_come_back_from_the_shipped_networks[invertible_toy-dtype1-1e-09]",
        ),
        "cosines the wrong way back": (
            "maps = cosines.T @ coordinates.reshape(-1, 49, 16).mT.reshape(-1, 16, 7, 7) @ cosines",
            "maps = cosines @ coordinates.reshape(-1, 49, 16).mT.reshape(-1, 16, 7, 7) @ cosines.T",
            "test_images_come_back_from_the_shipped_networks[invertible-dtype1-1e-09]",
        ),
        "the network sees what it shifts": (
            "nn.functional.pad(rows[:, LOGITS:], (LOGITS, 0))",
            "rows",
            "the_toy_is_a_cnn_beside_pixels_that_pass",
        ),
        "a Jacobian on its side": (
            "torch.cat(parts).double().numpy()",
            "torch.cat(parts).double().numpy().T",
            "the_toys_jacobian_is_block_triangular_of_determinant_1",
        ),
        "logits from anywhere": (
            "return coordinates[:, :LOGITS], coordinates[:, LOGITS:]",
            "return coordinates[:, -LOGITS:], coordinates[:, :-LOGITS]",
            "logits_are_seven_times_the_means_of_ten_maps",
        ),
    },
)

SPECTRA = mutants(
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
) | mutants(
    "nullmodel",
    "nullmodel",
    {
        "squares of singular values out of range": (
            "1 / np.sqrt(((spectra / spectra[..., :1]) ** 2).mean(axis=-1))",
            "spectra[..., 0] / np.sqrt((spectra**2).mean(axis=-1))",
            "statistics_know_no_scale",
        ),
    },
)

INVERSE_MAPS = EQUATION_5 | PROOFS | WHOLE_NETWORKS | INPUTS | COUPLINGS
