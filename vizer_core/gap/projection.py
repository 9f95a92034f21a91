"""The CLIP space drawn in two dimensions: UMAP, PCA and uncentred SVD, seeded and comparable.

MacCap figure 6 shows UMAP of global, local and text features and remarks that text lies "near
(0, 0)"; Liang et al. 2022 add an uncentred SVD. UMAP coordinates have no origin, scale or
distances between islands; SVD and PCA are linear and need no seed.

Where we differ: the UMAP settings that the paper leaves out are named arguments, and
`umap_stability` measures what changes when only the seed or the number of neighbours does.

symbol -> name: k -> neighbours; T(k), M(k) of Venna & Kaski 2001 -> trustworthiness; disparity of
Procrustes -> procrustes.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core import env
from vizer_core.runtime import require, seeded
from vizer_core.shapes import require_unit_norm

UMAP_NEIGHBOURS = 15  # umap-learn's own default
UMAP_MIN_DIST = 0.1  # the same


@dataclass(frozen=True, eq=False)
class Projection:
    """Points in the plane, each with the name of its group, and how they were made.

    `explained` contains each axis's share of the variance (PCA) or energy (SVD); UMAP has none.
    """

    method: str
    points: Float[Tensor, "n 2"]
    labels: tuple[str, ...]
    explained: tuple[float, ...] = ()

    def of(self, label: str) -> Float[Tensor, "m 2"]:
        """Return the points of one group."""
        if label not in self.labels:
            raise ValueError(f"no group {label!r}, there are {', '.join(sorted(set(self.labels)))}")
        return self.points[torch.tensor([name == label for name in self.labels])]


@dataclass(frozen=True)
class Stability:
    """How one UMAP run compares with the reference run and with the space it draws.

    `procrustes`: 0 if both projections agree after turning, scaling and moving, towards 1 if not.
    `shared_neighbours`: share of each point's k neighbours that both projections have in common.
    `kept_neighbours`, `trustworthiness`: of the projection against the original space.
    """

    seed: int
    neighbours: int
    procrustes: float
    shared_neighbours: float
    kept_neighbours: float
    trustworthiness: float


def project_pca(groups: Mapping[str, Tensor]) -> Projection:
    """Project all groups on the two directions of largest variance.

    >>> projection = project_pca({"image": torch.eye(3), "text": -torch.eye(3)})
    >>> projection.points.shape, projection.labels[0]
    (torch.Size([6, 2]), 'image')
    """
    features, labels = _stack(groups)
    return _two_axes("PCA", features - features.mean(dim=0), labels)


def project_svd(groups: Mapping[str, Tensor]) -> Projection:
    """Project on the two leading right singular vectors, mean left in (Liang et al. 2022).

    >>> project_svd({"image": torch.eye(3)[:2], "text": torch.eye(3)[1:]}).method
    'SVD'
    """
    features, labels = _stack(groups)
    return _two_axes("SVD", features, labels)


def project_umap(
    groups: Mapping[str, Tensor],
    *,
    seed: int = 0,
    neighbours: int = UMAP_NEIGHBOURS,
    min_dist: float = UMAP_MIN_DIST,
) -> Projection:
    """Project with umap-learn under the cosine metric; one thread, so that a seed repeats.

    Needs the extra `umap`. The first call compiles, which takes most of a small run's time, and
    keeps what it compiled beside umap or in the user's cache; where neither can be written (a
    shared install in a container), in a temporary folder that goes with the process.
    """
    features, labels = _stack(groups)
    if not 2 <= neighbours < len(features):
        raise ValueError(
            f"neighbours is {neighbours}, wanted 2 to {len(features) - 1}: fewer than the points"
        )
    with warnings.catch_warnings():
        # umap's package imports an optional neural variant and says that it is missing
        warnings.filterwarnings("ignore", message="Tensorflow not", category=ImportWarning)
        # groups far apart make a graph in several pieces, which umap lays out side by side
        warnings.filterwarnings("ignore", message=".*not fully connected", category=UserWarning)
        _let_numba_cache()
        umap = require("umap", extra="umap", why="a UMAP projection")
        reducer = umap.UMAP(
            n_neighbors=neighbours, min_dist=min_dist, metric="cosine", random_state=seed, n_jobs=1
        )
        points = reducer.fit_transform(features.float().cpu().numpy())
    return Projection("UMAP", torch.from_numpy(points).float(), labels)


def umap_stability(
    groups: Mapping[str, Tensor],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    neighbours: Sequence[int] = (5, 15, 50),
    k: int = 15,
) -> list[Stability]:
    """Compare UMAP runs that differ only in seed or only in neighbours with the first seed's.

    The reference is `seeds[0]` with 15 neighbours. k is the neighbourhood that is compared.
    """
    features, _ = _stack(groups)
    settings = [(seed, UMAP_NEIGHBOURS) for seed in seeds]
    settings += [(seeds[0], count) for count in neighbours if count != UMAP_NEIGHBOURS]
    runs = [project_umap(groups, seed=s, neighbours=count).points for s, count in settings]
    unit = features / features.norm(dim=1, keepdim=True)
    return [
        Stability(
            seed=seed,
            neighbours=count,
            procrustes=procrustes(runs[0], points),
            shared_neighbours=shared_neighbours(runs[0], points, k=k),
            kept_neighbours=shared_neighbours(unit, points, k=k),
            trustworthiness=trustworthiness(unit, points, k=k),
        )
        for (seed, count), points in zip(settings, runs)
    ]


def procrustes(first: Float[Tensor, "n c"], second: Float[Tensor, "n c"]) -> float:
    """Return what is left between two projections after moving, scaling, turning and mirroring.

    Both are centred and scaled to unit size; 1 - (sum of singular values of A^T B)^2.

    >>> square = torch.tensor([[0.0, 0], [0, 1], [1, 1], [1, 0]])
    >>> abs(round(procrustes(square, 3 * square.flip(1) - 7), 6))
    0.0
    """
    clouds = []
    for points in (first, second):
        centred = points.double() - points.double().mean(dim=0)
        if float(centred.norm()) == 0:
            raise ValueError("all points are the same: they have no shape to compare")
        clouds.append(centred / centred.norm())
    return 1 - float(torch.linalg.svdvals(clouds[0].T @ clouds[1]).sum()) ** 2


def shared_neighbours(
    first: Float[Tensor, "n c"], second: Float[Tensor, "n e"], *, k: int
) -> float:
    """Return the share of each point's k nearest neighbours that both spaces agree on.

    >>> line = torch.arange(6.0)[:, None]
    >>> shared_neighbours(line, -2 * line, k=2)
    1.0
    """
    _check_k(k, len(first))
    near_first, near_second = (_neighbours(points)[:, :k] for points in (first, second))
    return float((near_first[:, :, None] == near_second[:, None, :]).sum()) / near_first.numel()


def trustworthiness(space: Float[Tensor, "n c"], points: Float[Tensor, "n e"], *, k: int) -> float:
    """Say how far neighbours in the projection are true ones: 1 if all, about .5 by chance.

    Venna & Kaski 2001: 1 - 2 / (n k (2n - 3k - 1)) sum over false neighbours of (rank - k).

    >>> line = torch.arange(6.0)[:, None]
    >>> trustworthiness(line, line, k=2)
    1.0
    """
    n = len(space)
    _check_k(k, n)
    order = _neighbours(space)
    ranks = torch.zeros(n, n, dtype=torch.long)
    ranks.scatter_(1, order, torch.arange(1, n).expand(n, -1))
    drawn = ranks.gather(1, _neighbours(points)[:, :k])
    penalty = (drawn - k).clamp_min(0).sum()
    return 1 - 2 * float(penalty) / (n * k * (2 * n - 3 * k - 1))


def sample_groups(groups: Mapping[str, Tensor], count: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Draw the same `count` rows of every group, so that a projection keeps pairs together.

    >>> drawn = sample_groups({"image": torch.eye(9), "text": torch.eye(9)}, 4)
    >>> torch.equal(drawn["image"], drawn["text"]), len(drawn["text"])
    (True, 4)
    """
    sizes = {name: len(features) for name, features in groups.items()}
    if len(set(sizes.values())) != 1 or not 1 <= count <= min(sizes.values()):
        raise ValueError(
            f"cannot draw the same {count} rows from groups of {sizes}: wanted equal sizes, "
            f"at least {count}"
        )
    rows = torch.randperm(min(sizes.values()), generator=seeded(seed))[:count]
    return {name: features[rows] for name, features in groups.items()}


@cache
def _let_numba_cache() -> TemporaryDirectory | None:
    """Give numba a folder for compiled code where it would find none, and stop umap's import.

    `NUMBA_CACHE_DIR` is read when numba is imported; a numba that is there already is told as well.
    """
    spec = importlib.util.find_spec("umap")
    if spec is None or spec.origin is None or env.NUMBA_CACHE.get():
        return None
    if _can_be_written(Path(spec.origin).parent / "__pycache__") or _can_be_written(_user_cache()):
        return None
    folder = TemporaryDirectory(prefix="vizer-numba-")
    env.NUMBA_CACHE.set(folder.name)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = folder.name
    return folder


def _user_cache() -> Path:
    named = env.WINDOWS_CACHE if sys.platform == "win32" else env.CACHE
    if sys.platform != "darwin" and named.get():
        return Path(named.get())
    try:
        home = Path.home()
    except RuntimeError:  # a container's user without a name
        return Path(os.devnull)
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"


def _can_be_written(folder: Path) -> bool:
    """Say whether files can be put into a folder, which may be one that is still to be made."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def _stack(groups: Mapping[str, Tensor]) -> tuple[Tensor, tuple[str, ...]]:
    if len(groups) == 0:
        raise ValueError('got no groups, wanted for instance {"image": ..., "text": ...}')
    widths = {name: tuple(features.shape[1:]) for name, features in groups.items()}
    if len(set(widths.values())) != 1 or any(len(width) != 1 for width in widths.values()):
        raise ValueError(f"groups have shapes [n, *] with {widths}, wanted one width d for all")
    for name, features in groups.items():
        require_unit_norm(features, name)
    labels = tuple(name for name, features in groups.items() for _ in range(len(features)))
    if len(labels) < 3:
        raise ValueError(f"got {len(labels)} points, wanted at least 3 to lay out")
    return torch.cat([features.double() for features in groups.values()]), labels


def _two_axes(method: str, features: Tensor, labels: tuple[str, ...]) -> Projection:
    """Project on the two leading eigenvectors; the sign makes their largest entry positive."""
    values, vectors = torch.linalg.eigh(features.T @ features)
    axes = vectors[:, [-1, -2]]
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    axes = axes * largest.sign()
    total = float(values.clamp_min(0).sum())
    shares = tuple(float(values[i]) / total if total > 0 else 0.0 for i in (-1, -2))
    return Projection(method, (features @ axes).float(), labels, shares)


def _neighbours(points: Tensor) -> Tensor:
    """Every other point, nearest first: [n, n - 1]."""
    distances = torch.cdist(points.double(), points.double())
    distances.fill_diagonal_(-1)
    return distances.argsort(dim=1, stable=True)[:, 1:]


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= (n - 1) // 2:
        raise ValueError(f"k is {k}, wanted 1 to {(n - 1) // 2} for {n} points")
