"""Faults in the rooms that go back through whole networks, and that compare images."""

from tests.planted.fault import faults

FAULTS = [
    faults(
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
                "bad_input_is_one_clear_error[one part in training mode]",
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
    ),
    faults(
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
    ),
    faults(
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
    ),
    faults(
        "input_training",
        "input_training",
        {
            "an ascent": (
                "x = x.detach() - step",
                "x = x.detach() + step",
                "a_descent_is_that_of_each_image_alone[dense]",
            ),
            "a batch that shares its step": (
                ("torch.autograd.grad(loss.sum(), x)[0]\n        losses"),
                ("torch.autograd.grad(loss.mean(), x)[0]\n        losses"),
                "a_descent_is_that_of_each_image_alone[dense]",
            ),
            "gradients left in the weights": (
                "how.learning_rate * torch.autograd.grad(loss.sum(), x)[0]",
                "how.learning_rate * (loss.sum().backward(), x.grad)[1]",
                "doors/the_doors_are_open[train_input by Descent, dense]",
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
    ),
    faults(
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
                "doors/the_doors_are_open[copies_in_training_mode, convolutional]",
            ),
            "dropout that draws": (
                ("    for norm in norms.values():\n        norm.train()"),
                "    learner.train()",
                "dropout_does_not_draw",
            ),
        },
    ),
    faults(
        "image_statistics",
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
    ),
]
