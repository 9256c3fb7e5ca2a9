"""Published facts about MovieLens: digests, addresses and the licence."""

from __future__ import annotations

ML100K = "MovieLens 100K"
ML100K_USERS = 943
ML100K_ITEMS = 1682
ML100K_RATINGS = 100_000

DIGESTS = {
    "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}
"""SHA-256 of each file of MovieLens 100K; ``ml-100k.item`` is recbole's file of titles."""

GROUPLENS_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
GROUPLENS_SHA1 = "cd4dcac4241c8a4ad7badc7ca635da8a69dddb83"

WHEEL = "recbole==1.2.1"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"

LICENCE = (
    "MovieLens 100K is research data of GroupLens, University of Minnesota. It may not\n"
    "be redistributed, nor used commercially without their permission. Please cite:\n"
    "F. M. Harper and J. A. Konstan (2015), The MovieLens Datasets: History and\n"
    "Context, ACM TiiS 5(4), doi 10.1145/2827872."
)

FOLDER_NAMES = {
    "ml-1m": "MovieLens 1M",
    "ml-10M100K": "MovieLens 10M",
    "ml-20m": "MovieLens 20M",
    "ml-25m": "MovieLens 25M",
    "ml-32m": "MovieLens 32M",
    "ml-latest": "MovieLens latest",
    "ml-latest-small": "MovieLens latest-small",
}
"""The folder inside each of GroupLens's archives, and what people call the data."""
