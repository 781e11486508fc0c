# SPDX-License-Identifier: Apache-2.0
"""Where nuScenes' four map frames lie on the globe: degrees to metres and back.

A map frame's origin is the south-western corner of its city's map; latitude and longitude are those that
nuscenes-devkit states (map_api.py, export_poses.py), on its sphere of 6,378,137 m. x is east, y north. Over a city of
4 km the plane used here is off from the devkit's great circles by less than 0.5 m.
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
    degrees = np.asarray(longitude_latitude, np.float64).reshape(-1, 2)
    return np.radians(degrees - _origin(location)) * _metres_per_radian(location)


def to_degrees(location: str, xy_m: ArrayLike) -> NDArray[np.float64]:
    """The inverse of `to_metres`."""
    xy = np.asarray(xy_m, np.float64).reshape(-1, 2)
    return np.degrees(xy / _metres_per_radian(location)) + _origin(location)


def _origin(location: str) -> NDArray[np.float64]:
    if location not in ORIGINS:
        raise ValueError(f"nobody knows where the map of {location!r} lies; known: {', '.join(ORIGINS)}")
    return np.array(ORIGINS[location][::-1])


def _metres_per_radian(location: str) -> NDArray[np.float64]:
    return EARTH_RADIUS_M * np.array([np.cos(np.radians(ORIGINS[location][0])), 1.0])
