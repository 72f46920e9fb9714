"""Self-attention over the entries of the global feature."""

import torch
from torch import Tensor, nn


class FeatureAttention(nn.Module):
    """Lets every entry of a feature vector attend to every other; starts as the identity (gamma = 0)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_conv = nn.Linear(channels, channels)
        self.key_conv = nn.Linear(channels, channels)
        self.value_conv = nn.Linear(channels, channels)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C) -> (B, C)."""
        query, key, value = self.query_conv(x), self.key_conv(x), self.value_conv(x)
        affinity = (query[:, :, None] * key[:, None, :]).softmax(dim=-1)  # (B, C, C)
        return self.gamma * (affinity @ value[..., None]).squeeze(-1) + x
