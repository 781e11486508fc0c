#!/usr/bin/env bash
# Sets up all that `make test` and `make demo` need, and writes .ros/setup.bash, the file to source before using ROS:
#   1. .venv          Python packages, pinned in environment/requirements/
#   2. .ros/install   the messages of this package, and what the ROS wheels of PyPI lack
# Where a ROS 2 distribution is sourced (ROS_DISTRO is set), it is used; otherwise ROS comes from PyPI wheels.
# A step is skipped where nothing it reads has changed since it last succeeded; `make clean` starts over.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD venv=$PWD/.venv ros=$PWD/.ros
distribution=${ROS_DISTRO:-}
place="$root ${distribution:-wheels}"

main() {
  exec 9<environment/setup.sh && flock 9 # two at once would build into the same folders
  local packages messages
  packages=$(fingerprint environment/requirements/* pyproject.toml setup.py environment/mend_wheels.py)
  unchanged "$venv/.fingerprint" "$packages" || { install_packages; echo "$packages" >"$venv/.fingerprint"; }
  messages=$(fingerprint environment/*.* environment/requirements/* msg/* package.xml CMakeLists.txt)
  unchanged "$ros/.fingerprint" "$messages" || { build_messages; echo "$messages" >"$ros/.fingerprint"; }
}

fingerprint() { { echo "$place"; cat "$@"; } | sha256sum; }

unchanged() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

install_packages() {
  local python=${PYTHON:-python3}
  # Quiet about editable installs; each line of pip's at once, for show_progress.
  export PYTHONWARNINGS=ignore PYTHONUNBUFFERED=1
  "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || {
    echo "setup: need Python 3.10-3.13, found $("$python" --version); choose one with PYTHON=python3.11 make setup" >&2
    exit 1
  }
  # One that we made for another folder, or for another distribution, does not fit here.
  [ ! -f "$venv/.made_for" ] || [ "$(cat "$venv/.made_for")" = "$place" ] || rm -rf "$venv"
  if [ -n "$distribution" ]; then
    echo "setup: Python packages beside ROS 2 $distribution into .venv, some minutes"
    "$python" -m venv --system-site-packages "$venv"
    # The distribution's compiled parts (cv_bridge) are bound to its numpy: keep that version.
    "$python" -c 'import numpy; print("numpy==" + numpy.__version__)' >"$venv/constraints.txt"
    "$venv/bin/pip" install -c "$venv/constraints.txt" -e '.[plot,nuscenes,develop]' | show_progress
  else
    echo "setup: Python packages and ROS 2 wheels into .venv, about 2 GB, some minutes"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install -r environment/requirements/product.txt -r environment/requirements/nuscenes.txt \
      -r environment/requirements/develop.txt -r environment/requirements/ros.txt | show_progress
    "$venv/bin/pip" install -q --no-deps --no-build-isolation -e .
    "$venv/bin/python" environment/mend_wheels.py
  fi
  # It declares numpy below 2 and packages that nothing here imports; requirements/nuscenes.txt has those it needs.
  "$venv/bin/pip" install -q --no-deps nuscenes-devkit==1.2.0
  echo "$place" >"$venv/.made_for"
}

show_progress() {
  local line count=0
  while read -r line; do
    case $line in
      Collecting*) printf '\r  %d packages found' $((++count)) ;;
      "Installing collected"*) printf '\r  installing %d packages\n' $count ;;
    esac
  done
}

build_messages() {
  echo "setup: messages into .ros/install, half a minute"
  rm -rf "$ros" && mkdir -p "$ros/src/mapkd"
  # Links: CMake refuses a source folder that contains the virtual environment.
  ln -s "$root/msg" "$root/package.xml" "$root/CMakeLists.txt" "$ros/src/mapkd"
  export PATH=$venv/bin:$PATH
  if [ -z "$distribution" ]; then
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv
    python environment/write_interface_package.py tf2_msgs "$ros/src/tf2_msgs"
  fi
  (cd "$ros" && colcon build --merge-install --cmake-args -DMAPKD_MESSAGES_ONLY=ON -DBUILD_TESTING=OFF \
    -DCMAKE_BUILD_TYPE=Release --no-warn-unused-cli) >"$ros/build.log" 2>&1 || {
    tail -n 60 "$ros/build.log" >&2
    echo "setup: the messages do not build; the whole log is $ros/build.log" >&2
    exit 1
  }
  write_setup_file
  add_stand_ins
}

write_setup_file() {
  local libraries
  {
    echo "# Written by environment/setup.sh: source it to use ROS, the messages of mapkd and the source tree."
    if [ -z "$distribution" ]; then
      # What the wheels would otherwise set by starting every Python process twice.
      libraries=$(python -c 'from ros_wheels_bootstrapper import get_ros_paths; print(get_ros_paths())')
      echo "export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 AMENT_PREFIX_PATH=$venv"
      echo "export LD_LIBRARY_PATH=$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
    fi
    echo "source $ros/install/local_setup.bash"
    echo "export PATH=$venv/bin:\$PATH PYTHONPATH=$root\${PYTHONPATH:+:\$PYTHONPATH}"
  } >"$ros/setup.bash"
}

# Small stand-ins of packages that are on no registry: only those which are absent, and only into .ros/install.
add_stand_ins() {
  local package site
  set +u && source "$ros/setup.bash" && set -u
  site=$(dirname "$(python -c 'import mapkd; print(mapkd.__path__[0])')")
  for package in message_filters cv_bridge sensor_msgs_py; do
    python -c "import importlib.util as u, sys; sys.exit(u.find_spec('$package') is None)" ||
      ln -s "$root/environment/stand_ins/$package" "$site/$package"
  done
}

main
