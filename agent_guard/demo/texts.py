"""The texts that the demonstration's agent reads: made here, the same every time."""

from pathlib import Path

WORDS = (
    "ballot",
    "quorum",
    "signer",
    "halt",
    "epoch",
    "lease",
    "anchor",
    "frontier",
    "leaf",
    "root",
    "witness",
)


def write(folder: Path, count: int) -> None:
    """Writes `count` texts of 200 words each."""
    folder.mkdir(parents=True)
    for number in range(count):
        words = [WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(200)]
        (folder / f"text-{number:04}.txt").write_text(" ".join(words) + "\n")
