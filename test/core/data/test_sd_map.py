# SPDX-License-Identifier: Apache-2.0
"""OpenStreetMap extracts as road lines in metres, and extracts of the wrong place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mapkd_core.data.nuscenes.origins import ORIGINS, to_degrees, to_metres
from mapkd_core.data.rasterise import layers
from mapkd_core.data.sd_map import read_sd_map, sd_elements
from mapkd_core.data.teacher_inputs import PRIOR_CLASSES
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid

CITY = "boston-seaport"
LATITUDE, LONGITUDE = ORIGINS[CITY]


def geojson(path, lines):
    features = [
        {"type": "Feature", "properties": {"highway": kind},
         "geometry": {"type": "LineString", "coordinates": to_degrees(CITY, line).tolist()}}
        for kind, line in lines
    ]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_degrees_become_metres_of_the_sphere():
    """A thousandth of a degree is 111.319 m north, and 82.287 m east at 42.34 degrees."""
    xy = to_metres(CITY, [(LONGITUDE + 0.001, LATITUDE), (LONGITUDE, LATITUDE + 0.001)])
    assert_allclose(xy, [(82.287, 0), (0, 111.319)], atol=1e-3)
    assert_allclose(to_metres(CITY, to_degrees(CITY, [(1234.5, 678.9)])), [(1234.5, 678.9)], atol=1e-6)


def test_the_devkits_own_conversion_agrees():
    """Over the whole of a city."""
    poses = pytest.importorskip("nuscenes.scripts.export_poses")
    east, north = 2900.0, 2000.0
    latitude, longitude = poses.get_coordinate(LATITUDE, LONGITUDE, np.arctan2(east, north), np.hypot(east, north))
    assert_allclose(to_metres(CITY, [(longitude, latitude)]), [(east, north)], atol=1e-3)


def test_geojson_roads_for_cars_are_read(tmp_path):
    lines = [("primary", [(0, 0), (100, 50)]), ("footway", [(0, 0), (5, 5)]), ("service", [(1, 2), (3, 4), (5, 6)])]
    roads = read_sd_map(geojson(tmp_path / "city.geojson", lines), CITY)
    assert [road.highway for road in roads] == ["primary", "service"]
    assert_allclose(roads[0].vertices_m, [(0, 0), (100, 50)], atol=1e-5)


def test_osm_xml_is_read(tmp_path):
    path = tmp_path / "city.osm"
    path.write_text(
        f'<osm><node id="1" lat="{LATITUDE}" lon="{LONGITUDE}"/>'
        f'<node id="2" lat="{LATITUDE + 0.001}" lon="{LONGITUDE}"/>'
        '<way id="3"><nd ref="1"/><nd ref="9"/><nd ref="2"/><tag k="highway" v="residential"/></way>'
        '<way id="4"><nd ref="1"/><nd ref="2"/><tag k="building" v="yes"/></way></osm>'
    )
    (road,) = read_sd_map(path, CITY)
    assert road.highway == "residential"
    assert_allclose(road.vertices_m, [(0, 0), (0, 111.319)], atol=1e-3)


def test_an_extract_of_elsewhere_is_refused_with_both_places(tmp_path):
    path = geojson(tmp_path / "berlin.geojson", [("primary", [(0, 0), (100, 50)])])
    with pytest.raises(
        ValueError, match=r"latitude 42.337..42.337.* nothing within 10 km of singapore-onenorth \(1.288"
    ):
        read_sd_map(path, "singapore-onenorth")


@pytest.mark.parametrize(("text", "says"), [
    ("{", "neither GeoJSON nor OSM XML"),
    ('{"features": []}', "no lines with a highway tag"),
    ('{"features": [{"properties": {"highway": "primary"}, "geometry": {"type": "LineString",'
     ' "coordinates": [[5e5, 4e6], [5e5, 4e6]]}}]}', "no longitude and latitude"),
])  # fmt: skip
def test_bad_files_are_refused(tmp_path, text, says):
    path = tmp_path / "city.geojson"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_sd_map(path, CITY)


def test_a_missing_file_and_an_unknown_city_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such SD map"):
        read_sd_map(tmp_path / "none.osm", CITY)
    path = geojson(tmp_path / "city.geojson", [("primary", [(0, 0), (100, 50)])])
    with pytest.raises(ValueError, match="nobody knows where the map of 'paris' lies"):
        read_sd_map(path, "paris")


def test_roads_around_a_vehicle_are_elements_in_its_frame(tmp_path):
    """The vehicle stands at (100, 50) and looks north: a road along y = 60 crosses 10 m ahead of it."""
    roads = read_sd_map(geojson(tmp_path / "city.geojson", [("primary", [(0, 60), (300, 60)])]), CITY)
    (element,) = sd_elements(roads, planar(100, 50, np.pi / 2), BevGrid())
    assert element.class_name == "road" and not element.is_closed
    assert_allclose(element.vertices_m, [(10, 15), (10, -15)], atol=1e-5)
    # Under the one name that teachers know: 200 rows, one column wide, x = 10 is the edge of two cells.
    assert layers([element], BevGrid(), PRIOR_CLASSES["sd"], thickness=1)[0].sum() == 200
