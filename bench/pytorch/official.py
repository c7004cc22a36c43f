"""The Vision Transformer as the official Deep Incubation code computes it (timm 0.3.2's modules, cut into stages).

Patch embedding by a strided convolution, one fused qkv linear, attention as written-out matrix products
and softmax, erf GELU, the final norm over all tokens before the class token is taken. Dropout and drop path
are 0 and left out. Parameter names are the official stage-local ones under `stages.<i>.`.
With `sdpa`, attention is F.scaled_dot_product_attention instead: a stronger PyTorch than the official code.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads, sdpa):
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.sdpa = sdpa
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        if self.sdpa:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            attn = (q @ k.transpose(-2, -1)) * self.scale
            x = attn.softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(B, N, C))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, hidden, sdpa):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, sdpa)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, channels, patch, width):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Stage(nn.Module):
    def __init__(self, vit, depth, first, last, sdpa):
        super().__init__()
        width = vit["width"]
        self.first, self.last = first, last
        if first:
            tokens = (vit["imageSize"] // vit["patchSize"]) ** 2 + 1
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
            self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
            self.patch_embed = PatchEmbed(vit["channels"], vit["patchSize"], width)
        self.blocks = nn.Sequential(*[Block(width, vit["heads"], 4 * width, sdpa) for _ in range(depth)])
        if last:
            self.norm = nn.LayerNorm(width, eps=1e-6)
            self.head = nn.Linear(width, vit["classes"])

    def forward(self, x):
        if self.first:
            x = self.patch_embed(x)
            x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        x = self.blocks(x)
        return self.head(self.norm(x)[:, 0]) if self.last else x


class StagedViT(nn.Module):
    """`target`: the stage that is trained, after frozen ones under no_grad; None trains all."""

    def __init__(self, vit, depths, target, freeze_suffix, sdpa):
        super().__init__()
        last = len(depths) - 1
        self.target = target
        self.stages = nn.ModuleList(Stage(vit, d, i == 0, i == last, sdpa) for i, d in enumerate(depths))
        for i, stage in enumerate(self.stages):
            before, after = target is not None and i < target, target is not None and i > target
            stage.requires_grad_(not (before or (after and freeze_suffix)))

    def forward(self, x):
        for i, stage in enumerate(self.stages):
            if self.target is not None and i < self.target:
                with torch.no_grad():
                    x = stage(x)
            else:
                x = stage(x)
        return x

    def trained(self):
        stages = self.stages if self.target is None else [self.stages[self.target]]
        names = {id(p) for s in stages for p in s.parameters()}
        return [(n, p) for n, p in self.named_parameters() if id(p) in names]


class LabelSmoothingCrossEntropy(nn.Module):
    """As timm 0.3.2."""

    def __init__(self, smoothing):
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits, target):
        logprobs = F.log_softmax(logits.float(), dim=-1)
        nll = -logprobs.gather(dim=-1, index=target.unsqueeze(1)).squeeze(1)
        smooth = -logprobs.mean(dim=-1)
        return ((1 - self.smoothing) * nll + self.smoothing * smooth).mean()
