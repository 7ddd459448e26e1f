"""The one definition of the network: torchvision's ResNet50 with dropout before a linear head. The only core module with torch.

The head stays linear over global average pooling, so that Grad-CAM of the last block is `relu(sum_k w[c, k] A[k])`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

if TYPE_CHECKING:
    from core.artifacts.training import Block

# Statistics of the input that ImageNet weights were trained with: RGB in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Modules of each block as torchvision names them, from the input to the output; stages of training name these blocks.
BLOCKS: dict[Block, tuple[str, ...]] = {
    "stem": ("conv1", "bn1"),
    "layer1": ("layer1",),
    "layer2": ("layer2",),
    "layer3": ("layer3",),
    "layer4": ("layer4",),
    "head": ("fc",),
}


class GarmentNet(ResNet):
    """ResNet50 (He et al. 2015; torchvision's v1.5) with torchvision's parameter names, `fc` having `n_outputs` outputs.

    The first outputs are the classes; any further ones are the background, kinds of products that are none of the classes. With an output
    stride of 16, layer4 dilates its convolutions instead of striding (Chen et al. 2017, "Rethinking atrous convolution for semantic image
    segmentation"), so that its maps have twice the rows and columns; the weights fit either.
    """

    def __init__(self, n_outputs: int, dropout: float = 0.0, output_stride: int = 32):
        dilated = [False, False, output_stride == 16]
        super().__init__(Bottleneck, [3, 4, 6, 3], num_classes=n_outputs, replace_stride_with_dilation=dilated)
        self.dropout = nn.Dropout(dropout)

    def features(self, x: Tensor) -> Tensor:
        """Feature maps of the last block, (B, 3, H, W) normalised -> (B, 2048, ceil(H / s), ceil(W / s)), s the output stride."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H/4, W/4)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the head, (B, 3, H, W) normalised -> (B, n_outputs)."""
        pooled = self.features(x).mean(dim=(2, 3))  # (B, 2048)
        return self.fc(self.dropout(pooled))


def against_background(outputs: Tensor, n_classes: int) -> Tensor:
    """Logits of the classes as log-odds against the background, (B, n_outputs) -> (B, n_classes).

    `z_c - logsumexp(background)`, so that `logsumexp` of the result is the log-odds of any class against none of them. The probabilities
    among the classes stay as they were; without background outputs nothing changes.
    """
    classes, background = outputs[:, :n_classes], outputs[:, n_classes:]
    return classes - background.logsumexp(1, keepdim=True) if background.shape[1] else classes


def block_of(parameter: str) -> Block:
    """Block a parameter or buffer belongs to, by its name; KeyError if none."""
    module = parameter.partition(".")[0]
    for block, modules in BLOCKS.items():
        if module in modules:
            return block
    raise KeyError(parameter)


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Write a state dict in half precision.

    Raises:
        ValueError: a value does not fit half precision; the message names the tensors.
    """
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    overflowed = [name for name, tensor in half.items() if not torch.isfinite(tensor).all()]
    if overflowed:
        raise ValueError(f"not finite in half precision: {', '.join(overflowed)}")
    save_file({name: tensor.contiguous() for name, tensor in half.items()}, path)


def load_network(path: Path, output_stride: int = 32) -> GarmentNet:
    """Network in float32 and eval mode from a file that `save_weights` wrote."""
    state = {name: tensor.float() for name, tensor in load_file(path).items()}
    network = GarmentNet(len(state["fc.bias"]), output_stride=output_stride)
    network.load_state_dict(state)
    return network.eval()
