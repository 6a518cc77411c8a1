"""Planted faults: each is put into a copy of the source, and the ordinary tests named beside it must fail there.

The first ones were found in respected places (in the paper's own code, in a lecture, in libraries); the others are the
mistakes that these rooms invite. A test that fails for another reason shows nothing, so the copy without a fault must
pass all of them.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vsbook
from tests.planted import INVERSE_MAPS, SPECTRA, STORED, Mutant

ROOT = Path(vsbook.__file__).parent.parent


def subspaces(*names):
    return [f"tests/linalg/test_subspaces.py::test_{name}" for name in names]


def kernels(*names):
    return [f"tests/linalg/test_kernels.py::test_{name}" for name in names]


def nullmodel(*names):
    return [f"tests/linalg/test_nullmodel.py::test_{name}" for name in names]


def fitting(*names):
    return [f"tests/networks/test_fitting.py::test_{name}" for name in names]


def checkpoints(*names):
    return [f"tests/networks/test_checkpoints.py::test_{name}" for name in names]


def ledger(*names):
    return [f"tests/test_ledger.py::test_{name}" for name in names]


def activations(*names):
    return [f"tests/linalg/test_activations.py::test_{name}" for name in names]


def chains(*names):
    return [f"tests/inversion/test_chains.py::test_{name}" for name in names]


def draws(*names):
    return [f"tests/networks/test_draws.py::test_{name}" for name in names]


def inversion(*names):
    return [f"tests/inversion/test_layerwise.py::test_{name}" for name in names]


MUTANTS = {
    "the left null space is the column space": Mutant(
        "subspaces",
        "return _complement(self.column_space)",
        "return self.U[:, : self.rank]",
        subspaces("what_the_null_spaces_promise"),
    ),
    "Vh taken for V": Mutant(
        "subspaces",
        "return self.Vh[: self.rank].T",
        "return self.Vh[:, : self.rank]",
        subspaces("what_the_null_spaces_promise[5x5-rank2]"),
    ),
    "absolute tolerance": Mutant(
        "subspaces",
        'min(eps, SPACINGS["float32"][0]) * max(shape) * singular_values[0]',
        "1e-10",
        subspaces("default_tolerance_is_the_written_policy"),
    ),
    "zero counts as signal": Mutant(
        "subspaces",
        "np.count_nonzero(s > tol)",
        "np.count_nonzero(s >= 0)",
        subspaces("rank[zero]"),
    ),
    "tiny tolerances rounded to zero": Mutant(
        "subspaces",
        "np.ldexp(A, -exponent)",
        "np.ldexp(A, exponent := 0)",
        subspaces("a_power_of_two_changes_no_bit"),
    ),
    "no driver to take over": Mutant(
        "subspaces", 'lapack_driver="gesvd"', 'lapack_driver="gesdd"', subspaces("the_safer_driver_takes_over")
    ),
    "rank in long double's eps": Mutant(
        "checks", " or array.dtype == np.longdouble:", ":", subspaces("rank[longdouble]")
    ),
    "rank in float64's eps for float32": Mutant(
        "subspaces",
        "rank_tolerance(s, A.shape, dtype, exponent)",
        "rank_tolerance(s, A.shape, float, exponent)",
        subspaces("float32_rounding_is_not_rank"),
    ),
    "rank of the Gram matrix": Mutant(
        "subspaces",
        "np.count_nonzero(s > tol)",
        "np.linalg.matrix_rank(A.T @ A)",
        subspaces("rank_is_not_that_of_the_gram_matrix"),
    ),
    "projection without the square of the length": Mutant(
        "subspaces",
        "unit = unit / np.linalg.norm(unit)",
        "unit = unit",
        subspaces("neuron_by_hand", "the_neurons_scale_makes_no_difference"),
    ),
    "signal and residual swapped": Mutant(
        "subspaces",
        "_energy(signal), _energy(x - signal)",
        "_energy(x - signal), _energy(signal)",
        subspaces("energies_by_hand"),
    ),
    "residual's share of what is seen": Mutant(
        "subspaces",
        "return _fraction(self.residual, self.total)",
        "return _fraction(self.residual, self.signal)",
        subspaces("energies_by_hand"),
    ),
    "transpose for pseudo-inverse": Mutant(
        "subspaces",
        "@ self.column_space / self.singular_values",
        "@ self.column_space * self.singular_values",
        subspaces("pseudo_inverse_is_numpys"),
    ),
    "condition number counts rounding": Mutant(
        "subspaces",
        "self.singular_values[self.rank - 1]",
        "self.singular_values[-1]",
        subspaces("condition_number_leaves_rounding_out"),
    ),
    "bias dropped": Mutant(
        "subspaces",
        "np.column_stack([W, column])",
        "np.column_stack([W, 0 * column])",
        subspaces("bias_absorbed_is_the_affine_map"),
    ),
    "parameters of the energy's law doubled": Mutant(
        "nullmodel",
        "scipy.stats.beta(r / 2, (n - r) / 2)",
        "scipy.stats.beta(r, n - r)",
        nullmodel("law_of_the_energy_fraction"),
    ),
    "random subspaces with a preferred direction": Mutant(
        "nullmodel",
        "np.linalg.qr(generator.standard_normal((n, r)))",
        "np.linalg.qr(generator.random((n, r)))",
        nullmodel("random_subspaces_have_no_preferred_direction"),
    ),
    "NaN let in": Mutant(
        "checks", "if bad:", "if False:", ["tests/test_doors.py::test_doors_for_arrays[FourSubspaces.of-NaN]"]
    ),
    "infinite sums let in": Mutant(
        "checks",
        "if np.isfinite(array.sum()):",
        "if not np.isnan(array.sum()):",
        ["tests/test_doors.py::test_doors_for_arrays[FourSubspaces.of-infinity]"],
    ),
    "one row for a thousand images": Mutant(
        "outputs",
        "return self.filled == self.count",
        "return True",
        fitting("a_row_for_each_thousand_images_is_not_copied_to_all"),
    ),
    "checksum not looked at": Mutant(
        "data",
        "if found != sha256:",
        "if False:",
        ["tests/networks/test_data.py::test_a_damaged_file_is_refused_with_both_sums"],
    ),
    "validation images that were trained on": Mutant(
        "data",
        "order[50_000:]",
        "order[:10_000]",
        ["tests/networks/test_data.py::test_splits_are_disjoint_and_whole[0]"],
    ),
    "untreated parameters dropped": Mutant(
        "layers",
        "if id(p) not in covered}",
        "if False}",
        ["tests/networks/test_layers.py::test_every_parameter_is_in_a_layer_or_listed"],
    ),
    "shared layers named once": Mutant(
        "layers",
        "in model.named_modules(remove_duplicate=False):",
        "in model.named_modules():",
        ["tests/networks/test_layers.py::test_every_layer_is_found_under_its_dotted_name"],
    ),
    "hooks left behind": Mutant(
        "layers",
        "handle.remove()",
        "pass",
        ["tests/networks/test_layers.py::test_hooks_are_gone_when_the_block_raises"],
    ),
    "evaluation in training mode": Mutant(
        "outputs",
        "with in_mode(model, training=False):\n        _ask",
        "with in_mode(model, training=True):\n        _ask",
        fitting("evaluation_is_in_eval_mode", "batch_norm_is_evaluated_with_running_statistics"),
    ),
    "modes not restored": Mutant(
        "outputs", "module.training = mode", "pass", fitting("modes_threads_and_random_state_are_restored")
    ),
    "no momentum": Mutant(
        "training",
        "recipe.learning_rate, recipe.momentum)",
        "recipe.learning_rate)",
        fitting("the_descent_is_the_one_written_out_by_hand"),
    ),
    "every epoch in the same order": Mutant(
        "training",
        "default_rng([seed, epoch])",
        "default_rng([seed, 0])",
        fitting("the_descent_is_the_one_written_out_by_hand"),
    ),
    "momentum lost in resuming": Mutant(
        "training",
        'if kind != "weight":',
        "if False:",
        fitting("a_resumed_run_has_the_bits_of_an_uninterrupted_one"),
    ),
    "nothing on disk at the end of an epoch": Mutant(
        "training",
        "                suspend(state, run, step, model, optimiser)\n                bar",
        "                bar",
        fitting("a_crash_in_the_next_epoch_loses_only_that_epoch"),
    ),
    "more than one thread": Mutant(
        "training", "torch.set_num_threads(1)", "pass", fitting("training_is_on_one_thread")
    ),
    "a finished run forgotten before it is saved": Mutant(
        "cli",
        "            accuracy = training.evaluate(model, split.test)",
        "            state.unlink()\n            accuracy = training.evaluate(model, split.test)",
        fitting("a_training_survives_what_comes_after_it"),
    ),
    "keys in random order": Mutant(
        "checkpoints",
        "json.dumps(header, sort_keys=True)",
        "json.dumps(header)",
        checkpoints("saved_twice_it_is_the_same_bytes"),
    ),
    "the interrupted epoch begun again": Mutant(
        "training",
        "[within:]:",
        ":",
        fitting("a_resumed_run_has_the_bits_of_an_uninterrupted_one"),
    ),
    "interrupted in the midst of a batch": Mutant(
        "training",
        "signal.signal(signal.SIGINT, lambda *_: asked.append(True))",
        "signal.getsignal(signal.SIGINT)",
        fitting("ctrl_c_in_the_midst_of_a_step_waits_for_its_end"),
    ),
    "a checkpoint of another network": Mutant(
        "checkpoints",
        "(network or found) != found:",
        "False:",
        checkpoints("a_spoiled_checkpoint_is_one_line[another network]"),
    ),
    "normal quantile for Student's": Mutant(
        "ledger",
        "scipy.stats.t.ppf(0.975, n - 1)",
        "scipy.stats.norm.ppf(0.975)",
        ledger("the_prediction_interval_by_a_table"),
    ),
    "interval of the mean, not of one more seed": Mutant(
        "ledger", "np.sqrt(1 + 1 / n)", "np.sqrt(1 / n)", ledger("the_prediction_interval_covers_one_more_seed")
    ),
    "printed precision ignored": Mutant(
        "ledger",
        "half = 0.5 * 10.0 **",
        "half = 0.0 * 10.0 **",
        ledger("a_value_meets_the_interval_give_or_take_half_a_digit"),
    ),
    "the control has no say": Mutant(
        "ledger",
        'if claim.rule.get("artefact") and',
        "if False and",
        ledger("an_artefact_is_what_the_control_gives_too"),
    ),
    "an exact check that cannot fail": Mutant(
        "ledger",
        "if worst <= bound < broken else",
        "if worst <= bound else",
        ledger("an_exact_claim_holds_for_every_run_and_can_fail"),
    ),
    "kernels turned by half a turn": Mutant(
        "kernels",
        "weight[:, :, a, b]",
        "weight[:, :, -1 - a, -1 - b]",
        kernels("the_matrix_of_a_convolution_by_loops[1-0]", "the_matrix_of_a_convolution_is_pytorchs_exactly"),
    ),
    "rows and columns of the maps swapped": Mutant(
        "kernels",
        "moves[0][a], moves[1][b]",
        "moves[1][b], moves[0][a]",
        kernels("the_matrix_of_a_convolution_by_loops[1-0]"),
    ),
    "zeros around on one side": Mutant(
        "kernels",
        "outputs * stride + tap - padding",
        "outputs * stride + tap",
        kernels("the_matrix_of_a_convolution_by_loops[1-1]"),
    ),
    "a place too few": Mutant(
        "kernels",
        "(side + 2 * padding - size) // stride + 1)",
        "(side + 2 * padding - size) // stride)",
        kernels("on_maps_as_large_as_the_kernel_im2col_is_the_convolution"),
    ),
    "one view taken for the other": Mutant(
        "kernels",
        "weight.reshape(weight.shape[0] * weight.shape[1], -1)",
        "weight.reshape(weight.shape[0], -1)",
        kernels("flattened_kernels_on_patches_summed_over_channels_convolve_exactly"),
    ),
    "the names of the views swapped": Mutant(
        "layers",
        '{"flattened_kernels": flattened_kernels(self.weight), "im2col": patches}',
        '{"im2col": flattened_kernels(self.weight), "flattened_kernels": patches}',
        ["tests/networks/test_layers.py::test_shapes_of_the_views"],
    ),
    "input channels first": Mutant(
        "kernels",
        "rows = weight.reshape(weight.shape[0], -1)",
        "rows = weight.swapaxes(0, 1).reshape(weight.shape[0], -1)",
        kernels("im2col_on_patches_of_all_channels_convolves_exactly"),
    ),
    "diagonals swapped": Mutant(
        "kernels",
        '"falling diagonal": np.diag(_PIXELS),\n    "rising diagonal": np.diag(_PIXELS[:, ::-1]),',
        '"rising diagonal": np.diag(_PIXELS),\n    "falling diagonal": np.diag(_PIXELS[:, ::-1]),',
        kernels("patterns_as_they_are_drawn[falling diagonal]"),
    ),
    "sizes for energies": Mutant(
        "kernels",
        "_of_size_one(kernels) ** 2",
        "np.abs(_of_size_one(kernels))",
        kernels("share_of_a_random_direction_follows_the_beta_law[top row]"),
    ),
    "the brightest line for the strongest": Mutant(
        "kernels",
        "np.max([pattern_share(kernels, line)",
        "np.mean([pattern_share(kernels, line)",
        kernels("shares_by_hand"),
    ),
    "two halves for two levels": Mutant(
        "kernels", "k * (n - k) / n**2", "0.25", kernels("two_levels_against_every_threshold")
    ),
    "the median for the best threshold": Mutant(
        "kernels",
        "between.max(axis=-1)",
        "between[..., (n - 1) // 2]",
        kernels("two_levels_against_every_threshold"),
    ),
    "rounding taken for variance": Mutant(
        "kernels", "(x[..., 0] < x[..., -1]) & ", "", kernels("equal_pixels_have_no_levels[0.1]")
    ),
    "a p-value of zero": Mutant(
        "nullmodel",
        "(1 + np.count_nonzero(reached)) / (1 + null.size)",
        "np.count_nonzero(reached) / null.size",
        nullmodel("p_values_are_uniform_over_ranks[4]"),
    ),
    "ties not reached": Mutant(
        "nullmodel",
        " | np.isclose(null, value, rtol=1e-12, atol=0)",
        "",
        nullmodel("ties_count_as_reached[rounding]"),
    ),
    "an infinite value beyond infinite ones": Mutant(
        "nullmodel",
        "(null > value) | np.isclose(null, value, rtol=1e-12, atol=0)",
        "null >= value - 1e-12 * np.abs(value)",
        nullmodel("ties_count_as_reached[all infinite]"),
    ),
    "Holm without the running maximum": Mutant(
        "nullmodel",
        "np.maximum.accumulate((k - np.arange(k)) * p_values[order])",
        "(k - np.arange(k)) * p_values[order]",
        nullmodel("holm_is_the_smallest_level_at_which_the_step_down_rejects"),
    ),
    "Bonferroni for Holm": Mutant(
        "nullmodel",
        "(k - np.arange(k)) *",
        "k *",
        nullmodel("holm_is_the_smallest_level_at_which_the_step_down_rejects"),
    ),
    "adjusted p-values left in rising order": Mutant(
        "nullmodel", "adjusted[order] =", "adjusted[:] =", nullmodel("holm_is_monotone_and_knows_no_order")
    ),
    "a degree of freedom too few": Mutant(
        "nullmodel",
        "generator.chisquare(longer - np.arange(k))",
        "generator.chisquare(longer - 1 - np.arange(k))",
        nullmodel("spectra_by_the_triangular_factor_are_those_of_full_matrices[(30, 3)]"),
    ),
    "degrees of freedom that rise": Mutant(
        "nullmodel",
        "generator.chisquare(longer - np.arange(k))",
        "generator.chisquare(longer)",
        nullmodel("spectra_by_the_triangular_factor_are_those_of_full_matrices[(7, 4)]"),
    ),
    "sphericity without the logarithm's mean": Mutant(
        "nullmodel",
        "np.log(squares).mean(axis=-1)",
        "np.log(squares).sum(axis=-1)",
        nullmodel("sphericity_by_hand"),
    ),
    "singular values not squared": Mutant(
        "nullmodel",
        "squares = (spectra / spectra[..., :1]) ** 2",
        "squares = spectra / spectra[..., :1]",
        nullmodel("sphericity_by_hand"),
    ),
    "shuffled without signs": Mutant(
        "nullmodel",
        "return signs * generator.permutation",
        "return generator.permutation",
        nullmodel("shuffled_spectra_by_every_arrangement", "arrangement_is_found[a common mean]"),
    ),
    "rows shuffled, not entries": Mutant(
        "nullmodel",
        "generator.permutation(A.ravel()).reshape(A.shape)",
        "generator.permutation(A)",
        nullmodel("shuffled_spectra_by_every_arrangement", "arrangement_is_found[columns of different size]"),
    ),
    "the test in the wrong tail": Mutant(
        "nullmodel",
        "(null > value)",
        "(null < value)",
        nullmodel("a_pattern_well_above_the_threshold_is_found"),
    ),
    "random bases with a preferred sign": Mutant(
        "nullmodel",
        "scipy.stats.ortho_group.rvs(n, size, random_state=generator)",
        "np.linalg.qr(generator.standard_normal((size, n, n)))[0]",
        nullmodel("sampled_bases_have_no_preferred_sign[5]"),
    ),
    "random rotations for random bases": Mutant(
        "nullmodel",
        "scipy.stats.ortho_group.rvs",
        "scipy.stats.special_ortho_group.rvs",
        nullmodel("sampled_bases_have_no_preferred_sign[5]"),
    ),
    "the smallest angle for the largest": Mutant(
        "nullmodel",
        "scipy.linalg.subspace_angles(one.T, other.T)[0]",
        "scipy.linalg.subspace_angles(one.T, other.T)[-1]",
        nullmodel("angles_are_those_of_the_projectors"),
    ),
    "small angles by their cosines": Mutant(
        "nullmodel",
        "scipy.linalg.subspace_angles(one.T, other.T)[0]",
        "np.arccos(min(1, np.linalg.svd(one @ other.T, compute_uv=False)[-1]))",
        nullmodel("a_planted_angle_is_found_however_small"),
    ),
    "an angle between the whole space and itself": Mutant(
        "nullmodel",
        "if len(one) == one.shape[1]:",
        "if False:",
        nullmodel("angles_are_those_of_the_projectors"),
    ),
    "rounding in a null space of dimension 0": Mutant(
        "subspaces",
        "x.copy() if basis.shape[0] == basis.shape[1] else (x @ basis) @ basis.T",
        "(x @ basis) @ basis.T",
        subspaces("nothing_is_left_over_where_the_row_space_is_all"),
    ),
    "the width of an interval in float64": Mutant(
        "draws",
        "np.float32(high) - np.float32(low)",
        "high - low",
        draws("a_start_is_known_by_heart"),
    ),
    "a last block that is not drawn anew": Mutant(
        "draws", "if whole < count:", "if False:", draws("normal_numbers_are_pytorchs")
    ),
    "angles before radii": Mutant(
        "draws", "lengths, turns = np.moveaxis", "turns, lengths = np.moveaxis", draws("normal_numbers_are_pytorchs")
    ),
    "a seed's high bits": Mutant("draws", " % 2**32", " >> 32", draws("uniform_numbers_are_pytorchs")),
    "gaps to one side": Mutant(
        "nullmodel", "np.minimum(steps[:, :-1], steps[:, 1:])", "steps[:, 1:]", nullmodel("gaps_by_hand")
    ),
    "a stem that looks at every pixel": Mutant(
        "models",
        "stride=2, padding=3",
        "stride=1, padding=3",
        ["tests/networks/test_models.py::test_resnet18_is_torchvisions_with_another_stem"],
    ),
    "fractions of batches": Mutant(
        "checkpoints",
        "t.is_floating_point() == (name in counts)",
        "not t.is_floating_point() and name not in counts",
        checkpoints("whole_numbers_and_floats_keep_their_places[bn1.num_batches_tracked-torch.float32]"),
    ),
    "kernels not looked at": Mutant(
        "checkpoints",
        "    read_checked(path, sums[one_of(path.name, sums, str(listed))])\n",
        "",
        checkpoints("damaged_kernels_are_refused[one bit]"),
    ),
    "before taken for after": Mutant(
        "checkpoints",
        'Kernels(tensors["initial"].numpy(), tensors["trained"].numpy())',
        'Kernels(tensors["trained"].numpy(), tensors["initial"].numpy())',
        checkpoints("kernels_come_back_as_they_were_saved"),
    ),
    "SELU's alpha and scale swapped": Mutant(
        "activations",
        "elu(SELU_ALPHA, SELU_SCALE)",
        "elu(SELU_SCALE, SELU_ALPHA)",
        activations("values_and_slopes_are_pytorchs[SELU]"),
    ),
    "a bound counts as taken": Mutant(
        "activations",
        "np.nextafter(self.low, np.inf), np.nextafter(self.high, -np.inf)",
        "self.low, self.high - 1e-16",
        activations("at_inside_and_beyond_a_bound"),
    ),
    "depth from the upper end alone": Mutant(
        "activations",
        "np.maximum(self.low - y, y - self.high)",
        "y - self.high",
        activations("at_inside_and_beyond_a_bound"),
    ),
    "the slope of ELU without its scale": Mutant(
        "activations",
        "lambda x: np.where(x > 0, scale, edge",
        "lambda x: np.where(x > 0, 1.0, edge",
        activations("values_and_slopes_are_pytorchs[SELU]"),
    ),
    "leaky ReLU not undone below zero": Mutant(
        "activations",
        "np.where(y > 0, y, y / slope)",
        "np.where(y > 0, y, y * slope)",
        activations("the_inverse_undoes_the_function[LeakyReLU]"),
    ),
    "softplus of an underflow": Mutant(
        "activations",
        "np.maximum(-np.expm1(-beta * y), TINY)",
        "-np.expm1(-beta * y)",
        activations("what_comes_back_is_finite_and_outside_means_outside[Softplus of 0.25]"),
    ),
    "a layer used twice passed over": Mutant(
        "chains",
        "module._modules.items()",
        "module.named_children()",
        chains("the_chain_is_the_network[shared]"),
    ),
    "another linear layer taken for one": Mutant(
        "chains",
        "type(module).forward is nn.Linear.forward",
        "isinstance(module, nn.Linear)",
        chains("no_chain[another linear layer]"),
    ),
    "a chain of a network in training mode": Mutant(
        "chains",
        "refuse_training(model)",
        "None",
        chains("training_mode_is_refused_and_kept[selu1]"),
    ),
    "ELU's alpha forgotten": Mutant("chains", "elu(m.alpha)", "elu()", chains("the_chain_is_the_network[nested]")),
    "slopes at the wrong side of the weight": Mutant(
        "chains",
        "self.steps:\n            before = step.before(x)\n            slopes = step.activation.derivative(before)",
        "self.steps:\n            before = step.before(x)\n            slopes = "
        "step.activation.derivative(step.activation(before))",
        chains("the_jacobian_is_autograds[one layer]", "the_jacobian_is_autograds[nested]"),
    ),
    "the bias not subtracted": Mutant(
        "layerwise",
        "z = _rounded(found.values - step.bias, dtype)",
        "z = _rounded(found.values, dtype)",
        inversion("equation_5_by_loops[identity]"),
    ),
    "layers in the order of the way back": Mutant(
        "layerwise",
        "np.stack(rows[::-1], axis=1) for rows",
        "np.stack(rows, axis=1) for rows",
        inversion("columns_stand_in_the_order_of_the_layers"),
    ),
    "unreached taken from the column space": Mutant(
        "layerwise", "subspaces.project_left_null(", "subspaces.project_column(", inversion("what_no_input_reaches")
    ),
    "exact whenever in range": Mutant(
        "layerwise",
        "return self.forward_error <= self.tolerance",
        "return self.in_range",
        inversion("what_no_input_reaches[deficient]"),
    ),
    "float32 in name only": Mutant(
        "layerwise",
        "if dtype is np.float64:",
        "if True:",
        inversion("in_float32_every_number_on_the_way_is_one"),
    ),
    "a budget without slopes": Mutant(
        "layerwise",
        "largest, spread = _norms(back, slopes)",
        "largest, spread = _norms(back, slopes * 0 + 1)",
        inversion("slopes_enter_the_budget"),
    ),
    "sums without rounding": Mutant(
        "layerwise", "np.sqrt(2 + (m - 1) / 2) * z", "z", inversion("the_budget_holds[large-1]")
    ),
    "an error that exits with 0": Mutant(
        "cli",
        "sys.exit(2)",
        "sys.exit(0)",
        ["tests/test_doors.py::test_the_command_line_prints_one_line_and_exits_with_2[unknown claim]"],
    ),
    "an interruption of an import that is raised": Mutant(
        "__main__",
        "signal.signal(signal.SIGINT, lambda *_: os._exit(130))",
        "pass",
        [
            "tests/test_doors.py::test_ctrl_c_while_libraries_are_imported_is_no_traceback[arguments0-numpy._core.multiarray]"
        ],
    ),
    "a folder for the resume state that is tried too late": Mutant(
        "cli",
        "    _check_writable(state.parent)\n",
        "",
        ["tests/test_doors.py::test_a_cache_that_cannot_be_written_is_one_line"],
    ),
    "half a ledger, all of it open": Mutant(
        "ledger",
        "for part in PARTS)",
        "for part in PARTS[:1])",
        ledger("a_package_without_its_evidence_says_so_when_asked[claims]"),
    ),
    "series beyond the styles dropped": Mutant(
        "plots",
        "if len(series) > len(styles):",
        "if False:",
        ["tests/test_plots.py::test_more_series_than_looks_are_refused_and_another_axis_takes_the_rest[curves]"],
    ),
    "several images drawn as one": Mutant(
        "plots",
        "not in ((side**2,), (side, side), ()) or",
        "is None or",
        ["tests/test_plots.py::test_several_images_are_not_one[shape0]"],
    ),
    **INVERSE_MAPS,
    **SPECTRA,
    **STORED,
}


@pytest.fixture
def copy(tmp_path):
    """The source, the tests and the evidence as they stand; what is not mutated is linked."""
    shutil.copytree(ROOT / "vsbook", tmp_path / "vsbook", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("conftest.py", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "vsbook" / "assets").symlink_to(ROOT / "vsbook" / "assets")
    (tmp_path / "evidence").symlink_to(ROOT / "evidence")
    return tmp_path


# Imports what takes long (and nothing of ours) once, and runs each copy's tests in a fork of that.
SERVER = """
import gc, json, os, sys
import hypothesis, matplotlib.pyplot, pytest, safetensors.torch, scipy.stats, torch, torchvision, typer

gc.freeze()  # a fork needn't look through all that again
for line in sys.stdin:
    folder, tests = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        sys.path.insert(0, folder)
        log = os.open("log", os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 1), os.dup2(log, 2)
        status = 3  # unless pytest comes to an end
        try:
            imported = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
            status = pytest.main(["-x", "-p", "no:cacheprovider", "--tb=line", *imported, *tests])
            sys.stdout.flush()
        finally:
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def run():
    """A function of a copy and its tests: pytest's exit status there (0 passed, 1 failed) and what it said."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-B", "-W", "ignore::DeprecationWarning", "-c", SERVER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, bufsize=1, **pipes) as server:

        def ask(folder, tests):
            server.stdin.write(json.dumps([str(folder), tests]) + "\n")
            return int(server.stdout.readline()), (folder / "log").read_text(encoding="utf-8")

        yield ask
        server.stdin.close()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_fault_is_found(copy, name, run):
    mutant = MUTANTS[name]
    (source,) = (copy / "vsbook").rglob(f"{mutant.room}.py")
    text = source.read_text(encoding="utf-8")
    assert text.count(mutant.right) == 1, "the text to be mutated stands there once"
    source.write_text(text.replace(mutant.right, mutant.wrong), encoding="utf-8")
    status, said = run(copy, mutant.tests)
    assert status == 1, said
    assert "failed" in said
    assert " error" not in said.splitlines()[-1], said


def test_without_a_fault_the_same_tests_pass(copy, run):
    every = sorted({test for mutant in MUTANTS.values() for test in mutant.tests})
    where = copy / "tests" / "test_where.py"  # is it the copy that is tested?
    where.write_text(f"import vsbook\n\n\ndef test_where():\n    assert vsbook.__file__.startswith({str(copy)!r})\n")
    every.append("tests/test_where.py")
    status, said = run(copy, every)
    assert status == 0, said
