"""From a PyTorch network and its data to the two files that Saddlescope reads.

    from torch_to_onnx import export
    export(net, inputs, targets, "net")        # writes net.onnx and net.npz

`inputs` is a tensor or a dict of tensors by the names of `forward`'s arguments; the first axis counts samples. `targets` are
class numbers (int64), values to predict (float), or None where the network returns its own loss. torch, onnx and onnxscript are
needed. See docs/from-pytorch.md.
"""
import copy

import numpy as np
import torch


def export(net, inputs, targets, name, exporter="dynamo", samples_in_trace=2):
    """Writes NAME.onnx (the network as it was trained: nothing folded, any batch size) and NAME.npz (its data)."""
    net = copy.deepcopy(net).eval()
    if not isinstance(inputs, dict):
        inputs = {"x": inputs}
    names = list(inputs)
    # Two samples to trace with: a single one would be taken for a dimension of length 1 for ever.
    few = tuple(t[:samples_in_trace] for t in inputs.values())
    options = dict(input_names=names, output_names=["output"])
    if exporter == "dynamo":
        batch = torch.export.Dim("batch")
        torch.onnx.export(net, few, name + ".onnx", dynamo=True, external_data=False, verbose=False,
                          dynamic_shapes=tuple({0: batch} for _ in names),
                          optimize=False,  # the optimiser folds batch normalisation into the convolutions
                          **options)
    else:
        torch.onnx.export(net, few, name + ".onnx", dynamo=False, opset_version=17,
                          dynamic_axes={n: {0: "batch"} for n in names},
                          training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False, **options)
    arrays = {n: t.detach().numpy() for n, t in inputs.items()}
    if targets is not None:
        arrays["y"] = targets.detach().numpy()
    np.savez(name + ".npz", **arrays)
