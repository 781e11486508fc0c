# SPDX-License-Identifier: Apache-2.0
"""The drive as foxglove/nuscenes2mcap writes it, and as its fork WATonomous/nuscenes_to_ros2bag does.

Every second frame is a keyframe: its sensors are logged at the LiDAR's pose, whatever their own stamps are, and only
then the mountings. The sweeps between come at their own stamps.
"""

import numpy as np
import pytest
from converted_drive import Sink
from raw_mcap import mcap_bytes
from rosbags.rosbag2 import StoragePlugin, Writer

from mapkd_core.bags import to_messages
from mapkd_core.bags.typestore import make, typestore

TIMESTAMP = "google.protobuf.Timestamp"
# Schema -> fields (name, number, type; [] = repeated), as the .proto files of foxglove/schemas have them.
NOW = {
    "Vector3": [("x", 1, "double"), ("y", 2, "double"), ("z", 3, "double")],
    "Quaternion": [("x", 1, "double"), ("y", 2, "double"), ("z", 3, "double"), ("w", 4, "double")],
    "Pose": [("position", 1, "Vector3"), ("orientation", 2, "Quaternion")],
    "PackedElementField": [("name", 1, "string"), ("offset", 2, "fixed32"), ("type", 3, "uint32")],
    "CompressedImage": [
        ("timestamp", 1, TIMESTAMP), ("frame_id", 4, "string"), ("data", 2, "bytes"), ("format", 3, "string"),
    ],
    "CameraCalibration": [
        ("timestamp", 1, TIMESTAMP), ("frame_id", 9, "string"), ("width", 2, "fixed32"), ("height", 3, "fixed32"),
        ("distortion_model", 4, "string"), ("D", 5, "[double]"), ("K", 6, "[double]"), ("R", 7, "[double]"),
        ("P", 8, "[double]"),
    ],
    "PointCloud": [
        ("timestamp", 1, TIMESTAMP), ("frame_id", 2, "string"), ("pose", 3, "Pose"), ("point_stride", 4, "fixed32"),
        ("fields", 5, "[PackedElementField]"), ("data", 6, "bytes"),
    ],
    "FrameTransform": [
        ("timestamp", 1, TIMESTAMP), ("parent_frame_id", 2, "string"), ("child_frame_id", 3, "string"),
        ("translation", 4, "Vector3"), ("rotation", 5, "Quaternion"),
    ],
    "PoseInFrame": [("timestamp", 1, TIMESTAMP), ("frame_id", 2, "string"), ("pose", 3, "Pose")],
    "Grid": [("timestamp", 1, TIMESTAMP), ("frame_id", 2, "string"), ("data", 3, "bytes")],
}  # fmt: skip
# In 2022 images had no frame, and a transform was a message of its own.
FIRST = NOW | {
    "CompressedImage": [("timestamp", 1, TIMESTAMP), ("data", 2, "bytes"), ("format", 3, "string")],
    "Transform": [("timestamp", 1, TIMESTAMP), ("translation", 2, "Vector3"), ("rotation", 3, "Quaternion")],
    "FrameTransform": [*NOW["FrameTransform"][:3], ("transform", 4, "Transform")],
}
GENERATIONS = {"2022, upper case": (FIRST, str.upper), "until 2026-05": (NOW, str.upper), "now": (NOW, str.lower)}
FLOAT32 = 7


@pytest.fixture(params=GENERATIONS)
def foxglove_mcap(request, tmp_path, drive_of):
    """Path of the bag in each generation of the converter."""
    schemas, case = GENERATIONS[request.param]
    return write(tmp_path / "NuScenes-v1.0-mini-scene-0061.mcap", drive_of, Protobuf(schemas), case)


@pytest.fixture
def foxglove_writer(tmp_path, drive_of):
    """write(change, **options of mcap_bytes): the current generation; `change(schema, fields)` may edit a message."""

    def write_changed(change, **options):
        return write(tmp_path / "changed.mcap", drive_of, Protobuf(NOW, change), str.lower, **options)

    return write_changed


class Protobuf:
    """Messages by schema name and fields, serialised by google's protobuf from a definition made here."""

    def __init__(self, schemas, change=lambda schema, fields: fields):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

        set_of_files, self.change = descriptor_pb2.FileDescriptorSet(), change
        timestamp_pb2.DESCRIPTOR.CopyToProto(set_of_files.file.add())
        own = set_of_files.file.add(name="foxglove/all.proto", package="foxglove", syntax="proto3")
        own.dependency.append("google/protobuf/timestamp.proto")
        for name, fields in schemas.items():
            message = own.message_type.add(name=name)
            for field, number, kind in fields:
                added = message.field.add(name=field, number=number, label=3 if kind.startswith("[") else 1)
                kind = kind.strip("[]")
                if kind[0].isupper() or "." in kind:
                    added.type, added.type_name = 11, f".{kind}" if "." in kind else f".foxglove.{kind}"
                else:
                    added.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}")
        pool = descriptor_pool.DescriptorPool()
        for file in set_of_files.file:
            pool.Add(file)
        self.classes = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"foxglove.{name}")) for name in schemas
        }
        # The set as mcap_protobuf writes it, a file before those that it imports: the reader has to sort.
        set_of_files.file.reverse()
        self.definition = set_of_files.SerializeToString()

    def __call__(self, schema, **fields):
        kind = self.classes[schema]
        known = {field.name for field in kind.DESCRIPTOR.fields}
        if schema == "FrameTransform" and "transform" in known:
            keys = ("timestamp", "translation", "rotation")
            fields["transform"] = {key: fields[key] for key in keys}
        fields = self.change(schema, {key: value for key, value in fields.items() if key in known})
        return f"foxglove.{schema}", kind(**fields).SerializeToString()


def write(path, drive_of, message, case, **options):
    channels = {}

    def log(topic, stamp_ns, schema_and_data, encoding="protobuf"):
        schema, data = schema_and_data
        channels.setdefault((topic, schema, encoding), []).append((stamp_ns, data))

    log("/map", drive_of.START_NS, message("Grid", frame_id="map", data=b"\0" * 16))
    for number, frame in enumerate(drive_of.frames(5)):
        is_key = number % 2 == 0
        if is_key:
            log("/tf", frame.stamp_ns, transform(message, frame.stamp_ns, "map", "base_link", frame.odom_T_ego))
            log("/pose", frame.stamp_ns, message("PoseInFrame", frame_id="base_link"))
            log("/odom", frame.stamp_ns, ("Pose", b'{"pos": {"x": 0.0}}'), "json")
            log("/diagnostics", frame.stamp_ns, ("diagnostic_msgs/DiagnosticArray", b"{}"), "json")
        mounted = {camera.name: camera.ego_T_camera for camera in drive_of.rig()}
        for camera in frame.cameras:
            name, at = case(camera.name), frame.stamp_ns if is_key else camera.stamp_ns
            if is_key:
                log("/tf", at, transform(message, camera.stamp_ns, "base_link", name, mounted[camera.name]))
            else:
                log("/tf", at, transform(message, at, "map", "base_link", drive_of.pose_at(camera.stamp_ns)))
            header = {"timestamp": stamp(camera.stamp_ns), "frame_id": name}
            image = message("CompressedImage", **header, format="jpeg", data=drive_of.jpeg(camera.image))
            log(f"/{name}/image_rect_compressed", at, image)
            K, eye = camera.K.ravel().tolist(), np.eye(3).ravel().tolist()
            P = np.hstack([camera.K, np.zeros((3, 1))]).ravel().tolist()
            size = {"width": camera.width, "height": camera.height}
            log(f"/{name}/camera_info", at, message("CameraCalibration", **header, **size, K=K, R=eye, P=P))
        lidar = case("LIDAR_TOP")
        if is_key:
            log("/tf", frame.stamp_ns, transform(message, frame.stamp_ns, "base_link", lidar, drive_of.EGO_T_LIDAR))
        fields = [{"name": name, "offset": 4 * i, "type": FLOAT32} for i, name in enumerate(to_messages.POINT_FIELDS)]
        cloud = {"point_stride": 20, "fields": fields, "data": drive_of.points(number).tobytes()}
        log(
            f"/{lidar}", frame.stamp_ns, message("PointCloud", timestamp=stamp(frame.stamp_ns), frame_id=lidar, **cloud)
        )
    items = [(topic, schema, encoding, content) for (topic, schema, encoding), content in channels.items()]
    schemas = {schema: message.definition for _, schema, encoding, _ in items if encoding == "protobuf"}
    path.write_bytes(mcap_bytes(items, schemas=schemas, **options))
    return path


def stamp(stamp_ns):
    return {"seconds": stamp_ns // 10**9, "nanos": stamp_ns % 10**9}


def transform(message, stamp_ns, parent, child, matrix):
    from mapkd_core.geometry import rotation_to_quaternion

    rotation = dict(zip("xyzw", rotation_to_quaternion(matrix[:3, :3]).tolist()))
    translation = dict(zip("xyz", matrix[:3, 3].tolist()))
    frames = {"parent_frame_id": parent, "child_frame_id": child}
    return message("FrameTransform", timestamp=stamp(stamp_ns), **frames, translation=translation, rotation=rotation)


@pytest.fixture
def watonomous_bag(tmp_path, drive_of):
    """Upper case, compressed, TF of each keyframe and of the next one, CAN poses logged late with the keyframe."""
    keyframes = drive_of.frames(5)[::2]
    with Writer(tmp_path / "scene-0061", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        sink = Sink(writer, typestore())
        can_ns = drive_of.START_NS - 60_000_000
        for number, frame in enumerate(drive_of.frames(5)):
            if number % 2 == 0:
                while can_ns < frame.stamp_ns:
                    odometry = to_messages.odometry(can_ns, "map", "base_link", drive_of.pose_at(can_ns))
                    sink.write("/odom", frame.stamp_ns, odometry)
                    can_ns += 20_000_000
                at_and_next = keyframes[number // 2 : number // 2 + 2]
                tf = make("tf2_msgs/msg/TFMessage", transforms=[t for key in at_and_next for t in _tf(drive_of, key)])
                sink.write("/tf", frame.stamp_ns, tf)
            for camera in frame.cameras:
                at = frame.stamp_ns if number % 2 == 0 else camera.stamp_ns
                image = to_messages.compressed_image(camera.stamp_ns, camera.name, drive_of.jpeg(camera.image))
                sink.write(f"/{camera.name}/image_rect_compressed", at, image)
                info = to_messages.camera_info(camera.stamp_ns, camera.name, camera)
                info.distortion_model, info.d, info.r = "", np.zeros(0), np.array([1.0, 0, 0, 1, 0, 0, 1, 0, 0])
                sink.write(f"/{camera.name}/camera_info", at, info)
            points = to_messages.point_cloud(frame.stamp_ns, "LIDAR_TOP", drive_of.points(number))
            sink.write("/LIDAR_TOP", frame.stamp_ns, points)
            radar = to_messages.point_cloud(frame.stamp_ns, "RADAR_FRONT", drive_of.points(number))
            sink.write("/RADAR_FRONT", frame.stamp_ns, radar)
    return tmp_path / "scene-0061"


def _tf(drive_of, frame):
    mounts = [("base_link", camera.name, camera.ego_T_camera) for camera in drive_of.rig()]
    mounts += [("map", "base_link", frame.odom_T_ego), ("base_link", "LIDAR_TOP", drive_of.EGO_T_LIDAR)]
    return to_messages.transforms(frame.stamp_ns, mounts).transforms
