# SPDX-License-Identifier: Apache-2.0
"""Bags that were cut off, emptied or are none: what is left is read and counted, the rest is named."""

import shutil

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.storage import BagError, BagReader
from mapkd_core.bags.typestore import typestore
from mapkd_core.bags.write import BagWriter


@pytest.fixture
def long_mcap(tmp_path, drive_of):
    """Forty frames: several MCAP chunks."""
    path = tmp_path / "drive.mcap"
    with BagWriter(path, rig=drive_of.rig(), ego_T_lidar=drive_of.EGO_T_LIDAR) as writer:
        for frame in drive_of.frames(40):
            writer.add(
                frame, drive_of.truth(), encoded={c.name: drive_of.jpeg(c.image) + bytes(20000) for c in frame.cameras}
            )
    return path


def cut(path, share, target):
    content = path.read_bytes()
    target.write_bytes(content[: int(share * len(content))])
    return target


def count(path):
    with BagReader(path) as reader:
        messages = list(reader.messages())
        assert sum(topic.count for topic in reader.topics) == len(messages)
        return len(messages), reader.damage


def test_a_cut_mcap_gives_its_beginning_and_says_so(long_mcap, tmp_path):
    whole, damage = count(long_mcap)
    assert damage is None
    for share in (0.3, 0.6, 0.95, 0.9999):
        left, damage = count(cut(long_mcap, share, tmp_path / "cut.mcap"))
        assert share - 0.1 < left / whole <= 1.0
        assert f"cut off: {left} messages" in damage and "index missing" in damage


def test_frames_of_a_cut_bag_are_those_of_the_whole_one(long_mcap, tmp_path):
    with BagDrive(long_mcap) as drive:
        whole = [frame.stamp_ns for frame in drive.frames()]
    with BagDrive(cut(long_mcap, 0.5, tmp_path / "cut.mcap")) as drive:
        left = [frame.stamp_ns for frame in drive.frames()]
        assert any("cut off" in problem for problem in drive.problems)
    assert 15 < len(left) < 25 and left == whole[: len(left)]


@pytest.mark.parametrize("compression", ["none", "bz2", "lz4"])
def test_a_cut_ros1_bag_gives_its_beginning(nuscenes2bag, sidecar, tmp_path, compression):
    path = recompressed(nuscenes2bag, tmp_path / "again.bag", compression)
    whole, damage = count(path)
    assert damage is None
    left, damage = count(cut(path, 0.7, tmp_path / "cut.bag"))
    assert 0.3 < left / whole < 1 and f"{left} messages" in damage
    with BagDrive(tmp_path / "cut.bag", sidecar) as drive:
        assert len(list(drive.frames())) in (2, 3)


def recompressed(path, target, compression):
    """The bag in many small chunks."""
    from rosbags.rosbag1 import Reader, Writer

    writer = Writer(target)
    writer.chunk_threshold = 20_000
    if compression != "none":
        writer.set_compression(Writer.CompressionFormat[compression.upper()])
    with Reader(path) as reader, writer:
        connections = {
            c.id: writer.add_connection(c.topic, c.msgtype, msgdef=c.msgdef.data, md5sum=c.digest)
            for c in reader.connections
        }
        for connection, stamp_ns, raw in reader.messages():
            if not connection.topic.startswith("radar"):
                writer.write(connections[connection.id], stamp_ns, raw)
    return target


def test_a_cut_mcap_in_a_folder_and_a_folder_without_metadata_are_read(tmp_path, drive_of):
    with BagWriter(tmp_path / "drive", rig=drive_of.rig()) as writer:
        for frame in drive_of.frames(4):
            writer.add(frame)
    whole, _ = count(tmp_path / "drive")
    file = tmp_path / "drive" / "drive.mcap"
    shutil.copy(file, tmp_path / "whole.mcap")
    cut(file, 0.5, file)
    left, damage = count(tmp_path / "drive")
    assert 0 < left < whole and "drive.mcap: cut off" in damage
    (tmp_path / "drive" / "metadata.yaml").unlink()  # the recorder writes it last
    assert count(tmp_path / "drive")[0] == left
    shutil.copy(tmp_path / "whole.mcap", file)
    assert count(tmp_path / "drive") == (whole, None)


def test_a_cut_sqlite_bag_names_its_repair(ros2_port):
    file = next(ros2_port.glob("*.db3"))
    cut(file, 0.3, file)
    with pytest.raises(BagError, match=r"\.recover|is damaged"):
        count(ros2_port)


def test_what_is_no_bag_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no bag at"):
        BagReader(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BagError, match=r"neither metadata\.yaml nor a file"):
        BagReader(tmp_path / "folder")
    for name, content, words in [
        ("video.mp4", b"ftyp", "expected a rosbag2 folder or a file ending in"),
        ("empty.mcap", b"", "empty file"),
        ("text.mcap", b"hello world, this is not an mcap file", "first bytes are b'hello wo'"),
        ("text.bag", b"hello world, this is not a ROS 1 bag", "first bytes are b'hello world, "),
        ("old.bag", b"#ROSBAG V1.2\n" + bytes(50), "another kind of file"),
        ("stub.mcap", b"\x89MCAP0\r\n" + bytes(3), "holds no message"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BagError, match=words) as error:
            BagReader(tmp_path / name)
        assert name in str(error.value)


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_a_bag_without_messages_is_refused(tmp_path, plugin):
    with Writer(tmp_path / "bag", version=8, storage_plugin=plugin) as writer:
        writer.add_connection("/odom", "nav_msgs/msg/Odometry", typestore=typestore())
    with pytest.raises(BagError, match="holds no message"):
        BagReader(tmp_path / "bag")


def test_a_flipped_length_inside_is_an_error_not_a_crash(long_mcap, tmp_path):
    content = bytearray(long_mcap.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 100_000] = bytes([0xFF]) * 100_000
    (tmp_path / "flipped.mcap").write_bytes(content)
    with pytest.raises(BagError, match="damaged"):
        count(tmp_path / "flipped.mcap")
