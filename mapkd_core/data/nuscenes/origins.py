# SPDX-License-Identifier: Apache-2.0
"""Where nuScenes' four map frames lie on the globe: degrees to metres and back.

A map frame's origin is the south-western corner of its city's map; latitude and longitude are those that
nuscenes-devkit states (map_api.py, export_poses.py). A point of the map frame lies in the direction of its x (east)
and y (north) from there, at its distance along the great circle of a sphere of 6,378,137 m, as in export_poses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_M = 6_378_137.0
ORIGINS = {
    "boston-seaport": (42.336849169438615, -71.05785369873047),
    "singapore-onenorth": (1.2882100868743724, 103.78475189208984),
    "singapore-hollandvillage": (1.2993652317780957, 103.78217697143555),
    "singapore-queenstown": (1.2782562240223188, 103.76741409301758),
}


def to_metres(location: str, longitude_latitude: ArrayLike) -> NDArray[np.float64]:
    """N x 2 degrees (longitude first, as GeoJSON has them) -> N x 2 x y of the city's map frame."""
    longitude, latitude = np.radians(np.asarray(longitude_latitude, np.float64).reshape(-1, 2)).T
    longitude_0, latitude_0 = _origin(location)
    turn = longitude - longitude_0
    east = np.cos(latitude) * np.sin(turn)
    north = np.cos(latitude_0) * np.sin(latitude) - np.sin(latitude_0) * np.cos(latitude) * np.cos(turn)
    up = np.sin(latitude_0) * np.sin(latitude) + np.cos(latitude_0) * np.cos(latitude) * np.cos(turn)
    chord = np.hypot(east, north)  # sine of the angle between the two places; `up` is its cosine
    metres = EARTH_RADIUS_M * np.arctan2(chord, up) / np.maximum(chord, 1e-300)
    return np.column_stack([east, north]) * metres[:, None]


def to_degrees(location: str, xy_m: ArrayLike) -> NDArray[np.float64]:
    """The inverse of `to_metres`."""
    xy = np.asarray(xy_m, np.float64).reshape(-1, 2)
    longitude_0, latitude_0 = _origin(location)
    distance = np.hypot(*xy.T)
    east, north = xy.T / np.maximum(distance, 1e-300)
    chord, up = np.sin(distance / EARTH_RADIUS_M), np.cos(distance / EARTH_RADIUS_M)
    latitude = np.arcsin(np.sin(latitude_0) * up + np.cos(latitude_0) * chord * north)
    turn = np.arctan2(chord * east, np.cos(latitude_0) * up - np.sin(latitude_0) * chord * north)
    return np.degrees(np.column_stack([longitude_0 + turn, latitude]))


def _origin(location: str) -> NDArray[np.float64]:
    """Longitude and latitude in radians."""
    if location not in ORIGINS:
        raise ValueError(f"nobody knows where the map of {location!r} lies; known: {', '.join(ORIGINS)}")
    return np.radians(ORIGINS[location][::-1])
