"""Small data of the kinds that recipes want brought: visibly different photos, arrays as Keras keeps them."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def write_photos(folder: Path, count: int = 60, side_pixels: int = 96) -> Path:
    """Write a folder with two folders of photos, discs and stripes, in random colours on noise."""
    random = np.random.default_rng(0)
    for kind in ("discs", "stripes"):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            noise = random.integers(0, 120, (side_pixels, side_pixels, 3), np.uint8)
            image = Image.fromarray(noise)
            _draw(ImageDraw.Draw(image), kind, random, side_pixels)
            image.save(folder / kind / f"{number}.{'jpg' if number % 2 else 'png'}")
    return folder


def _draw(draw: ImageDraw.ImageDraw, kind: str, random: np.random.Generator, side_pixels: int) -> None:
    colour = tuple(int(value) for value in random.integers(150, 256, 3))
    if kind == "discs":
        x, y = random.integers(side_pixels // 4, side_pixels // 2, 2)
        radius = int(random.integers(side_pixels // 6, side_pixels // 4))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    else:
        width = int(random.integers(4, 9))
        for start in range(0, side_pixels, 2 * width):
            draw.rectangle((start, 0, start + width - 1, side_pixels), fill=colour)


def write_npz(path: Path, shape: tuple[int, ...], count: int = 400) -> Path:
    """Images of ten classes that differ in where they are bright, in the form of `keras.datasets`."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 10
    images = random.integers(0, 60, (count, *shape), np.uint8)
    rows = shape[0] // 10
    for image, label in zip(images, labels, strict=True):
        image[label * rows : (label + 1) * rows] += 150
    half = count // 2
    np.savez(path, x_train=images[:half], y_train=labels[:half], x_test=images[half:], y_test=labels[half:])
    return path


def write_cifar_archive(path: Path, count: int = 200) -> Path:
    """CIFAR-10's binary archive: a label, then the three planes, for each image."""
    random = np.random.default_rng(0)
    labels = (np.arange(count) % 10).astype(np.uint8)
    planes = random.integers(0, 60, (count, 3, 32, 32), np.uint8)
    for image, label in zip(planes, labels, strict=True):
        image[:, label * 3 : label * 3 + 3] += 150
    data = np.concatenate([labels[:, None], planes.reshape(count, -1)], axis=1).tobytes()
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return path


def write_series(path: Path, count: int = 200) -> Path:
    """Rising and falling series of two features, (count, 12, 2)."""
    random = np.random.default_rng(0)
    classes = np.arange(count) % 2
    slope = np.where(classes, 1, -1)[:, None] * np.linspace(-1, 1, 12)
    series = slope[..., None] + 0.3 * random.normal(size=(count, 12, 2))
    np.savez(path, x=series.astype(np.float32), y=classes)
    return path
