"""The devices that are here: the processor first."""

import torch

DEVICES = [
    torch.device("cpu"),
    *[torch.device("cuda")] * torch.cuda.is_available(),
    *[torch.device("mps")] * torch.backends.mps.is_available(),
]
