# SPDX-License-Identifier: Apache-2.0
"""nuscenes-devkit behind messages that name the file and the remedy.

The devkit declares numpy below 2, but what is used here runs with numpy 2: it is installed without its dependencies.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TABLES = (
    "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene",
    "sample", "sample_data", "sample_annotation", "map",
)  # fmt: skip
LOCATIONS = ("boston-seaport", "singapore-onenorth", "singapore-queenstown", "singapore-hollandvillage")
MAP_VERSION = "1.3"
INSTALL = "pip install 'mapkd[nuscenes]' && pip install --no-deps nuscenes-devkit==1.2.0"


def find_version(root: Path) -> str:
    """The one folder of tables in a dataset; ValueError where there are several, FileNotFoundError without any."""
    if not root.is_dir():
        aside = root.with_name(f".{root.name}.partial")
        remedy = (
            f"{aside} is an unfinished one: repeat the command that made it" if aside.is_dir() else "check the path"
        )
        raise FileNotFoundError(f"{root}: no nuScenes dataset there; {remedy}")
    found = sorted(path.parent.name for path in root.glob("*/scene.json"))
    if len(found) != 1:
        kind = ValueError if found else FileNotFoundError
        raise kind(f"{root}: tables of {found or 'no version'} found; give --version and unpack v1.0-* into the root")
    return found[0]


def open_tables(root: Path, version: str) -> Any:
    """The devkit's NuScenes over `root`.

    FileNotFoundError for a missing folder, table or map mask, ValueError for damaged or contradictory tables.
    """
    missing = [f"{table}.json" for table in TABLES if not (root / version / f"{table}.json").is_file()]
    if missing:
        raise FileNotFoundError(
            f"{root / version}: {', '.join(missing)} missing; unpack the metadata of nuScenes {version} again"
        )
    devkit = _devkit()
    try:
        return devkit.NuScenes(version=version, dataroot=str(root), verbose=False)
    except json.JSONDecodeError:
        raise ValueError(_damaged_table(root / version)) from None
    except AssertionError as error:  # the devkit's way to say that a map mask is absent
        raise FileNotFoundError(f"{root}: {error}; unpack maps/ of the dataset again") from error
    except KeyError as error:
        raise ValueError(
            f"{root / version}: a table refers to the record {error}, which no table has, or the log has no map in "
            "map.json; unpack the metadata again"
        ) from error


def open_map(root: Path, location: str) -> Any:
    """The devkit's NuScenesMap of a location.

    FileNotFoundError without the map expansion, ValueError for an unknown location or a version other than 1.3.
    """
    path = root / "maps" / "expansion" / f"{location}.json"
    if location not in LOCATIONS:
        raise ValueError(f"{root}: location {location!r} has no map; nuScenes knows {', '.join(LOCATIONS)}")
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such map; unpack nuScenes-map-expansion-v{MAP_VERSION} into {root / 'maps'}"
        )
    _devkit()
    from nuscenes.map_expansion.map_api import NuScenesMap

    try:
        nusc_map = NuScenesMap(dataroot=str(root), map_name=location)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: no JSON ({error}); unpack the map expansion again") from error
    except KeyError as error:
        raise ValueError(f"{path}: {error} is missing; unpack map expansion v{MAP_VERSION}") from error
    except Exception as error:  # the devkit raises a bare Exception for old versions
        raise ValueError(f"{path}: {_version_of(path)}; unpack map expansion v{MAP_VERSION}") from error
    if str(nusc_map.version) != MAP_VERSION:
        raise ValueError(f"{path}: {_version_of(path)}; unpack map expansion v{MAP_VERSION}")
    return nusc_map


def scene_splits() -> dict[str, list[str]]:
    """The official splits: name -> scene names."""
    _devkit()
    from nuscenes.utils.splits import create_splits_scenes

    return create_splits_scenes()


def _devkit() -> Any:
    try:
        import nuscenes.nuscenes as devkit
    except ImportError as error:
        raise ImportError(f"nuscenes-devkit is not usable ({error}); {INSTALL}") from error
    return devkit


def _damaged_table(folder: Path) -> str:
    for table in TABLES:
        try:
            json.loads((folder / f"{table}.json").read_text())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            return f"{folder / table}.json: no JSON ({error}); unpack the metadata again"
    return f"{folder}: damaged tables; unpack the metadata again"


def _version_of(path: Path) -> str:
    return f"map version {json.loads(path.read_text()).get('version', '1.0 (none is written)')!r}"
