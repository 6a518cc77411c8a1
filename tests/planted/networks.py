"""Faults in the rooms of networks."""

from tests.planted.fault import faults

FAULTS = [
    faults(
        "models",
        "models",
        {
            "a stem that looks at every pixel": (
                "stride=2, padding=3",
                "stride=1, padding=3",
                "resnet18_is_torchvisions_with_another_stem",
            ),
        },
    ),
    faults(
        "data",
        "data",
        {
            "checksum not looked at": (
                "if found != sha256:",
                "if False:",
                "a_damaged_file_is_refused_with_both_sums",
            ),
            "validation images that were trained on": (
                "order[50_000:]",
                "order[:10_000]",
                "splits_are_disjoint_and_whole[0]",
            ),
        },
    ),
    faults(
        "draws",
        "draws",
        {
            "the width of an interval in float64": (
                "np.float32(high) - np.float32(low)",
                "high - low",
                "a_start_is_known_by_heart",
            ),
            "a last block that is not drawn anew": (
                "if whole < count:",
                "if False:",
                "normal_numbers_are_pytorchs",
            ),
            "angles before radii": (
                "lengths, turns = np.moveaxis",
                "turns, lengths = np.moveaxis",
                "normal_numbers_are_pytorchs",
            ),
            "a seed's high bits": (
                " % 2**32",
                " >> 32",
                "uniform_numbers_are_pytorchs",
            ),
        },
    ),
    faults(
        "layers",
        "layers",
        {
            "untreated parameters dropped": (
                "if id(p) not in covered}",
                "if False}",
                "every_parameter_is_in_a_layer_or_listed",
            ),
            "shared layers named once": (
                "in model.named_modules(remove_duplicate=False):",
                "in model.named_modules():",
                "every_layer_is_found_under_its_dotted_name",
            ),
            "hooks left behind": (
                "handle.remove()",
                "pass",
                "capture/hooks_are_gone_when_the_block_raises",
            ),
            "the names of the views swapped": (
                '{"flattened_kernels": flattened_kernels(self.weight), "im2col": patches}',
                '{"im2col": flattened_kernels(self.weight), "flattened_kernels": patches}',
                "shapes_of_the_views",
            ),
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
    faults(
        "outputs",
        "fitting",
        {
            "one row for a thousand images": (
                "return self.filled == self.count",
                "return True",
                "a_row_for_each_thousand_images_is_not_copied_to_all",
            ),
            "evaluation in training mode": (
                ("with in_mode(model, training=False):\n        _ask"),
                ("with in_mode(model, training=True):\n        _ask"),
                "evaluation_is_in_eval_mode",
                "batch_norm_is_evaluated_with_running_statistics",
            ),
            "modes not restored": (
                "module.training = mode",
                "pass",
                "modes_threads_and_random_state_are_restored",
            ),
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
                "ideal/a_pass_gives_what_one_image_at_a_time_gives[dense]",
            ),
            "training mode of a layer overlooked": (
                "for name, module in modules if module.training]",
                "for name, module in modules if module.training and not name]",
                "ideal/a_network_in_training_mode_is_refused_and_left_as_it_is",
            ),
        },
    ),
    faults(
        "checkpoints",
        "checkpoints",
        {
            "keys in random order": (
                "json.dumps(header, sort_keys=True)",
                "json.dumps(header)",
                "saved_twice_it_is_the_same_bytes",
            ),
            "a checkpoint of another network": (
                "(network or found) != found:",
                "False:",
                "a_spoiled_checkpoint_is_one_line[another network]",
            ),
            "fractions of batches": (
                "t.is_floating_point() == (name in counts)",
                "not t.is_floating_point() and name not in counts",
                "whole_numbers_and_floats_keep_their_places[bn1.num_batches_tracked-torch.float32]",
            ),
            "kernels not looked at": (
                "    read_checked(path, sums[one_of(path.name, sums, str(listed))])\n",
                "",
                "damaged_kernels_are_refused[one bit]",
            ),
            "before taken for after": (
                'Kernels(tensors["initial"].numpy(), tensors["trained"].numpy())',
                'Kernels(tensors["trained"].numpy(), tensors["initial"].numpy())',
                "kernels_come_back_as_they_were_saved",
            ),
        },
    ),
    faults(
        "training",
        "fitting",
        {
            "no momentum": (
                "recipe.learning_rate, recipe.momentum)",
                "recipe.learning_rate)",
                "the_descent_is_the_one_written_out_by_hand",
            ),
            "every epoch in the same order": (
                "default_rng([seed, epoch])",
                "default_rng([seed, 0])",
                "the_descent_is_the_one_written_out_by_hand",
            ),
            "momentum lost in resuming": (
                'if kind != "weight":',
                "if False:",
                "resuming/a_resumed_run_has_the_bits_of_an_uninterrupted_one",
            ),
            "nothing on disk at the end of an epoch": (
                ("                suspend(state, run, step, model, optimiser)\n                bar"),
                "                bar",
                "resuming/a_crash_in_the_next_epoch_loses_only_that_epoch",
            ),
            "more than one thread": (
                "torch.set_num_threads(1)",
                "pass",
                "training_is_on_one_thread",
            ),
            "the interrupted epoch begun again": (
                "[within:]:",
                ":",
                "resuming/a_resumed_run_has_the_bits_of_an_uninterrupted_one",
            ),
            "interrupted in the midst of a batch": (
                "signal.signal(signal.SIGINT, lambda *_: asked.append(True))",
                "signal.getsignal(signal.SIGINT)",
                "resuming/ctrl_c_in_the_midst_of_a_step_waits_for_its_end",
            ),
        },
    ),
    faults(
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
    ),
]
