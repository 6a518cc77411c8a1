"""Faults in the rooms that go back through chains, and that prove what no image has."""

from tests.planted.fault import faults

FAULTS = [
    faults(
        "chains",
        "chains",
        {
            "a layer used twice passed over": (
                "module._modules.items()",
                "module.named_children()",
                "the_chain_is_the_network[shared]",
            ),
            "another linear layer taken for one": (
                "type(module).forward is nn.Linear.forward",
                "isinstance(module, nn.Linear)",
                "no_chain[another linear layer]",
            ),
            "a chain of a network in training mode": (
                "refuse_training(model)",
                "None",
                "doors/refused[Chain.of, dense-model-a part]",
            ),
            "ELU's alpha forgotten": (
                "elu(m.alpha)",
                "elu()",
                "the_chain_is_the_network[nested]",
            ),
            "slopes at the wrong side of the weight": (
                (
                    "self.steps:\n"
                    "            before = step.before(x)\n"
                    "            slopes = step.activation.derivative(before)"
                ),
                (
                    "self.steps:\n"
                    "            before = step.before(x)\n"
                    "            slopes = step.activation.derivative(step.activation(before))"
                ),
                "the_jacobian_is_autograds[one layer]",
                "the_jacobian_is_autograds[nested]",
            ),
            "a layer without its bias": (
                "z = x @ self.weight.T + self.bias",
                "z = x @ self.weight.T",
                "layer_outputs_are_what_hooks_see",
            ),
            "a chain forgets the type of its weights": (
                "self.weight if self.dtype is None else stored_as(self.weight, self.dtype)",
                "self.weight",
                "stored/an_output_comes_back_to_an_image_of_its_size[one product-float32]",
            ),
            "batch norm folded into what isn't linear": (
                'module.affine and steps and steps[-1].activation.name == "Identity"',
                "module.affine",
                "no_chain[batch norm of an activation]",
            ),
        },
    ),
    faults(
        "layerwise",
        "layerwise",
        {
            "the bias not subtracted": (
                "z = _rounded(found.values - step.bias, dtype)",
                "z = _rounded(found.values, dtype)",
                "equation_5_by_loops[identity]",
            ),
            "layers in the order of the way back": (
                "np.stack(rows[::-1], axis=1) for rows",
                "np.stack(rows, axis=1) for rows",
                "columns_stand_in_the_order_of_the_layers",
            ),
            "unreached taken from the column space": (
                "subspaces.project_left_null(",
                "subspaces.project_column(",
                "what_no_input_reaches",
            ),
            "exact whenever in range": (
                "return self.forward_error <= self.tolerance",
                "return self.in_range",
                "what_no_input_reaches[deficient]",
            ),
            "float32 in name only": (
                "if dtype is np.float64:",
                "if True:",
                "in_float32_every_number_on_the_way_is_one",
            ),
            "a budget without slopes": (
                "largest, spread = _norms(back, slopes)",
                "largest, spread = _norms(back, slopes * 0 + 1)",
                "slopes_enter_the_budget",
            ),
            "sums without rounding": (
                "np.sqrt(2 + (m - 1) / 2) * z",
                "z",
                "the_budget_holds[large-1]",
            ),
            "W' for W+": (
                "return S.pinv(z)",
                "return z @ step.weight",
                "one_layer_gives_back_the_signal_part",
            ),
        },
    ),
    faults(
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
    ),
    faults(
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
                "relaxations/the_programme_of_a_network_of_large_weights_has_an_answer",
            ),
            "multipliers in the solver's own unit": (
                "np.ldexp(solved.eqlin.marginals, by_row[:count] + by_column[-1])",
                "solved.eqlin.marginals",
                "relaxations/scaling_is_undone_exactly",
            ),
            "a solver without a limit": (
                '"time_limit": left',
                '"time_limit": np.inf',
                "relaxations/the_solver_keeps_its_limits",
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
    ),
    faults(
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
    ),
    faults(
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
    ),
    faults(
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
                "doors/refused[walk-chain-None]",
            ),
        },
    ),
]
