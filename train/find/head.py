"""The detector: a small head that says of every cell of a photo which group it shows, and where the garment it belongs to ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss
from torchvision.ops.misc import Conv2dNormActivation

from core.inference.detector_graph import DILATIONS
from train.find.features import Projection
from train.find.scenes import UNKNOWN

CHANNELS = (512, 1024, 2048)  # of the maps of layer2, layer3 and layer4
CONTEXT, FINE = 96, 48  # channels at 1/16 and at 1/8 of the input's size

SPAN = 8.0  # cells from a cell to the sides of its garment's box, where the head says 0
SIDES = 4
GIOU_WEIGHT, QUALITY_WEIGHT = 1.0, 0.3  # beside the cross-entropy


class DetectorHead(nn.Module):
    """A feature pyramid (Lin et al. 2017) of three levels with dilated convolutions at the middle one.

    Args:
        n_groups: the background among them.
        channels: of the maps of layer2, layer3 and layer4.
        dropout: of channels of the maps, in training.
    """

    def __init__(self, n_groups: int, channels: Sequence[int] = CHANNELS, dropout: float = 0.0):
        super().__init__()
        self.n_groups = n_groups
        self.dropout = nn.Dropout2d(dropout)
        self.lateral2 = nn.Conv2d(channels[0], FINE, 1)
        self.lateral3 = nn.Conv2d(channels[1], CONTEXT, 1)
        self.lateral4 = nn.Conv2d(channels[2], CONTEXT, 1)
        self.context = nn.ModuleList(Conv2dNormActivation(CONTEXT, CONTEXT, 3, dilation=d) for d in DILATIONS)
        self.down = nn.Conv2d(CONTEXT, FINE, 1)
        self.fine = Conv2dNormActivation(FINE, FINE, 3)
        self.predict_context = nn.Conv2d(CONTEXT, n_groups + SIDES + 1, 1)
        self.predict_fine = nn.Conv2d(FINE, n_groups + SIDES + 1, 1, bias=False)

    def forward(self, second: Tensor, third: Tensor, fourth: Tensor) -> Tensor:
        """Maps of layer2, layer3 and layer4 -> (B, n_groups + 5, H/8, W/8): logits of the groups, logarithms of the distances to the left,
        top, right and bottom of the garment's box (in SPAN cells), logit of the box's IoU with the true one."""
        second, third, fourth = (self.dropout(maps) for maps in (second, third, fourth))
        x = F.relu(self.lateral3(third) + _doubled(self.lateral4(fourth)))
        for block in self.context:
            x = x + block(x)
        fine = self.fine(F.relu(self.lateral2(second) + _doubled(self.down(x))))
        return self.predict_fine(fine) + _doubled(self.predict_context(x))

    def with_projection(self, project: Projection) -> DetectorHead:
        """The same head for the maps themselves, of a head for their projections: two linear maps in a row are one."""
        head = DetectorHead(self.n_groups, [mean.numel() for mean in project.means])
        state = self.state_dict()
        laterals = ("lateral2", "lateral3", "lateral4")
        for name, mean, directions in zip(laterals, project.means, project.directions, strict=True):
            weight = state[f"{name}.weight"][:, :, 0, 0] @ directions  # (out, channels)
            state[f"{name}.bias"] = state[f"{name}.bias"] - weight @ mean
            state[f"{name}.weight"] = weight[:, :, None, None]
        head.load_state_dict(state)
        return head.eval()


def _doubled(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def boxes_of(distances: Tensor) -> Tensor:
    """Logarithms of distances (B, 4, h, w) to boxes left, top, right, bottom in cells, (B, h, w, 4)."""
    rows, columns = distances.shape[2:]
    left, top, right, bottom = (SPAN * distances.clamp(-6, 3).exp()).unbind(1)
    x, y = torch.arange(columns) + 0.5, (torch.arange(rows) + 0.5)[:, None]
    return torch.stack([x - left, y - top, x + right, y + bottom], dim=3)


def loss(outputs: Tensor, groups: Tensor, boxes: Tensor, weights: Tensor) -> Tensor:
    """What the head is taught by: cross-entropy of the groups, 1 - GIoU of the boxes, cross-entropy of their IoU.

    Args:
        outputs: of the head, (B, n_groups + 5, h, w).
        groups: int (B, h, w), UNKNOWN where nothing is taught.
        boxes: (B, h, w, 4), left, top, right, bottom as shares of the sides, all 0 where there is none.
        weights: of the groups, (n_groups,).
    """
    n_groups = len(weights)
    grouping = F.cross_entropy(outputs[:, :n_groups], groups.long(), weights, ignore_index=UNKNOWN)
    garment = boxes[..., 2] > 0
    if not garment.any():
        return grouping
    rows, columns = groups.shape[1:]
    true = (boxes * torch.tensor([columns, rows, columns, rows]))[garment]
    found = boxes_of(outputs[:, n_groups : n_groups + SIDES])[garment]
    sizes = ((true[:, 2] - true[:, 0]) * (true[:, 3] - true[:, 1])).clamp_min(1).rsqrt()  # small garments count too
    boxing = (sizes * generalized_box_iou_loss(found, true)).sum() / sizes.sum()
    quality = F.binary_cross_entropy_with_logits(
        outputs[:, -1][garment], iou(found.detach(), true), weight=sizes, reduction="sum"
    )
    return grouping + GIOU_WEIGHT * boxing + QUALITY_WEIGHT * quality / sizes.sum()


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes with others, one by one, (n,)."""
    width = (torch.minimum(boxes[:, 2], others[:, 2]) - torch.maximum(boxes[:, 0], others[:, 0])).clamp_min(0)
    height = (torch.minimum(boxes[:, 3], others[:, 3]) - torch.maximum(boxes[:, 1], others[:, 1])).clamp_min(0)
    shared = width * height
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-6)
