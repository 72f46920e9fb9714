"""Adam, and the learning rates of its groups: that of most parameters, and a trunk's own."""

import math

import torch
from torch import nn

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

    def restore(self, state: dict) -> None:
        """Go on with the moments of a run and this one's options. Raises ValueError if they are another network's."""
        self.adam.load_state_dict(state)
        for group in self.adam.param_groups:
            group.update(weight_decay=self.options.weight_decay)
