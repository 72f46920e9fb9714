"""Adam, and the learning rates of its groups: that of most parameters, and a trunk's own."""

import math

import torch
from torch import Tensor, nn

from options import Options

WARM_UP_STEPS = 100  # of the cosine schedule


class ScheduledAdam:
    """The optimiser of a network. Rates follow from the options and the step alone, so that a resumed run takes changed
    ones.

    Args:
        model: whose parameters that need gradients are trained; those of `trunk_parameters` at a rate of their own.
    """

    def __init__(self, model: nn.Module, options: Options) -> None:
        self.options = options
        self.trunk = [one for one in model.trunk_parameters() if one.requires_grad]
        ids = {id(parameter) for parameter in self.trunk}
        rest = [one for one in model.parameters() if one.requires_grad and id(one) not in ids]
        groups = [{"params": rest}, {"params": self.trunk}] if self.trunk else [{"params": rest}]
        self.adam = torch.optim.Adam(groups, lr=options.lr, weight_decay=options.weight_decay, fused=True)

    def set_rates(self, step: int, steps_per_epoch: int, last_step: int) -> float:
        """Prepare step number `step` and return its learning rate. A trunk whose rate is zero needs no gradients: most
        of the arithmetic of a step."""
        options = self.options
        if options.schedule == "cosine":
            rate = options.lr * 0.5 * (1 + math.cos(math.pi * min(step / last_step, 1)))
            rate *= min(1, (step + 1) / WARM_UP_STEPS)
        else:
            rate = options.lr * options.lr_decay ** (step // steps_per_epoch // options.decay_step)
        self.adam.param_groups[0]["lr"] = rate
        if self.trunk:
            trunk_rate = rate * options.trunk_lr if step >= options.trunk_steps else 0.0
            self.adam.param_groups[1]["lr"] = trunk_rate
            for parameter in self.trunk:
                parameter.requires_grad_(trunk_rate > 0)
        return rate

    def restore(self, state: object) -> None:
        """Go on with the moments of a run and this one's options.

        Args:
            state: the `state_dict` of the run's Adam.

        Raises:
            ValueError: it is something else, or another network's.
        """
        own = self.adam.state_dict()
        groups, moments = (state.get(key) if isinstance(state, dict) else None for key in ("param_groups", "state"))
        if not isinstance(groups, list) or not isinstance(moments, dict):
            raise ValueError("expected the state of Adam")
        if [group.get("params") if isinstance(group, dict) else None for group in groups] != [
            group["params"] for group in own["param_groups"]
        ]:
            raise ValueError("it is of other parameters")
        parameters = [parameter for group in self.adam.param_groups for parameter in group["params"]]
        for index, moment in moments.items():
            # PyTorch takes tensors of any shape here, and its kernels then read and write beyond their ends.
            if index not in range(len(parameters)) or not _fits(moment, parameters[index]):
                raise ValueError(f"parameter {index!r} has no moments of its shape")
        self.adam.load_state_dict({"state": moments, "param_groups": own["param_groups"]})


def _fits(moment: object, parameter: Tensor) -> bool:
    """Whether these are Adam's moments of a parameter: finite, and of its shape."""
    if not isinstance(moment, dict) or moment.keys() != {"step", "exp_avg", "exp_avg_sq"}:
        return False
    step, mean, square = moment["step"], moment["exp_avg"], moment["exp_avg_sq"]
    if not all(isinstance(value, Tensor) and value.is_floating_point() for value in (step, mean, square)):
        return False
    if step.numel() != 1 or not mean.shape == square.shape == parameter.shape:
        return False
    return bool(torch.isfinite(mean).all() and torch.isfinite(square).all() and (square >= 0).all() and step >= 0)
